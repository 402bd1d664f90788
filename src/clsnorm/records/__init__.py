"""Callbacks of every run, whichever observers it has: checkpoints, predictions, time, memory, alarms, stopping.

`EarlyStopping` is not in every run: ``callbacks=early_stopping`` adds it.
"""

from clsnorm.records.alarms import Divergence, SkippedSteps
from clsnorm.records.checkpoint_writer import CheckpointWriter
from clsnorm.records.checkpoints import ResumePoint, SelectedWeights, ValidatedWeights
from clsnorm.records.early_stopping import EarlyStopping
from clsnorm.records.event_report import EventReport
from clsnorm.records.heap import HeapTrim
from clsnorm.records.memory import PeakMemory
from clsnorm.records.profile import Profile
from clsnorm.records.report_predictions import Predictions
from clsnorm.records.stopping import Abort
from clsnorm.records.stopwatch import Stopwatch

__all__ = [
    "Abort",
    "CheckpointWriter",
    "Divergence",
    "EarlyStopping",
    "EventReport",
    "HeapTrim",
    "PeakMemory",
    "Predictions",
    "Profile",
    "ResumePoint",
    "SelectedWeights",
    "SkippedSteps",
    "Stopwatch",
    "ValidatedWeights",
]

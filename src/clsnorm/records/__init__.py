"""Callbacks of every run, whichever observers it has: checkpoints, predictions, time, memory, alarms, stopping."""

from clsnorm.records.alarms import Divergence, SkippedSteps
from clsnorm.records.checkpoint_writer import CheckpointWriter
from clsnorm.records.checkpoints import ResumePoint, SelectedWeights
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
    "EventReport",
    "HeapTrim",
    "PeakMemory",
    "Predictions",
    "Profile",
    "ResumePoint",
    "SelectedWeights",
    "SkippedSteps",
    "Stopwatch",
]

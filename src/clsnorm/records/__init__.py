"""Callbacks of every run, whatever observes it: checkpoints, predictions, time, memory, alarms."""

from clsnorm.records.alarms import Abort, Divergence, SkippedSteps
from clsnorm.records.checkpoints import ResumePoint, SelectedWeights
from clsnorm.records.memory import Memory
from clsnorm.records.predictions import Predictions
from clsnorm.records.profile import Profile
from clsnorm.records.stopwatch import Stopwatch

__all__ = [
    "Abort",
    "Divergence",
    "Memory",
    "Predictions",
    "Profile",
    "ResumePoint",
    "SelectedWeights",
    "SkippedSteps",
    "Stopwatch",
]

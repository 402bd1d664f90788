"""What every run leaves behind, whatever observes it: checkpoints, metrics, predictions, results, provenance."""

from clsnorm.records.alarms import Abort, Divergence, SkippedSteps
from clsnorm.records.checkpoints import ResumePoint, SelectedWeights
from clsnorm.records.events import Events
from clsnorm.records.folder import RunFolder
from clsnorm.records.loggers import TensorBoardRun, WandbRun
from clsnorm.records.memory import Memory
from clsnorm.records.metrics_csv import MetricsCsv
from clsnorm.records.mlflow_run import MlflowRun
from clsnorm.records.predictions import Predictions
from clsnorm.records.profile import Profile
from clsnorm.records.watch import Stopwatch

__all__ = [
    "Abort",
    "Divergence",
    "Events",
    "Memory",
    "MetricsCsv",
    "MlflowRun",
    "Predictions",
    "Profile",
    "ResumePoint",
    "RunFolder",
    "SelectedWeights",
    "SkippedSteps",
    "Stopwatch",
    "TensorBoardRun",
    "WandbRun",
]

"""Where a run's numbers are logged: ``metrics.csv``, W&B, TensorBoard, MLflow."""

from clsnorm.loggers.metrics_csv import MetricsCsv
from clsnorm.loggers.mlflow import MlflowRun
from clsnorm.loggers.tensorboard import TensorBoardRun
from clsnorm.loggers.wandb import WandbRun

__all__ = ["MetricsCsv", "MlflowRun", "TensorBoardRun", "WandbRun"]

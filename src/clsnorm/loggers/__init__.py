"""Loggers of a run's numbers: ``metrics.csv``, W&B, TensorBoard, MLflow."""

from clsnorm.loggers.metrics_csv import MetricsCsv
from clsnorm.loggers.mlflow import MlflowRun
from clsnorm.loggers.run_logger import RunLogger
from clsnorm.loggers.tensorboard import TensorBoardRun
from clsnorm.loggers.wandb import WandbRun

__all__ = ["MetricsCsv", "MlflowRun", "RunLogger", "TensorBoardRun", "WandbRun"]

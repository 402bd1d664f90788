"""Observers of a run. They never change the training: `callbacks=none` gives the same result."""

from clsnorm.callbacks.cls_statistics import ClsStatistics
from clsnorm.callbacks.collapse import Collapse
from clsnorm.callbacks.gradient_norms import GradientNorms
from clsnorm.callbacks.observer import Observer
from clsnorm.callbacks.progress_bar import Progress
from clsnorm.callbacks.saturation import Saturation
from clsnorm.callbacks.sharpness import Sharpness
from clsnorm.callbacks.train_eval_gap import TrainEvalGap

__all__ = [
    "ClsStatistics",
    "Collapse",
    "GradientNorms",
    "Observer",
    "Progress",
    "Saturation",
    "Sharpness",
    "TrainEvalGap",
]

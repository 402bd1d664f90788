"""Optimizers, parameter groups and learning-rate schedules."""

from clsnorm.optim.adamw import AdamW, AdamWUncorrected
from clsnorm.optim.schedules import Constant, Cosine, Linear

__all__ = ["AdamW", "AdamWUncorrected", "Constant", "Cosine", "Linear"]

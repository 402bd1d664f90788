"""Optimizers, parameter groups and learning-rate schedules."""

from clsnorm.optim.adamw import AdamW, AdamWUncorrected
from clsnorm.optim.schedules import Constant, Cosine, Linear
from clsnorm.optim.sgd import SGD

__all__ = ["SGD", "AdamW", "AdamWUncorrected", "Constant", "Cosine", "Linear"]

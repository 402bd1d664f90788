"""Training losses of single examples. Scores are computed with the task's own loss, whatever a run trains with."""

from clsnorm.losses.class_weights import balanced_weights, mean_one, stated_weights
from clsnorm.losses.loss import Loss, Task, example_losses
from clsnorm.losses.standard_loss import StandardLoss

__all__ = ["Loss", "StandardLoss", "Task", "balanced_weights", "example_losses", "mean_one", "stated_weights"]

"""Sweeps: their jobs, which of these are done, and how any number of processes share the rest. Imports no torch."""

from clsnorm.sweep.launchers import LocalWorkers
from clsnorm.sweep.optuna_search import OptunaSearch
from clsnorm.sweep.sweeper import Grid

__all__ = ["Grid", "LocalWorkers", "OptunaSearch"]

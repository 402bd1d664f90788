"""Sweeps: their jobs, which of these are done, and how any number of processes share the rest. Imports no torch."""

from clsnorm.sweep.fleet import Fleet
from clsnorm.sweep.launchers import LocalWorkers
from clsnorm.sweep.optuna_search import OptunaSearch
from clsnorm.sweep.side_by_side import SideBySide
from clsnorm.sweep.slurm_array import SlurmArray
from clsnorm.sweep.sweeper import Grid

__all__ = ["Fleet", "Grid", "LocalWorkers", "OptunaSearch", "SideBySide", "SlurmArray"]

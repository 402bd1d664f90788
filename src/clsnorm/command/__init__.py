"""The command around a task: exit status, one-line errors, and the outcome of a sweep's jobs."""

from clsnorm.command.sweep import OutputFolders

__all__ = ["OutputFolders"]

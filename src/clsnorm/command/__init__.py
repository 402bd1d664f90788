"""What a command does around its task: exit status, one-line errors, and what became of a sweep's jobs."""

from clsnorm.command.sweep import OutputFolders

__all__ = ["OutputFolders"]

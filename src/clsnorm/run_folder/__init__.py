"""The files of a run: the only package that reads them and knows their formats. Imports no torch."""

from clsnorm.run_folder.folder import RunFolder, find_runs

__all__ = ["RunFolder", "find_runs"]

"""Rows from files inside installed packages."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clsnorm.data.formats.readers import Reader
from clsnorm.data.sources.source import Source, Table, Unavailable
from clsnorm.errors import InputError
from clsnorm.files import digest


@dataclass(frozen=True, kw_only=True)
class WheelSource(Source):
    """A file inside an installed package, found without importing the package.

    Args:
        package: The package's import name.
        requirement: What to install if it is not there.
        sha256: Of the file.
        reader: How the file is laid out.
        where: Column and value that a row must have, for a file that holds several data sets.
    """

    kind = "wheel"
    package: str
    requirement: str
    sha256: str
    reader: Reader
    where: Mapping[str, str]

    def paths(self, split: str) -> list[Path]:
        """Returns the paths of the files of ``split``; raises Unavailable if one is not there."""
        spec = importlib.util.find_spec(self.package)
        folders = [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []
        return [self._path(folders, name) for name in self.files(split)]

    def _path(self, folders: Sequence[Path], name: str) -> Path:
        for folder in folders:
            if (path := folder / name).is_file():
                return path
        raise Unavailable(f"{name} in the package {self.package} (not installed)")

    def fingerprint(self, root: Path) -> str:
        for split in self.splits:
            for path in self.paths(split):
                if (found := digest(path)) != self.sha256:
                    raise InputError(
                        f"Expected {self.location(root, split)} to have sha256 {self.sha256[:12]}..., but got "
                        f"{found[:12]}...: it is of another version. Run `pip install {self.requirement}`"
                    )
        return self.sha256

    def has_changed(self, root: Path, content: str) -> bool:
        return False  # the configuration states its sha256

    def read(self, root: Path, split: str) -> Iterator[Table]:
        shown = [f"wheel:{self.package}/{name}" for name in self.files(split)]
        wanted = list(dict.fromkeys([*self.columns, *self.where]))
        for columns in self.reader.read(self.paths(split), wanted, shown=shown):
            filters = [(columns.values[column], value) for column, value in self.where.items()]
            rows = [i for i in range(len(columns.lines)) if all(cells[i] == value for cells, value in filters)]
            yield self.table(columns).keep(rows)

    def location(self, root: Path, split: str) -> str:
        return ", ".join(f"wheel:{self.package}/{name}" for name in self.files(split))

    @property
    def cure(self) -> str:
        return f"run `pip install {self.requirement}`"

"""Rows from files inside installed packages."""

from __future__ import annotations

import importlib.util
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clsnorm.data.formats.reader import Column, Table
from clsnorm.data.sources.files_source import FilesSource
from clsnorm.errors import InputError
from clsnorm.files import digest


@dataclass(frozen=True, kw_only=True)
class WheelSource(FilesSource):
    """A file inside an installed package, found without importing the package.

    Args:
        package: The package's import name.
        requirement: What to install if the package is missing.
        sha256: Hash of the file.
        reader: The format of the file.
        where: Only rows with these values in these columns are used, if a file has several data sets.
    """

    kind = "wheel"
    package: str
    requirement: str
    sha256: str
    where: Mapping[str, str]

    def folder(self, root: Path) -> Path:
        """Returns the package's folder, or where pip would install it."""
        spec = importlib.util.find_spec(self.package)
        folders = list(spec.submodule_search_locations or ()) if spec else []
        return Path(folders[0]) if folders else Path(sysconfig.get_path("purelib"), *self.package.split("."))

    def fingerprint(self, root: Path) -> str:
        super().fingerprint(root)  # raises Unavailable
        for split in self.splits:
            for path in self.paths(root, split):
                if (found := digest(path)) != self.sha256:
                    raise InputError(
                        f"Expected {self.location(root, split)} to have sha256 {self.sha256[:12]}..., but got "
                        f"{found[:12]}...: the package has another version. Run `pip install {self.requirement}`"
                    )
        return self.sha256

    def has_changed(self, root: Path, content: str) -> bool:
        return False  # `fingerprint` refuses any other content

    @property
    def columns(self) -> list[Column]:
        return list(dict.fromkeys([*super().columns, *self.where]))

    def table(self, read: Table) -> Table:
        filters = [(read.columns[column], value) for column, value in self.where.items()]
        return super().table(
            read.keep([row for row in range(len(read.lines)) if all(cells[row] == value for cells, value in filters)])
        )

    def shown(self, root: Path, path: Path) -> str:
        return f"wheel:{self.package}/{path.relative_to(self.folder(root)).as_posix()}"

    def location(self, root: Path, split: str) -> str:
        return ", ".join(f"wheel:{self.package}/{name}" for name in self.files(split))

    @property
    def cure(self) -> str:
        return f"run `pip install {self.requirement}`"

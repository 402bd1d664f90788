"""Rows from files: published data sets below ``paths.data``, and a user's own files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from clsnorm.data.formats.reader import Reader, Table
from clsnorm.data.sources.source import Source, Unavailable
from clsnorm.files import digest, matching


@dataclass(frozen=True, kw_only=True)
class FilesSource(Source):
    """Published files below the folder ``paths.data``, or a user's own files.

    A name with ``*`` means all files that match, sorted.

    Args:
        reader: The format of the files; or a mapping from splits to readers, if they differ.
    """

    kind = "files"
    reader: Reader | dict[str, Reader]

    def reader_of(self, split: str) -> Reader:
        """Returns the reader of ``split``."""
        return self.reader[split] if isinstance(self.reader, Mapping) else self.reader

    def folder(self, root: Path) -> Path:
        """Returns the folder that names of files are relative to."""
        return root

    def paths(self, root: Path, split: str) -> list[Path]:
        """Returns the paths of the files of ``split``, whether they exist or not."""
        return paths_of(self.files(split), self.folder(root))

    def absent(self, root: Path, split: str) -> list[str]:
        """Returns the files of ``split`` that do not exist."""
        return [str(path) for path in self.paths(root, split) if not path.is_file()]

    def available_splits(self, root: Path) -> list[str]:
        return [split for split in self.splits if not self.absent(root, split)]

    def fingerprint(self, root: Path) -> str:
        absent = list(dict.fromkeys(path for split in self.splits for path in self.absent(root, split)))
        if absent:
            raise Unavailable(f"the file{'s' if len(absent) > 1 else ''} {', '.join(absent)} (not found)")
        hashes = {split: [_identity(path) for path in self.paths(root, split)] for split in self.splits}
        return hashlib.sha256(repr(sorted(hashes.items())).encode()).hexdigest()

    def read(self, root: Path, split: str) -> Iterator[Table]:
        paths = self.paths(root, split)
        shown = [self.shown(root, path) for path in paths]
        for table in self.reader_of(split).read(paths, self.columns, shown=shown):
            yield self.table(table)

    def shown(self, root: Path, path: Path) -> str:
        """Returns a file as messages name it."""
        return str(path)

    def location(self, root: Path, split: str) -> str:
        return ", ".join(str(root / name) for name in self.files(split))

    @property
    def cure(self) -> str:
        named = ", ".join(dict.fromkeys(name for split in self.splits for name in self.files(split)))
        return f"set paths.data=FOLDER or CLSNORM_DATA=FOLDER to a folder with {named}"


def paths_of(names: Iterable[str], folder: Path) -> list[Path]:
    """Returns the files that names and patterns below ``folder`` stand for; a name is returned even if no file has it.

    Args:
        names: Paths, absolute or relative to ``folder``; ``*`` matches any letters, ``~`` is the home folder.
        folder: Where to look.
    """
    return [path for name in names for path in matching(folder.expanduser() / Path(name).expanduser())]


def _identity(path: Path) -> tuple[str, str]:
    """Returns the folder's name, which is the label in some formats, and the hash of the content."""
    return path.parent.name, digest(path)

"""Rows from the Hugging Face hub, or from its cache on this machine."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from clsnorm.data.formats.faults import require_columns, require_rows
from clsnorm.data.formats.parquet import from_arrow
from clsnorm.data.formats.reader import CHUNK, Table
from clsnorm.data.sources.source import Source, Unavailable
from clsnorm.errors import InputError

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

COMMIT = re.compile(r"[0-9a-f]{40}")
PROBE_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class HubSource(Source):
    """A data set of the Hugging Face hub, loaded by `datasets`, which also caches it for use without a network.

    Integer labels become names by the hub's list of class names, if it has one: the order of classes may differ from
    ours. With a commit as ``revision`` the hub is contacted only if nothing is cached.

    Args:
        id: A name such as ``nyu-mll/glue``, or a local folder that `datasets` understands.
        config: The name of a configuration, of several (their rows follow each other), or null.
        revision: A commit, a branch, or null for the newest commit.
    """

    kind: ClassVar[str] = "hub"
    id: str
    config: str | list[str] | None = None
    revision: str | None = None

    def fingerprint(self, root: Path) -> str:
        if self.revision and COMMIT.fullmatch(self.revision):
            return hashlib.sha256(repr((self.id, self.config, self.revision)).encode()).hexdigest()
        digest = hashlib.sha256()
        for split in self.splits:
            for table in self.read(root, split):
                digest.update(repr((split, table.texts, table.labels)).encode(errors="surrogatepass"))
        return digest.hexdigest()

    def is_available(self, root: Path) -> bool:
        import datasets

        owner, _, name = self.id.rpartition("/")
        cached = f"{owner}___{datasets.naming.camelcase_to_snakecase(name)}"  # as `datasets` names its folder
        return Path(self.id).exists() or (Path(datasets.config.HF_DATASETS_CACHE) / cached).exists()

    def has_changed(self, root: Path, content: str) -> bool:
        return False  # a commit never changes, and only the hub knows the newest commit of a branch

    def read(self, root: Path, split: str) -> Iterator[Table]:
        for subset in self._subsets:
            loaded = _load(self.id, subset, self.revision)
            for name in self.files(split):
                shown = f"{self._shown(subset)}:{name}"
                if name not in loaded:
                    raise InputError(f"Expected split {name!r} in {shown}, but it has: {', '.join(loaded)}")
                yield from self._read_part(loaded[name], shown)

    def _read_part(self, part: Dataset, shown: str) -> Iterator[Table]:
        require_columns(self.columns, part.column_names, shown)
        require_rows(part.num_rows, shown)
        names = getattr(part.features[str(self.label)], "names", None)
        rows = part.select_columns([str(column) for column in self.columns]).with_format("arrow")
        for start in range(0, part.num_rows, CHUNK):
            table = from_arrow(rows[start : start + CHUNK], self.columns, shown, start + 1)
            if names:
                codes = table.columns[self.label]
                table.columns[self.label] = [names[c] if c is not None and 0 <= c < len(names) else c for c in codes]
            yield self.table(table)

    def location(self, root: Path, split: str) -> str:
        return ", ".join(f"{self._shown(subset)}:{name}" for subset in self._subsets for name in self.files(split))

    @property
    def _subsets(self) -> Sequence[str | None]:
        return self.config if isinstance(self.config, list) else [self.config]

    def _shown(self, subset: str | None) -> str:
        return f"hub:{self.id}{f'/{subset}' if subset else ''}"

    @property
    def cure(self) -> str:
        return "connect to the network once: the rows are then cached"


@lru_cache(maxsize=8)
def _load(name: str, subset: str | None, revision: str | None) -> DatasetDict:
    """Loads a data set; raises Unavailable with the reason."""
    import datasets

    place = f"the hub {name}" + (f" ({subset})" if subset else "")
    uncached = "" if Path(name).exists() else ", and not in its cache"
    with _offline_if_unreachable(datasets.config) as offline:
        try:
            loaded = datasets.load_dataset(name, subset, revision=revision)
        except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
            reason = "not reachable" if offline else " ".join(str(error).split())[:160]
            raise Unavailable(f"{place} ({reason}{uncached})") from None
    if revision and COMMIT.fullmatch(revision):
        # Without a network `datasets` returns the newest copy in its cache, whatever the revision.
        files = [entry["filename"] for part in loaded.values() for entry in part.cache_files]
        if any(revision not in Path(file).parts for file in files):
            raise Unavailable(f"{place} (not reachable, and its cache has another revision than {revision[:8]})")
    return loaded


@contextlib.contextmanager
def _offline_if_unreachable(settings: Any) -> Iterator[bool]:
    """Makes `datasets` use its cache at once if the hub is unreachable: otherwise it retries for half a minute."""
    before = settings.HF_HUB_OFFLINE
    settings.HF_HUB_OFFLINE = before or not _reachable(settings.HF_ENDPOINT)
    try:
        yield settings.HF_HUB_OFFLINE
    finally:
        settings.HF_HUB_OFFLINE = before


def _reachable(endpoint: str) -> bool:
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return True  # perhaps only the proxy can resolve names
    url = urlsplit(endpoint)
    try:
        socket.create_connection((url.hostname or "", url.port or 443), timeout=PROBE_SECONDS).close()
    except OSError:
        return False
    return True

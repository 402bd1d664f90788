"""Whether data are still those of an earlier run: published files may change under a name that stays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clsnorm.data import DataModule
from clsnorm.errors import InputError
from clsnorm.instantiation import instantiate_partial
from clsnorm.records.checkpoints import data_fingerprint


def require_same_data(checkpoint: Path, data: DataModule) -> None:
    """Raises InputError unless ``data``, prepared, are those on which a resume point was trained."""
    if data_fingerprint(checkpoint) not in (data.fingerprint, None):
        where = ", ".join(dict.fromkeys(data.source_record["location"].values()))
        raise InputError(
            f"Expected data set {data.name!r} ({where}) to be as it was when this run began, but it changed since. "
            "Put it back, or set force=true to begin anew"
        )


def has_changed(node: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    """Returns whether the source that gave a finished run its rows now holds others; nothing is read but hashes.

    A user's own files have no sources here: what they hold is a part of the run's name.

    Args:
        node: The configuration of the data set.
        record: What the run's results keep of its source.
    """
    sources = instantiate_partial(dict(node), "data").keywords.get("sources", {})
    used = [source for source in sources.values() if source.kind == record["kind"]]
    return any(source.has_changed(Path(node["data_root"]), record["sha256"]) for source in used)

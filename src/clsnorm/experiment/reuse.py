"""Whether an earlier run is still what is asked: what its name does not tell may have changed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clsnorm.config.roles import instantiate_partial
from clsnorm.data import DataModule
from clsnorm.errors import InputError
from clsnorm.records.checkpoints import data_fingerprint
from clsnorm.run_folder import provenance
from clsnorm.run_folder.folder import RunFolder

log = logging.getLogger(__name__)
WATCHING = ("callbacks", "logger")  # groups that do not change a result, but what is left of it


def require_same_data(checkpoint: Path, data: DataModule) -> None:
    """Raises InputError unless ``data``, prepared, are those on which a resume point was trained."""
    if data_fingerprint(checkpoint) not in (data.fingerprint, None):
        where = ", ".join(dict.fromkeys(data.source_record["location"].values()))
        raise InputError(
            f"Expected data set {data.name!r} ({where}) to be as it was when this run began, but it changed since. "
            f"Put it back, or delete {checkpoint} to begin anew"
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


def tell_finished(results: Mapping[str, Any], config: Mapping[str, Any], folder: RunFolder) -> None:
    """Logs that the run in ``folder`` has finished, and in what it differs from what is asked now, in one line."""
    stored, differs = folder.read_config(), provenance.differing(results["commit"])
    others = [group for group in WATCHING if stored.get(group) != config.get(group)]
    differs += f", with another choice of {' and '.join(others)} than is asked now" if others else ""
    changed = has_changed(config["data"], results["source"])
    differs += f", on other rows than data={results['data']} has now: its files changed since" if changed else ""
    tell = log.warning if changed else log.info
    tell("finished before%s: %s; force=true runs it again", differs, folder.path)

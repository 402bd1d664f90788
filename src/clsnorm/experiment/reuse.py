"""Can a finished run be reused, and an interrupted one resumed? Data and code may have changed since."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clsnorm.config.roles import instantiate_partial
from clsnorm.data import DataModule
from clsnorm.errors import InputError
from clsnorm.records.checkpoints import data_fingerprint
from clsnorm.run_folder import RunFolder, provenance

log = logging.getLogger(__name__)
WATCHING = ("callbacks", "logger")  # groups that do not change a result, only what is stored of it


def require_same_data(checkpoint: Path, data: DataModule) -> None:
    """Raises InputError unless ``data``, prepared, are the data on which a resume point was trained."""
    if data_fingerprint(checkpoint) not in (data.fingerprint, None):
        where = ", ".join(dict.fromkeys(data.source_record["location"].values()))
        raise InputError(
            f"Expected data set {data.name!r} ({where}) to be unchanged since this run began, but it has changed. "
            f"Restore it, or delete {checkpoint} to start over"
        )


def has_changed(node: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    """Returns whether the source of a finished run's rows has changed; reads hashes only.

    A user's own files need no check: their content is part of the run's name.

    Args:
        node: The configuration of the data set.
        record: The source as stored in the run's results.
    """
    sources = instantiate_partial(dict(node), "data").keywords.get("sources", {})
    used = [source for source in sources.values() if source.kind == record["kind"]]
    return any(source.has_changed(Path(node["data_root"]), record["sha256"]) for source in used)


def log_finished(results: Mapping[str, Any], config: Mapping[str, Any], folder: RunFolder) -> None:
    """Logs in one line that the run in ``folder`` has finished, and how it differs from the requested one."""
    stored, differs = folder.read_config(), provenance.differing(results["commit"])
    others = [group for group in WATCHING if stored.get(group) != config.get(group)]
    differs += f", with another choice of {' and '.join(others)} than requested now" if others else ""
    changed = has_changed(config["data"], results["source"])
    differs += f", on other rows than data={results['data']} has now: its files have changed" if changed else ""
    write = log.warning if changed else log.info
    folder.warn_of_changes(results)
    write("finished before%s: %s; force=true runs it again", differs, folder.path)

"""Sweeps: what became of the jobs of one command, also where a launcher runs them in other processes.

Each job leaves a small record in a folder below the sweep's; the environment variable `RECORDS`, which child processes
inherit, names that folder. When the command ends it reads the records and the run folders they name, and removes the
records.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import shutil
import sys
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from clsnorm.errors import InputError, LostLeaseError
from clsnorm.files import drafting_in, is_alive, note_standing, remove, write_json, writing
from clsnorm.redaction import redacted_message
from clsnorm.run_folder.lease import InUseError

log = logging.getLogger(__name__)
REFUSALS = (InputError, HydraException, OmegaConfBaseException)  # a user's mistake, whoever reports it
RECORDS = "CLSNORM_SWEEP_RECORDS"  # environment variable: the folder of this command's records
HYDRA_RECORD = "multirun.yaml"  # Hydra writes it before the first job
PLANS = ".plan"  # the sweep's own list of jobs
SEARCHES = ".search"  # what a search has suggested and chosen
WORKERS = ".workers"  # what processes print that a launcher started
WORKER = "CLSNORM_WORKER"  # environment variable: this command was started by a launcher, as one of several
LAUNCHER = "CLSNORM_LAUNCHER"  # environment variable: the process that started this worker, with which it ends
QUIET = "CLSNORM_QUIET"  # environment variable: jobs print no progress, tables or messages, only warnings
FINISHED, REFUSED, CRASHED = "finished", "refused", "crashed"


class OutputFolders(Callback):
    """Notes which output folders exist, and where a sweep's jobs leave their records, before Hydra creates folders.

    Hydra calls it. An interpolation that cannot be resolved here is reported by the run or the sweep itself.
    """

    def on_run_start(self, config: DictConfig, **named: Any) -> None:
        with contextlib.suppress(OmegaConfBaseException):
            note_standing(Path(config.hydra.run.dir))

    def on_multirun_start(self, config: DictConfig, **named: Any) -> None:
        with contextlib.suppress(OmegaConfBaseException):
            folder = Path(config.hydra.sweep.dir).absolute()
            note_standing(folder)
            _remove_abandoned(folder)
            if is_worker() and RECORDS in os.environ:
                return  # the command that started this one reads them
            os.environ[RECORDS] = str(folder / f".jobs-{platform.node()}-{os.getpid()}-{uuid.uuid4().hex[:8]}")


def _remove_abandoned(folder: Path) -> None:
    """Removes the records of commands of this machine that were killed."""
    for records in folder.glob(f".jobs-{platform.node()}-*"):
        process = records.name.split("-")[-2]
        if process.isdecimal() and not is_alive(int(process)):
            shutil.rmtree(records, ignore_errors=True)


@contextlib.contextmanager
def drafting_apart() -> Iterator[None]:
    """Drafts the files that are written meanwhile in the folder of this command's records.

    For files that several commands share: if this one is killed, its drafts go with its records.
    """
    if RECORDS not in os.environ:
        yield
        return
    records = Path(os.environ[RECORDS])
    with writing(records):
        records.mkdir(parents=True, exist_ok=True)
    with drafting_in(records):
        yield


def is_sweep() -> bool:
    """Is this process running the jobs of a sweep?"""
    return RECORDS in os.environ


def is_worker() -> bool:
    """Was this command started by a launcher, as one of several that share a sweep?"""
    return WORKER in os.environ


def is_quiet() -> bool:
    """Is the sweep itself saying how its jobs proceed?"""
    return bool(os.environ.get(QUIET))


def begun() -> tuple[Path, list[Path]] | None:
    """Returns the folder of this command's sweep, and its runs so far, sorted; None if it is no sweep, or a worker."""
    if (named := os.environ.get(RECORDS)) is None or is_worker():
        return None
    return Path(named).parent, sorted({Path(record["results"]).parent for record in _read_records(Path(named))})


def records() -> list[dict[str, Any]]:
    """Returns what this command's jobs have recorded so far: each time that a process began one.

    ``results`` is the path of the file that marks the job as done; ``process`` the process that ran it; ``refused``
    whether its input was refused, and ``message`` why.
    """
    return list(_read_records(Path(os.environ[RECORDS]))) if RECORDS in os.environ else []


def _read_records(folder: Path) -> Iterator[dict[str, Any]]:
    for path in folder.glob("[!.]*.json"):
        record = json.loads(path.read_text())
        for results in record.get("others", [record["results"]] if "results" in record else []):
            yield {"process": 0, "message": ""} | record | {"results": results}


@contextlib.contextmanager
def reporting(results: Path) -> Iterator[None]:
    """Runs one job; in a sweep, logs its failure in one line and leaves a record. Hydra then starts the next job.

    The failure of a single run is reported by the command, once.

    Args:
        results: The file that marks the job as finished, in the job's folder.
    """
    if (records := os.environ.get(RECORDS)) is None:
        yield
        return
    record, job = Path(records) / f"{uuid.uuid4().hex}.json", results.parent.name
    begun = {"results": str(results), "refused": False, "process": os.getpid()}
    write_json(record, begun)
    try:
        yield
    except (InUseError, LostLeaseError):
        record.unlink()  # another process runs this job
        raise
    except REFUSALS as error:
        write_json(record, begun | {"refused": True, "message": _in_one_line(error)})
        log.error("%s: refused: %s", job, _in_one_line(error))
        raise
    except Exception as error:
        with contextlib.suppress(OSError):
            write_json(record, begun | {"message": _in_one_line(error)})
        log.error("%s: crashed: %s: %s", job, type(error).__name__, _in_one_line(error))
        raise


def record_others(results: Sequence[Path]) -> None:
    """Leaves a record of this sweep's jobs that other commands ran: they count for its exit status and its table."""
    if results and (records := os.environ.get(RECORDS)) is not None:
        write_json(Path(records) / f"{uuid.uuid4().hex}.json", {"others": list(map(str, results)), "refused": False})


def _in_one_line(error: Exception) -> str:
    return redacted_message(" ".join(str(error).split()), sys.argv[1:])[:400]


def conclude() -> Counter[str]:
    """Returns how many jobs of this command's sweep finished, were refused or crashed; empty if it was no sweep.

    A job that was neither refused nor has its results has crashed, even if it was killed and could not say so. Removes
    the records, and the sweep's folder if no job left anything in it. If the records belong to the command that started
    this one, that command counts them.
    """
    if (named := os.environ.pop(RECORDS, None)) is None or f"-{os.getpid()}-" not in Path(named).name:
        return Counter()
    records = Path(named)
    refused: dict[str, bool] = {}  # several processes may have tried a job
    for record in _read_records(records):
        refused[record["results"]] = refused.get(record["results"], False) or record["refused"]
    counts = Counter(_outcome(Path(results), was) for results, was in refused.items())
    shutil.rmtree(records, ignore_errors=True)
    sweep = records.parent
    if sweep.is_dir() and {path.name for path in sweep.iterdir()} <= {HYDRA_RECORD, PLANS, SEARCHES}:
        remove(sweep)
    return counts


def _outcome(results: Path, refused: bool) -> str:
    if refused:
        return REFUSED
    return FINISHED if results.exists() else CRASHED

"""Weights & Biases."""

from __future__ import annotations

import logging
import os
import shutil
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.loggers.logger import rank_zero_experiment
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from typing_extensions import override

from clsnorm.errors import InputError
from clsnorm.files import require_held, write_text
from clsnorm.lightning_internals import wandb_arguments
from clsnorm.loggers.ids import store_id
from clsnorm.loggers.run_logger import SUMMARY, Logged, RunLogger, require_package
from clsnorm.seals import read_line, sealed_line

log = logging.getLogger(__name__)
WANDB_MODES = ("online", "offline", "disabled")
OLD_MODES = {"run": "online", "dryrun": "offline"}  # names that W&B still accepts
SECONDS = 30  # to wait for W&B's server


class WandbRun(RunLogger, WandbLogger):
    """A Weights & Biases run that needs no account: without an API key it stays offline and logs so in one line.

    Args:
        folder: The run's folder; offline files are in its ``wandb``.
        config: The resolved configuration, logged once, nested.
        project: Project on the server.
        entity: Team or user; None for the account's default.
        group: Runs of a sweep share it.
        mode: ``online``, ``offline``, ``disabled``, or None: online if an API key exists.
        tags: In addition to the names of data set and normalizer.

    Raises:
        InputError: If ``mode`` is another value, W&B would refuse a name, or wandb is not installed.
    """

    def __init__(
        self,
        *,
        folder: Path,
        config: dict[str, Any],
        project: str,
        entity: str | None,
        group: str | None,
        mode: str | None,
        tags: list[str],
    ) -> None:
        require_package("wandb")
        self._folder, self._histograms = folder, folder / "wandb" / "histograms.jsonl"
        self._newest = 0
        mode = _wandb_mode(mode)
        _require_settings(project=project, entity=entity, run_group=group, run_tags=tags)
        choices = config["choices"]
        WandbLogger.__init__(
            self,
            name=folder.name,
            save_dir=folder,
            project=project,
            id=store_id(folder, "wandb", lambda: uuid.uuid4().hex[:12]),
            entity=entity,
            group=group,
            job_type="train",
            mode=mode,
            tags=[choices["data"], choices["normalizer"], *tags],
            config=config,
            resume="allow",
            settings={"silent": True, "console": "off", "init_timeout": SECONDS},
        )
        del wandb_arguments(self)["anonymous"]  # Lightning's; W&B warns in each run that it has no effect

    @property
    @override
    @rank_zero_experiment
    def experiment(self) -> Any:
        """W&B's run, started at first use; offline if the server does not answer or refuses the key."""
        import wandb

        try:
            return super().experiment
        except (wandb.errors.CommError, wandb.errors.UsageError) as error:
            reason = str(error).partition("\n")[0]
            log.warning("W&B: %s. The run stays offline; `wandb sync` uploads it later", reason)
            wandb.teardown()  # it still holds the run's id
            wandb_arguments(self)["mode"] = "offline"
            return super().experiment

    @override
    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Logs numbers of a step, which is also W&B's own: all numbers of a step come into one row, once.

        W&B takes no earlier step after a later one. So an event that is reported late counts in the current row.
        """
        self._newest = max(self._newest, step or 0)
        self.experiment.log({**metrics, "trainer/global_step": self._newest}, step=self._newest)

    @rank_zero_only
    def log_histograms(self, histograms: Mapping[str, tuple[np.ndarray, np.ndarray]], step: int) -> None:
        """Logs counts and edges of bins by name, at most 512 bins each; stored for a resumed run as well."""
        bins = {name: [part.tolist() for part in parts] for name, parts in histograms.items()}
        require_held(self._histograms)
        self._histograms.parent.mkdir(parents=True, exist_ok=True)
        with self._histograms.open("a", encoding="utf-8") as file:
            file.write(sealed_line({"step": step, "bins": bins}))
        self._log_bins(bins, step)

    def _log_bins(self, bins: Mapping[str, Any], step: int) -> None:
        import wandb

        self.log_metrics({name: wandb.Histogram(np_histogram=tuple(parts)) for name, parts in bins.items()}, step)

    @override
    @rank_zero_only
    def restart(self, logged: Logged) -> None:
        """Rewrites an offline run, which W&B cannot continue; for an online run, the server drops repeated steps."""
        for path in (self._folder / "wandb").glob(f"offline-run-*-{self.version}"):
            shutil.rmtree(path, ignore_errors=True)
        drawn = [record for record in self._drawn() if record["step"] in logged]
        if self._histograms.exists():
            write_text(self._histograms, "".join(map(sealed_line, drawn)))
        by_step: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
        for record in drawn:
            by_step[record["step"]].append(record["bins"])
        for step, numbers in logged.items():
            self.log_metrics(numbers, step)
            for bins in by_step[step]:
                self._log_bins(bins, step)

    def _drawn(self) -> Iterator[dict[str, Any]]:
        """Yields the histograms that were logged before a resume, without lines that were cut or changed."""
        if self._histograms.exists():
            lines = self._histograms.read_text(encoding="utf-8", errors="replace").splitlines()
            yield from filter(None, map(read_line, lines))

    @rank_zero_only
    def close(self, results: Mapping[str, Any] | None) -> None:
        """Ends the run: the next one of this process must not be merged into it.

        The summary gets the results, so it is of the selected weights; W&B's default is each metric's last value.
        """
        import wandb

        if wandb.run is None:
            return
        if results is not None:
            verdict = {key: results[key] for key in SUMMARY}
            wandb.run.summary.update({**results["metrics"], **verdict})
        wandb.finish(exit_code=int(results is None))


def _wandb_mode(given: str | None) -> str:
    """Returns the mode given here or in ``WANDB_MODE``, else ``online`` with a known key and ``offline`` without."""
    if mode := given or os.environ.get("WANDB_MODE"):
        mode = OLD_MODES.get(mode, mode)
        if mode not in WANDB_MODES:
            source = "argument `logger.wandb.mode`" if given else "the environment variable WANDB_MODE"
            raise InputError(f"Expected {source} to be one of {', '.join(WANDB_MODES)}, but got {mode!r}")
        return mode
    if has_wandb_key():
        return "online"
    log.info("W&B: no API key found, so the run stays offline; `wandb login` or WANDB_API_KEY changes that")
    return "offline"


def _require_settings(**settings: Any) -> None:
    """Raises InputError for names that W&B would refuse only when the run starts."""
    import wandb

    try:
        wandb.Settings(**settings)
    except (wandb.errors.UsageError, ValueError) as error:
        raise InputError(f"logger.wandb: {error}. Choose another name") from None


def has_wandb_key() -> bool:
    """Returns whether W&B's API key is known: from ``WANDB_API_KEY``, or stored by ``wandb login``."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    path = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    return path.exists() and "api.wandb.ai" in path.read_text(errors="ignore")

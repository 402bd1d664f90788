"""External loggers, given a run's folder and configuration when it starts; ``metrics.csv`` depends on none of them."""

from __future__ import annotations

import json
import logging
import os
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pytorch_lightning.loggers import MLFlowLogger, TensorBoardLogger, WandbLogger
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from typing_extensions import override

from clsnorm.errors import InputError
from clsnorm.files import write_json

log = logging.getLogger(__name__)
WANDB_MODES = ("online", "offline", "disabled")
SUMMARY = ("status", "collapsed", "majority", "selected_step", "examples_per_second")  # beside the metrics


class WandbRun(WandbLogger):
    """A Weights & Biases run that needs no account: without an API key it is kept offline and says so in one line.

    Args:
        folder: The run's folder; offline files land in its ``wandb``.
        config: The resolved configuration, logged once, nested.
        project: Project on the server.
        entity: Team or user; None for the account's default.
        group: Runs of a sweep share it.
        mode: ``online``, ``offline``, ``disabled``, or None to choose by whether a key is there.
        tags: Beside the names of data set and normalizer.

    Raises:
        InputError: If ``mode`` is none of these, or wandb is not installed.
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
        _require("wandb")
        if mode is not None and mode not in WANDB_MODES:
            raise InputError(f"Expected argument `mode` of logger.wandb to be one of {WANDB_MODES}, but got {mode!r}")
        choices = config["choices"]
        super().__init__(
            name=folder.name,
            save_dir=folder,
            project=project,
            id=kept_id(folder, "wandb", lambda: uuid.uuid4().hex[:12]),
            entity=entity,
            group=group,
            job_type="train",
            mode=mode or _wandb_mode(),
            tags=[choices["data"], choices["normalizer"], *tags],
            config=config,
            resume="allow",
            settings={"silent": True, "console": "off"},
        )

    @rank_zero_only
    def log_histograms(self, histograms: Mapping[str, tuple[np.ndarray, np.ndarray]], step: int) -> None:
        """Logs counts and edges of bins by name, at most 512 bins each."""
        import wandb

        self.log_metrics({name: wandb.Histogram(np_histogram=bins) for name, bins in histograms.items()}, step)

    @rank_zero_only
    def close(self, results: Mapping[str, Any] | None) -> None:
        """Ends the run: the next one of this process must not be merged into it.

        Its summary is then of the selected weights, as the results are; W&B by itself keeps the last value of each
        metric. Without ``results`` the run has crashed.
        """
        import wandb

        if wandb.run is None:
            return
        if results is not None:
            verdict = {key: results[key] for key in SUMMARY}
            wandb.run.summary.update({**results["metrics"], **verdict})
        wandb.finish(exit_code=int(results is None))


class TensorBoardRun(TensorBoardLogger):
    """TensorBoard event files in the run's folder.

    Args:
        folder: The run's folder; the files land in its ``tensorboard``.
        config: Unused here: it stands in ``config.yaml``.
    """

    def __init__(self, *, folder: Path, config: dict[str, Any]) -> None:
        _require("tensorboard")
        super().__init__(save_dir=folder, name="tensorboard", version="", default_hp_metric=False)

    @override
    def save(self) -> None:
        """Flushes the events; no second copy of the configuration is written."""
        self.experiment.flush()

    def close(self, results: Mapping[str, Any] | None) -> None:
        """Closes the event file."""
        self.experiment.close()


class MlflowRun(MLFlowLogger):
    """An MLflow run, by default in a local store.

    Args:
        folder: The run's folder.
        config: The resolved configuration, logged as parameters.
        experiment: Name of the MLflow experiment.
        tracking_uri: Where the store is; None for ``MLFLOW_TRACKING_URI`` or ``mlflow.db`` beside the runs.
    """

    def __init__(self, *, folder: Path, config: dict[str, Any], experiment: str, tracking_uri: str | None) -> None:
        _require("mlflow")
        local = f"sqlite:///{folder.parent.absolute()}/mlflow.db"
        super().__init__(
            experiment_name=experiment,
            run_name=folder.name,
            tracking_uri=tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", local),
            run_id=known_id(folder, "mlflow"),
        )
        self._folder, self._parameters = folder, {key: config[key] for key in ("choices", "seeds", "config_hash")}

    @override
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self._begin()
        super().log_metrics(metrics, step)

    @rank_zero_only
    def _begin(self) -> None:
        """Starts the run with its first number, not before: a refused configuration leaves none behind."""
        if self._parameters and known_id(self._folder, "mlflow") is None:
            self.log_hyperparams(self._parameters)
            kept_id(self._folder, "mlflow", lambda: str(self.run_id))
        self._parameters = {}

    def close(self, results: Mapping[str, Any] | None) -> None:
        """Ends the run with its true status, if it has begun; without ``results`` it has crashed."""
        if not self._parameters:
            self.finalize("failed" if results is None else "success")


def known_id(folder: Path, logger: str) -> str | None:
    """Returns the id under which ``logger`` knows the run in ``folder``, or None."""
    path = folder / "logger_ids.json"
    return json.loads(path.read_text()).get(logger) if path.exists() else None


def kept_id(folder: Path, logger: str, make: Callable[[], str]) -> str:
    """Returns that id, made and kept if there is none: a resumed run goes on under it, a new one gets its own."""
    if (known := known_id(folder, logger)) is not None:
        return known
    path, made = folder / "logger_ids.json", make()
    others = json.loads(path.read_text()) if path.exists() else {}
    if rank_zero_only.rank == 0:  # type: ignore[attr-defined]
        write_json(path, {**others, logger: made})
    return made


def _wandb_mode() -> str:
    """Returns what ``WANDB_MODE`` says, else ``online`` if a key is known and ``offline`` if none is."""
    if mode := os.environ.get("WANDB_MODE"):
        return mode
    if os.environ.get("WANDB_API_KEY") or _netrc_has_wandb():
        return "online"
    log.info("W&B: no API key found, so the run is kept offline; `wandb login` or WANDB_API_KEY changes that")
    return "offline"


def _netrc_has_wandb() -> bool:
    path = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    return path.exists() and "api.wandb.ai" in path.read_text(errors="ignore")


def _require(package: str) -> None:
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise InputError(
            f"logger={package} needs the package {package}, which is not installed: pip install 'clsnorm[{package}]'"
        )

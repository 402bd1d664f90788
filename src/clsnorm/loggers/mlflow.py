"""MLflow, given a run's folder and configuration when it starts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from pytorch_lightning.loggers import Logger, MLFlowLogger
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from typing_extensions import override

from clsnorm.errors import InputError
from clsnorm.loggers.run_logger import SUMMARY, kept_id, known_id, require_package

BATCH = 1000  # most metrics that MLflow takes at once
LOCAL = ("", "file", "sqlite")  # schemes of stores on this machine
SERVERS = ("http", "https")
PATIENCE = 10  # seconds for a server's answer


class MlflowRun(Logger):
    """An MLflow run, by default in a local store. It starts with its first number: what is refused leaves no store.

    Args:
        folder: The run's folder.
        config: The resolved configuration, logged once as parameters.
        experiment: Name of the MLflow experiment.
        tracking_uri: Where the store is; None for ``MLFLOW_TRACKING_URI`` or ``mlflow.db`` beside the runs.

    Raises:
        InputError: If MLflow has no such store, its server does not answer, or MLflow is not installed.
    """

    def __init__(self, *, folder: Path, config: dict[str, Any], experiment: str, tracking_uri: str | None) -> None:
        require_package("mlflow")
        super().__init__()
        local = f"sqlite:///{folder.parent.absolute()}/mlflow.db"
        self._uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", local)
        _require_store(self._uri)
        self._folder, self._config, self._experiment = folder, config, experiment
        self._started: MLFlowLogger | None = None

    @property
    @override
    def name(self) -> str:
        return self._experiment

    @property
    @override
    def version(self) -> str | None:
        return known_id(self._folder, "mlflow")

    @override
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: the run starts with the configuration."""

    @override
    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self._run().log_metrics(metrics, step)

    def _run(self) -> MLFlowLogger:
        if self._started is None:
            known = known_id(self._folder, "mlflow")
            self._started = started = MLFlowLogger(self._experiment, self._folder.name, self._uri, run_id=known)
            if known is None:
                started.log_hyperparams(self._config)
                kept_id(self._folder, "mlflow", lambda: str(started.run_id))
        return self._started

    @rank_zero_only
    def close(self, results: Mapping[str, Any] | None) -> None:
        """Ends the run, if it has begun: its last numbers are those of the results, its verdict is a tag.

        Without ``results`` the run has crashed.
        """
        if self._started is None:
            return
        if results is not None:
            final = {**results["metrics"], **{key: results[key] for key in SUMMARY}}
            numbers = {key: float(value) for key, value in final.items() if isinstance(value, int | float)}
            for start in range(0, len(numbers), BATCH):
                part = list(numbers)[start : start + BATCH]
                self._started.log_metrics({key: numbers[key] for key in part}, results["steps"])
            self._started.experiment.set_tag(str(self._started.run_id), "status", results["status"])
        self._started.finalize("failed" if results is None else "success")


def _require_store(uri: str) -> None:
    """Raises InputError unless MLflow has such a store; one on this machine is not opened: that would make it."""
    import mlflow

    scheme = urlsplit(uri).scheme
    if scheme in LOCAL:
        return
    try:
        mlflow.MlflowClient(uri)
    except mlflow.exceptions.MlflowException as error:
        raise InputError(
            f"Expected `logger.mlflow.tracking_uri` to be a store of MLflow, but got {uri!r}: {error}"
        ) from None
    if scheme in SERVERS:
        _require_answer(uri)


def _require_answer(uri: str) -> None:
    """Raises InputError unless a server answers, whatever it says: MLflow itself would try for minutes, in training."""
    try:
        urlopen(Request(uri, method="HEAD"), timeout=PATIENCE).close()
    except HTTPError:
        return
    except OSError as error:
        raise InputError(
            f"Expected a server of MLflow at `logger.mlflow.tracking_uri` {uri}, but none answers: "
            f"{getattr(error, 'reason', error)}. Start it, or leave the option out for a local store"
        ) from None

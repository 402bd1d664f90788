"""MLflow."""

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
from clsnorm.loggers.ids import store_id, stored_id
from clsnorm.loggers.run_logger import SUMMARY, Logged, RunLogger, require_package

BATCH = 1000  # MLflow's limit of metrics per request
LOCAL = ("", "file", "sqlite")  # schemes of stores on this machine
SERVERS = ("http", "https")
PATIENCE = 10  # seconds to wait for a server's answer


class MlflowRun(RunLogger, Logger):
    """An MLflow run, by default in a local store. It starts with its first number: a refused run leaves no store.

    Args:
        folder: The run's folder.
        config: The resolved configuration, logged once as parameters.
        experiment: Name of the MLflow experiment.
        tracking_uri: URI of the store; None for ``MLFLOW_TRACKING_URI``, else ``mlflow.db`` next to the runs' folders.

    Raises:
        InputError: If MLflow has no such kind of store, its server does not answer, or MLflow is not installed.
    """

    def __init__(self, *, folder: Path, config: dict[str, Any], experiment: str, tracking_uri: str | None) -> None:
        require_package("mlflow")
        Logger.__init__(self)
        local = f"sqlite:///{folder.parent.absolute()}/mlflow.db"
        self._uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", local)
        _require_store(self._uri)
        self._folder, self._config, self._experiment = folder, config, experiment
        self._started: MLFlowLogger | None = None
        self._held: dict[tuple[str, int | None], str] = {}  # what the store holds
        self._before: set[tuple[str, int | None]] = set()  # the part of it from before this start or resume

    @property
    @override
    def name(self) -> str:
        return self._experiment

    @property
    @override
    def version(self) -> str | None:
        return stored_id(self._folder, "mlflow")

    @override
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Does nothing: the configuration is logged when the run starts."""

    @override
    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        new = {name: value for name, value in metrics.items() if (name, step) not in self._before}
        self._log(new, step)

    def _log(self, metrics: Mapping[str, float], step: int | None) -> None:
        """Logs in requests of the size that MLflow takes."""
        for start in range(0, len(metrics), BATCH):
            part = {name: metrics[name] for name in [*metrics][start : start + BATCH]}
            self._run().log_metrics(part, step)
        self._held |= {(name, step): repr(float(value)) for name, value in metrics.items()}

    @override
    @rank_zero_only
    def restart(self, logged: Logged) -> None:
        """Logs what the store lacks. What it holds is not logged again, as no store of MLflow can remove a step."""
        known = stored_id(self._folder, "mlflow")
        if known is not None:
            client = self._run().experiment
            for name in client.get_run(known).data.metrics:
                self._held |= {(name, m.step): repr(m.value) for m in client.get_metric_history(known, name)}
        self._before = set(self._held)
        for step, numbers in logged.items():
            self.log_metrics(numbers, step)

    def _run(self) -> MLFlowLogger:
        if self._started is None:
            known = stored_id(self._folder, "mlflow")
            self._started = started = MLFlowLogger(self._experiment, self._folder.name, self._uri, run_id=known)
            if known is None:
                started.log_hyperparams(self._config)
                store_id(self._folder, "mlflow", lambda: str(started.run_id))
        return self._started

    @rank_zero_only
    def close(self, results: Mapping[str, Any] | None) -> None:
        """Ends the run, if it has started: logs the results' numbers, and the status as a tag."""
        if self._started is None:
            return
        if results is not None:
            final = {**results["metrics"], **{key: results[key] for key in SUMMARY}}
            numbers = {key: float(value) for key, value in final.items() if isinstance(value, int | float)}
            steps = results["steps"]  # a number of the selected weights may differ from that of the last step
            self._log({k: v for k, v in numbers.items() if self._held.get((k, steps)) != repr(v)}, steps)
            self._started.experiment.set_tag(str(self._started.run_id), "status", results["status"])
        self._started.finalize("failed" if results is None else "success")


def _require_store(uri: str) -> None:
    """Raises InputError unless MLflow has such a store. A local one is not opened: that would create it."""
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
    """Raises InputError unless the server answers anything: MLflow itself would retry for minutes, in training."""
    try:
        urlopen(Request(uri, method="HEAD"), timeout=PATIENCE).close()
    except HTTPError:
        return
    except OSError as error:
        raise InputError(
            f"Expected a server of MLflow at `logger.mlflow.tracking_uri` {uri}, but none answers: "
            f"{getattr(error, 'reason', error)}. Start it, or leave the option out for a local store"
        ) from None

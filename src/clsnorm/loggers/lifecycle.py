"""Building the loggers of a run, and closing them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger

from clsnorm.config.roles import check_node, instantiate, locate, nodes_of
from clsnorm.errors import InputError
from clsnorm.loggers.run_logger import RunLogger


def build_loggers(config: dict[str, Any], folder: Path) -> dict[str, Logger]:
    """Returns the loggers of a configuration by name; a `RunLogger` is given the run's folder and configuration.

    Raises:
        InputError: If a logger refuses its arguments, misses one, or needs a package that is not installed.
    """
    return {
        place.partition(".")[2]: _build(node, place, folder=folder, config=config)
        for place, node in nodes_of(config, "logger").items()
    }


def _build(node: dict[str, Any], place: str, **run: Any) -> Logger:
    check_node(node, place)
    given = run if issubclass(locate(node["_target_"], place), RunLogger) else {}
    try:
        logger: Logger = instantiate(node, place, **given)
    except InputError as error:
        if given or "required" not in str(error):
            raise
        raise InputError(
            f"{error}. Give each argument in the configuration; only subclasses of clsnorm.loggers.RunLogger are given "
            "the run's `folder` and `config`"
        ) from None
    except ImportError as error:
        raise InputError(f"{place}: {node['_target_']} needs a package that is not installed: {error}") from None
    return logger


def close_loggers(loggers: Iterable[Logger], results: Mapping[str, Any] | None) -> None:
    """Ends all loggers, with the results of the run or, after a crash, with None."""
    for logger in loggers:
        if isinstance(logger, RunLogger):
            logger.close(results)
        else:
            logger.finalize("failed" if results is None else "success")

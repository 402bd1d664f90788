"""What the ``hydra`` node may hold: Hydra acts on it before a run starts, so nothing in it may name code.

Hydra builds callbacks, logging handlers, launchers and sweepers from class names, and sets environment variables. All
of these are checked while still unresolved.
"""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf

from clsnorm.config.plugins import LAUNCHERS, SWEEPERS, plugin
from clsnorm.config.shapes import Shape, anything, below, each, empty, keys, mapping, name, one_of, plain, settled
from clsnorm.errors import refuse

PRIMARIES = ("train", "analyze", "probe", "evaluate")  # the files that runs are composed from


def check_hydra(config: DictConfig, config_name: str | None) -> None:
    """Refuses a ``hydra`` node that could run code, or that runs cannot rely on.

    Args:
        config: As Hydra composed it, unresolved.
        config_name: The file it was composed from.

    Raises:
        InputError: If a key of ``hydra`` is not admitted, or its value breaks its rule.
    """
    node = OmegaConf.to_container(config.hydra, resolve=False)
    shapes = {**_NODE, "job": mapping(_JOB)}
    if config_name in PRIMARIES:
        shapes |= {"job": mapping({**_JOB, "chdir": _CHDIR}), "output_subdir": _OUTPUT_SUBDIR}
    else:
        shapes |= {"job_logging": mapping(_logging(_HANDLER | _LOG_FILE))}
    mapping(shapes)("hydra", node)


def check_search_path(paths: list[str]) -> None:
    """Refuses a search path for configuration files that is not a folder.

    Raises:
        InputError: If it is a Python package, which Hydra would import, unless it belongs to Hydra or a plugin.
    """
    for path in paths:
        scheme, separator, rest = path.partition("://")
        trusted = scheme == "pkg" and (rest == "hydra.conf" or rest.startswith("hydra_plugins."))
        if separator and scheme not in ("file", "structured") and not trusted:
            refuse("hydra.searchpath", "a list of folders", path, "Give the folder of the package instead")


def _verbosity(place: str, value: Any) -> None:
    names = value if isinstance(value, list) else [value]
    if not isinstance(value, bool) and not all(isinstance(logger, str) and "${" not in logger for logger in names):
        refuse(place, "true, false or a list of loggers", value)


# Log files only where Hydra puts them by default, never in a run: text of any wording at any path could be a script.
_HANDLER = {
    "class": one_of("logging.StreamHandler", "logging.NullHandler"),
    "stream": one_of("ext://sys.stdout", "ext://sys.stderr"),
    **keys("level formatter", plain),
}
_LOG_FILE = {
    "class": one_of("logging.StreamHandler", "logging.FileHandler"),
    "filename": one_of("${hydra.runtime.output_dir}/${hydra.job.name}.log"),
}
_LOGGER = {"handlers": each(plain), **keys("level propagate", plain)}


def _logging(handler: dict[str, Shape]) -> dict[str, Shape]:
    return {
        "formatters": each(mapping(keys("format datefmt style validate", plain))),
        "handlers": each(mapping(handler)),
        "loggers": each(mapping(_LOGGER)),
        "root": mapping(_LOGGER),
        **keys("version disable_existing_loggers incremental", plain),
    }


_ENVIRONMENT = "A configuration cannot set environment variables: set them where you type the command"
_JOB: dict[str, Shape] = {
    **keys("env_set env_copy", empty(_ENVIRONMENT)),
    "name": name,
    **keys("id num config_name override_dirname config chdir", anything),
}
_CHDIR = settled(False, "paths are relative to where the command is typed")
_OUTPUT_SUBDIR = settled(None, "a run keeps its whole configuration in config.yaml")
_NODE: dict[str, Shape] = {
    "callbacks": each(mapping({"_target_": one_of("clsnorm.command.OutputFolders")})),
    **keys("hydra_logging job_logging", mapping(_logging(_HANDLER))),
    "launcher": plugin(LAUNCHERS),
    "sweeper": plugin(SWEEPERS),
    "sweep": mapping({"dir": anything, "subdir": below("hydra.sweep.dir")}),
    "verbose": _verbosity,
    **keys("mode searchpath run help hydra_help output_subdir overrides runtime env", anything),
}

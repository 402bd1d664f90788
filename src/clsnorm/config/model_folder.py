"""The folder that ``model.path`` names, if it names one; imports no torch."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clsnorm.errors import InputError

WHEEL_PREFIX = "wheel:"
MODELS = "models"  # folder below paths.cache of the models that `python -m clsnorm.pretraining` stores


def check_model_folder(model: Mapping[str, Any]) -> None:
    """Checks the folder of the package's own encoder; another class may mean something else by ``path``.

    Raises:
        InputError: As `model_folder` does.
    """
    if str(model.get("_target_")).startswith("clsnorm.") and isinstance(model.get("path"), str):
        model_folder(model["path"])


def model_folder(path: str) -> Path | None:
    """Returns an existing folder, or None if ``path`` is the id of a model on the hub.

    Args:
        path: ``wheel:package/folder`` (files of an installed package, found without importing it), a folder, or an id.

    Raises:
        InputError: If the package or the folder is missing, or the folder holds no model.
    """
    if not path:
        raise InputError("Expected argument `model.path` to name a model, but got ''. Give a folder or a hub id")
    return _wheel_folder(path) if path.startswith(WHEEL_PREFIX) else _plain_folder(path)


def _wheel_folder(path: str) -> Path:
    package, _, inside = path.removeprefix(WHEEL_PREFIX).partition("/")
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            f"Expected argument `model.path` to name an installed package, but got {path!r} and there is no package "
            f"{package!r}. Install it with pip install {package.replace('_', '-')}"
        )
    folder = Path(next(iter(spec.submodule_search_locations))) / inside
    if not folder.is_dir():
        exists = sorted(child.name for child in folder.parent.glob("*") if child.is_dir())
        raise InputError(
            f"Expected argument `model.path` to name a folder inside {package}, but got {path!r}; it has {exists}"
        )
    return folder


def _plain_folder(path: str) -> Path | None:
    folder = Path(path).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise InputError(
                f"Expected argument `model.path` to be a folder with a config.json, but {path!r} has none. Save a "
                "model there with save_pretrained, its tokenizer too"
            )
        return folder
    if path.startswith(("/", "./", "../", "~")) or path.count("/") > 1:
        trained = ". `python -m clsnorm.pretraining` trains and stores it" if folder.parent.name == MODELS else ""
        raise InputError(
            "Expected argument `model.path` to be an existing folder or a hub id, but there is no folder "
            f"{path!r}{trained}"
        )
    return None

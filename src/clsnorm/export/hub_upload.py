"""Uploads an exported folder to the Hugging Face hub, or to a server with its interface (``HF_ENDPOINT``)."""

from __future__ import annotations

import re
from pathlib import Path

from clsnorm.errors import InputError
from clsnorm.model.encoder.weights import first_sentence


def require_repository(name: str) -> None:
    """Raises InputError unless ``name`` is that of a repository, ``ORG/NAME``."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise InputError(f"Expected push= to name a repository as ORG/NAME, but got {name!r}")


def push(folder: Path, name: str, *, private: bool) -> str:
    """Uploads all files of a folder in one commit and returns the repository's address.

    Args:
        folder: The exported model.
        name: Of the repository, ``ORG/NAME``; it is created if it does not exist.
        private: Whether a new repository is private; an existing one stays as it is.

    Raises:
        InputError: If the hub refuses, or cannot be reached. The exported folder stays.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        address = api.create_repo(name, private=private, exist_ok=True)
        api.upload_folder(repo_id=name, folder_path=folder, commit_message="Upload a model exported by clsnorm")
    except Exception as error:  # the client and the network raise different ones
        raise InputError(
            f"Cannot upload to {name} on {api.endpoint}: {first_sentence(error)}. Log in with hf auth login. "
            f"The exported model stays in {folder}"
        ) from None
    return str(address)

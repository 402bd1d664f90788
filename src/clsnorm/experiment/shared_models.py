"""Jobs of one process share the encoder that they load: a copy in memory is faster than reading and checking files."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clsnorm.config.model_folder import model_folder
from clsnorm.model import Encoder

Loaded = tuple[Encoder, Any]  # an encoder and its tokenizer


class SharedModel:
    """The encoder loaded last, as it was when loaded, and its tokenizer.

    It is stored from the second load of a process on, so that a single run needs no memory for it, or at once after
    `expect_jobs`. Another configuration of the model, or changed files, replace it.
    """

    def __init__(self) -> None:
        self._loads = 0
        self._key: str | None = None
        self._loaded: Loaded | None = None

    def expect_jobs(self) -> None:
        """Says that this process will run several jobs."""
        self._loads = max(self._loads, 1)

    def get(self, node: dict[str, Any], load: Callable[[], Loaded]) -> Loaded:
        """Returns a copy of the encoder of ``node``, and its tokenizer; what ``load`` returns if it is not stored.

        Frozen parameters are shared by all copies, as nothing changes them.
        """
        key = _key(node)
        if self._loaded is None or self._key != key:
            self._loaded = self._key = None  # first: two encoders need not fit into memory
            encoder, tokenizer = load()
            self._loads += 1
            if self._loads < 2 or type(encoder) is not Encoder:
                return encoder, tokenizer
            self._key, self._loaded = key, (encoder, tokenizer)
        encoder, tokenizer = self._loaded
        memo: dict[int, Any] = {id(p): p for p in encoder.parameters() if not p.requires_grad}
        return copy.deepcopy(encoder, memo), tokenizer


def _key(node: dict[str, Any]) -> str:
    """Returns what decides which encoder is loaded: the configuration, and the state of the files of a folder.

    The seed matters only for a pooler, the one part that a checkpoint may lack. At the tap ``hidden`` there is none,
    and jobs that differ in their seed share the encoder.
    """
    path = node.get("path")
    if node.get("tap", "hidden") == "hidden":
        node = {name: value for name, value in node.items() if name != "seed_init"}
    folder = model_folder(path) if isinstance(path, str) else None
    files = [] if folder is None else sorted(map(_state, (file for file in Path(folder).iterdir() if file.is_file())))
    return json.dumps([node, files], sort_keys=True, default=str)


def _state(file: Path) -> tuple[str, int, int]:
    status = file.stat()
    return file.name, status.st_size, status.st_mtime_ns


MODEL = SharedModel()

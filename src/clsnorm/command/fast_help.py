"""A fast ``--help``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence


@contextlib.contextmanager
def without_group_lists(words: Sequence[str]) -> Iterator[None]:
    """Keeps Hydra from listing all config groups for ``--help``, which more than doubles its time.

    Our template lists them itself, by ``${choices:}``, and never uses Hydra's list.
    """
    if not {"--help", "-h"} & set(words):
        yield
        return
    from hydra._internal.hydra import Hydra

    original = Hydra.format_config_groups
    Hydra.format_config_groups = lambda self, predicate, compact=True: ""
    try:
        yield
    finally:
        Hydra.format_config_groups = original

"""The lock of a run's folder."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from clsnorm.errors import DiskError
from clsnorm.run_folder.lock import PARENT, locked


@pytest.fixture
def no_space() -> Iterator[None]:
    """No file may grow, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_one_error_that_names_the_lock(tmp_path: Path, no_space: None) -> None:
    with pytest.raises(DiskError, match=rf"{PARENT}: File too large"), locked(tmp_path, PARENT):
        pass

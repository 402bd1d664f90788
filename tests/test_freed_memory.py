"""Freed memory is used again, unless the user chose settings of the allocator."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from clsnorm.freed_memory import keep_freed_memory

# Fills three tensors of 24 MiB at a time, 20 times, and prints the page faults of all rounds but the first.
ROUNDS = """
import resource, sys, torch
from clsnorm.freed_memory import keep_freed_memory

if sys.argv[1] == "keep":
    assert keep_freed_memory()
for number in range(20):
    if number == 1:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    tensors = [torch.empty(6 * 2**20).fill_(number) for _ in range(3)]
    del tensors
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
PAGES = 19 * 3 * 24 * 2**20 // os.sysconf("SC_PAGE_SIZE")  # of the tensors of these rounds
WITHOUT_CHOICE = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}


def faults(word: str, **environment: str) -> int:
    run = subprocess.run(
        [sys.executable, "-c", ROUNDS, word],
        env={**WITHOUT_CHOICE, **environment},
        check=True,
        capture_output=True,
        text=True,
    )
    return int(run.stdout)


@pytest.mark.skipif("CS_GNU_LIBC_VERSION" not in os.confstr_names, reason="needs glibc")
def test_freed_pages_are_used_again() -> None:
    assert faults("keep") < PAGES / 3
    assert faults("return", MALLOC_MMAP_THRESHOLD_="1048576") > PAGES / 2  # so they are counted


@pytest.mark.parametrize(
    "chosen", [{"MALLOC_TRIM_THRESHOLD_": "0"}, {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=1000000"}]
)
def test_a_users_settings_are_left_alone(chosen: dict[str, str]) -> None:
    assert not keep_freed_memory(chosen)

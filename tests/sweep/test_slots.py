"""Jobs side by side: cores and devices are divided, and never shared unless the user says so."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from clsnorm.errors import InputError
from clsnorm.sweep import slots as module
from clsnorm.sweep.planned_job import PlannedJob
from clsnorm.sweep.slots import Slot, available_cores, devices, parse_devices, slots

LISTING = """GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77)
  MIG 1g.5gb      Device  0: (UUID: MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f)
  MIG 1g.5gb      Device  1: (UUID: MIG-GPU-0c757cd7-e942-5726-a0b8-0e8fb7067135/7/0)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-1234)
"""


def jobs(number: int, **settings: Any) -> list[PlannedJob]:
    return [PlannedJob(f"job-{place}", (), {"accelerator": "auto", "devices": 1} | settings) for place in range(number)]


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight cores, no GPU."""
    monkeypatch.setattr(module, "available_cores", lambda: 8)
    monkeypatch.setattr(module, "devices", lambda: [])
    for name in module.THREADS:
        monkeypatch.delenv(name, raising=False)


def test_cores_are_divided() -> None:
    assert slots(jobs(9), 2, oversubscribe=False) == [Slot(4)] * 2
    assert slots(jobs(9), 3, oversubscribe=False) == [Slot(2)] * 3
    assert slots(jobs(9), -1, oversubscribe=False) == [Slot(1)] * 8
    assert slots(jobs(3), -1, oversubscribe=False) == [Slot(2)] * 3, "no worker without a job"
    assert Slot(4).environment() == {"OMP_NUM_THREADS": "4", "RAYON_NUM_THREADS": "4"}


def test_processes_of_a_job_divide_its_threads() -> None:
    places = slots(jobs(4, accelerator="cpu", devices=2), -1, oversubscribe=False)
    assert places == [Slot(2, processes=2)] * 4
    assert places[0].environment()["OMP_NUM_THREADS"] == "1"


def test_threads_that_the_user_has_set_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert Slot(4).environment() == {"RAYON_NUM_THREADS": "4"}


def test_each_job_has_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "devices", lambda: ["MIG-1", "MIG-2", "GPU-3"])
    places = slots(jobs(9), -1, oversubscribe=False)
    assert [place.environment()["CUDA_VISIBLE_DEVICES"] for place in places] == ["MIG-1", "MIG-2", "GPU-3"]
    assert [place.devices for place in slots(jobs(9), 2, oversubscribe=False)] == [("MIG-1",), ("MIG-2",)]
    assert [place.devices for place in slots(jobs(9, accelerator="cpu"), 2, oversubscribe=False)] == [None, None]


def test_jobs_on_several_gpus_share_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "devices", lambda: list("abcde"))
    assert [place.devices for place in slots(jobs(9, devices=2), -1, oversubscribe=False)] == [("a", "b"), ("c", "d")]
    assert [place.devices for place in slots(jobs(9, devices="auto"), 2, oversubscribe=False)] == [
        ("a", "b"),
        ("c", "d"),
    ]
    (one,) = slots(jobs(9, devices="auto"), -1, oversubscribe=False)
    assert one.devices == tuple("abcde")
    mixed = [*jobs(3), *jobs(1, devices=4)]
    assert [place.devices for place in slots(mixed, -1, oversubscribe=False)] == [tuple("abcd")]


@pytest.mark.parametrize(
    ("gpus", "settings", "n_jobs", "message"),
    [
        ([], {}, 9, "n_jobs to leave a core to each process, but got 9 for 8 cores. Set hydra.launcher.n_jobs=8"),
        ([], {"devices": 2}, 5, "got 5 with 2 processes each for 8 cores. Set hydra.launcher.n_jobs=4"),
        (["a"], {}, 2, "leave a GPU to each process, but got 2 for 1 GPUs. Set hydra.launcher.n_jobs=1"),
        (["a"], {"devices": 2}, 1, "got 1 with 2 processes each for 1 GPUs. Lower trainer.devices"),
        ([], {}, 0, "-1: as many as there is room for"),
        ([], {}, True, "whole number"),
        ([], {}, "2", "whole number"),
    ],
)
def test_oversubscription_is_refused(
    monkeypatch: pytest.MonkeyPatch, gpus: list[str], settings: dict[str, Any], n_jobs: Any, message: str
) -> None:
    monkeypatch.setattr(module, "devices", lambda: gpus)
    with pytest.raises(InputError) as caught:
        slots(jobs(20, **settings), n_jobs, oversubscribe=False)
    assert message in str(caught.value)


def test_oversubscription_can_be_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert slots(jobs(20), 16, oversubscribe=True) == [Slot(1)] * 16
    monkeypatch.setattr(module, "devices", lambda: ["a", "b"])
    assert [place.devices for place in slots(jobs(20), 3, oversubscribe=True)] == [("a",), ("b",), ("a",)]


def test_devices_are_read_from_the_driver_or_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert parse_devices(LISTING) == [
        "MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f",
        "MIG-GPU-0c757cd7-e942-5726-a0b8-0e8fb7067135/7/0",
        "GPU-1234",
    ]
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\ncat <<E\n{LISTING}E\n")
    tool.chmod(0o755)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert len(devices()) == 3
    tool.write_text("#!/bin/sh\nexit 9\n")
    assert devices() == []
    for visible, found in {"2, 3": ["2", "3"], "": [], "-1": [], "MIG-a": ["MIG-a"]}.items():
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert devices() == found


def test_the_quota_of_a_container_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    affinity = len(os.sched_getaffinity(0))
    monkeypatch.setattr(module, "QUOTA", tmp_path / "cpu.max")
    for text, cores in {"max 100000": affinity, "50000 100000": 1, "9900000 100000": affinity}.items():
        module.QUOTA.write_text(text)
        assert available_cores() == cores

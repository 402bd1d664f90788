"""Every normalizer: several processes that share each batch equal one process with the whole batch."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.slow  # each process tries all normalizers: a minute


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("ranks")
    worker = Path(__file__).parents[1] / "helpers" / "ranks_worker.py"
    conf = Path(__file__).parents[2] / "conf" / "normalizer"
    processes = [subprocess.Popen([sys.executable, worker, str(rank), folder, conf]) for rank in range(3)]
    assert [process.wait(timeout=180) for process in processes] == [0, 0, 0]
    return torch.load(folder / "results.pt")


@pytest.mark.parametrize(
    ("size", "way", "tolerance"),
    [(3, "plain", 1e-10), (3, "accumulated", 1e-10), (2, "plain", 1e-10), (2, "float32", 1e-4)],
)
def test_processes_equal_one(results: dict, key: str, size: int, way: str, tolerance: float) -> None:
    worst = results[size, key, way]
    assert {"z", "evaluated z", "gradient", "gradient of encoder.weight"} <= worst.keys()
    assert {name: error for name, error in worst.items() if not error < tolerance} == {}


@pytest.mark.parametrize("size", [2, 3])
def test_unsynchronized_batchnorm_takes_each_parts_statistics(results: dict, size: int) -> None:
    assert results[size, "unsynchronized"] == [{"outputs": True, "buffers": True}] * size


@pytest.mark.parametrize("size", [2, 3])
def test_a_global_batch_of_one_is_refused_by_every_process(results: dict, size: int) -> None:
    messages = results[size, "single example"]
    assert len(messages) == size
    assert all("global batch of at least 2 examples" in message and "but got 1" in message for message in messages)

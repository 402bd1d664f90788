"""The collectives, and moments over processes; also the identity on one process."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from clsnorm import distributed
from clsnorm.statistics import Moments

SIZE = 3
GENERATOR = torch.Generator().manual_seed(0)
ROWS = 1e6 + torch.randn(40, 4, dtype=torch.float64, generator=GENERATOR)
NOTHING = ROWS[:0]
CASES = [
    [ROWS[:23], ROWS[23:24], ROWS[24:]],  # uneven
    [NOTHING, ROWS, NOTHING],  # empty, the first included
    [ROWS[:7] - 1e6, ROWS[7:] + 1e6, NOTHING],  # shifts far apart
    [NOTHING, NOTHING, NOTHING],
]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    folder = tmp_path_factory.mktemp("group")
    torch.save(CASES, folder / "cases.pt")
    worker = Path(__file__).parent / "helpers" / "distributed_worker.py"
    processes = [subprocess.Popen([sys.executable, worker, str(rank), str(SIZE), folder]) for rank in range(SIZE)]
    assert [process.wait(timeout=120) for process in processes] == [0] * SIZE
    return [torch.load(folder / f"result{rank}.pt") for rank in range(SIZE)]


def test_each_process_knows_its_rank_and_the_world_size(results: list[dict]) -> None:
    places = [result["collectives"] for result in results]
    assert [(place["active"], place["rank"], place["size"]) for place in places] == [
        (True, r, SIZE) for r in range(SIZE)
    ]


def test_a_sum_is_equal_on_all_processes_and_does_not_change_its_argument(results: list[dict]) -> None:
    for result in results:
        assert result["collectives"]["sum"].tolist() == [6.0, 6.0]
        assert result["collectives"]["untouched"].tolist() == [1.0, 1.0]


def test_the_gradient_of_a_sum_is_the_sum_over_all_processes(results: list[dict]) -> None:
    inputs = [torch.arange(3.0, dtype=torch.float64) + rank for rank in range(SIZE)]
    for result, x in zip(results, inputs, strict=True):
        torch.testing.assert_close(result["collectives"]["total"], sum(x**2 for x in inputs))
        torch.testing.assert_close(result["collectives"]["gradient"], (1 + 2 + 3) * 2 * x)


def test_objects_are_broadcast_and_gathered(results: list[dict]) -> None:
    for result in results:
        assert result["collectives"]["broadcast"] == {"from": 0}
        assert result["collectives"]["gathered"] == [f"rank {rank}" for rank in range(SIZE)]


@pytest.mark.parametrize("case", range(len(CASES) - 1))
def test_moments_of_all_processes_equal_those_of_one(results: list[dict], case: int) -> None:
    expected = Moments(4)
    expected.update(torch.cat(CASES[case]))
    for result in results:
        reduced = Moments(4)
        reduced.load_state_dict(result["moments"][case])
        assert reduced.count == expected.count
        torch.testing.assert_close(reduced.mean, expected.mean, rtol=1e-12, atol=0)
        scale = expected.variance.max()
        torch.testing.assert_close(reduced.covariance / scale, expected.covariance / scale, rtol=0, atol=1e-12)


def test_moments_are_bit_equal_on_all_processes(results: list[dict]) -> None:
    for case in range(len(CASES)):
        for result in results[1:]:
            for name in ("count", "shift", "sum", "products"):
                first, other = results[0]["moments"][case][name], result["moments"][case][name]
                assert torch.equal(torch.as_tensor(first), torch.as_tensor(other)), (case, name)


def test_moments_of_no_rows_stay_empty(results: list[dict]) -> None:
    assert all(result["moments"][-1]["count"] == 0 for result in results)


def test_one_process_needs_no_group() -> None:
    x = torch.ones(2, requires_grad=True)
    assert not distributed.is_active()
    assert (distributed.rank(), distributed.world_size()) == (0, 1)
    assert torch.equal(distributed.all_reduce_sum(x), x)
    assert not distributed.all_reduce_sum(x).requires_grad
    assert distributed.differentiable_all_reduce_sum(x) is x
    assert distributed.broadcast_object("o") == "o"
    assert distributed.gather_objects("o") == ["o"]
    distributed.barrier()
    moments = Moments(2)
    moments.update(torch.eye(2))
    moments.all_reduce()
    torch.testing.assert_close(moments.variance, torch.tensor([0.25, 0.25], dtype=torch.float64))


def test_stored_parts_return_to_their_processes_or_all_to_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    for rank, expected in ((0, [["a"], ["a", "b", "c"]]), (1, [["b"], []])):
        monkeypatch.setattr(distributed, "world_size", lambda: 2)
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        assert [distributed.own_parts(parts) for parts in (["a", "b"], ["a", "b", "c"])] == expected


@pytest.mark.parametrize(("backend", "expected"), [("nccl", "cuda"), ("gloo", "cpu"), ("cpu:gloo,cuda:nccl", "cpu")])
def test_host_tensors_are_sent_through_the_gpu_if_the_group_has_no_cpu_backend(
    monkeypatch: pytest.MonkeyPatch, backend: str, expected: str
) -> None:
    monkeypatch.setattr(torch.distributed, "get_backend", lambda: backend)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    assert distributed._carrier(torch.device("cpu")).type == expected
    assert distributed._carrier(torch.device("cuda", 0)).type == "cuda"

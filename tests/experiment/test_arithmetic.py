"""Settings of torch hold while a run computes, change no result to the bit, and are as before afterwards."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from runs import metrics, weights
from torch.utils import deterministic

from clsnorm.experiment import run
from clsnorm.experiment.arithmetic import matrix_products, unfilled_memory

Train = Callable[..., SimpleNamespace]
OBSERVERS = "callbacks=[cls_statistics,collapse,saturation,gradient_norms,train_eval_gap]"


def test_memory_is_filled_again_after_the_block() -> None:
    assert deterministic.fill_uninitialized_memory
    with contextlib.suppress(ValueError), unfilled_memory():
        assert not deterministic.fill_uninitialized_memory
        raise ValueError
    assert deterministic.fill_uninitialized_memory


@pytest.mark.parametrize(
    "options",
    [
        ("normalizer=batchnorm", OBSERVERS),
        pytest.param(("normalizer=dbn", "data.packed=false", OBSERVERS), marks=pytest.mark.slow),
        pytest.param(("normalizer=zca_whitening", "model.tap=pooler", "regularizer=istar"), marks=pytest.mark.slow),
        pytest.param(("trainer.precision=bf16-mixed", "optimizer=sgd", OBSERVERS), marks=pytest.mark.slow),
    ],
)
def test_results_without_filling_equal_those_with_it_to_the_bit(
    train: Train, options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Filled memory is NaN: an operation that read it would give another result, and most likely NaN."""
    found = []
    for block in (unfilled_memory, contextlib.nullcontext):
        seen: list[bool] = []
        original = run.conclude

        def conclude(*arguments: Any, seen: list[bool] = seen, original: Any = original) -> Any:
            seen.append(deterministic.fill_uninitialized_memory)
            return original(*arguments)

        monkeypatch.setattr(run, "unfilled_memory", block)
        monkeypatch.setattr(run, "conclude", conclude)
        done = train(*options, "force=true")
        monkeypatch.setattr(run, "conclude", original)
        assert seen == [block is contextlib.nullcontext]
        found.append((weights(done), metrics(done)))
    (state, numbers), (expected, others) = found
    assert numbers == others
    assert all(torch.equal(state[name], tensor) for name, tensor in expected.items())


def test_tf32_is_for_an_nvidia_gpu_and_ends_with_the_block() -> None:
    before = torch.get_float32_matmul_precision()
    with matrix_products("cpu", tf32=True):
        assert torch.get_float32_matmul_precision() == before
    with matrix_products("cuda", tf32=True):
        assert torch.get_float32_matmul_precision() == "high"
        with matrix_products("cuda:1", tf32=False):  # a calibration
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == "high"
    assert torch.get_float32_matmul_precision() == before


def test_a_run_with_tf32_sets_it_for_training_alone(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, bool]] = []

    def products(device: Any, *, tf32: bool) -> contextlib.AbstractContextManager[None]:
        seen.append((torch.device(device).type, tf32))
        return contextlib.nullcontext()

    monkeypatch.setattr(run, "matrix_products", products)
    train("model.tf32=true", "callbacks=none", "trainer.max_epochs=1")
    assert seen == [("cpu", True), ("cpu", True)]

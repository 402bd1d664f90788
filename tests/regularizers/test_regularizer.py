"""Where a term is applied, how it joins the loss of a step, and whole runs with one."""

from __future__ import annotations

import dataclasses
import doctest
import functools
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import two_processes as shared
from runs import crashing_before, metrics, rows, weights
from torch.nn import functional as F  # noqa: N812

from clsnorm.errors import InputError
from clsnorm.model.places import tapping
from clsnorm.regularizers import CosReg, Regularizer, Unregularized

Train = Callable[..., SimpleNamespace]
SHORT = ("trainer.max_epochs=1", "callbacks=none", "trainer.log_every_n_steps=1")


def test_places_are_chosen_by_name() -> None:
    places = {name: torch.full((2, 3), float(i)) for i, name in enumerate(("layer00", "layer01", "layer02", "h", "z"))}
    places["pooler"] = torch.zeros(2, 3)
    for name in ("h", "z", "layer02"):
        assert torch.equal(CosReg(3, at=name).choose(places), places[name])
    assert torch.equal(CosReg(3, at="layers").choose(places), torch.cat([places["layer01"], places["layer02"]]))
    assert [CosReg(3, at=at).reads_layers for at in ("h", "z", "layer01", "layers")] == [False, False, True, True]


def test_a_layer_that_the_encoder_lacks_is_refused(tiny) -> None:
    with pytest.raises(InputError, match="layer01 to layer03, but got 'layer04'"):
        shared.finetuner(tiny("bert"), regularizer=CosReg(24, at="layer04"))
    with pytest.raises(InputError, match="layer01 to layer03, but got 'layer00'"):
        shared.finetuner(tiny("bert"), regularizer=CosReg(24, at="layer00"))
    assert isinstance(shared.finetuner(tiny("bert")).regularizer, Unregularized)


def of_step(sizes: tuple[int, ...]) -> list[object]:
    """The batches of one optimizer step."""
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    parts = [
        shared.part_of([4 + i for i in range(size)], start, index=0, count=1)
        for start, size in zip(starts, sizes, strict=True)
    ]
    return [dataclasses.replace(part, step_size=sum(sizes)) for part in parts]


@pytest.mark.parametrize("sizes", [(8,), (6, 3)], ids=["one batch", "accumulated"])
@pytest.mark.parametrize("at", ["h", "z", "layer02", "layers"])
@pytest.mark.parametrize("weight", [2.0, -3.0])
def test_a_step_descends_the_mean_loss_plus_the_weighted_mean_term(tiny, sizes, at, weight) -> None:
    lr, batches = 0.05, of_step(sizes)
    options = {"optimizer": functools.partial(torch.optim.SGD, lr=lr), "regularizer": CosReg(24, weight=weight, at=at)}
    tuner, plain = shared.finetuner(tiny("bert"), **options), shared.finetuner(tiny("bert"), **options)
    plain.load_state_dict(tuner.state_dict())
    fitter = shared.trainer(max_epochs=1, limit_val_batches=0, accumulate_grad_batches=len(sizes))
    loader = torch.utils.data.DataLoader(batches, batch_size=None)
    fitter.fit(tuner, loader)
    classifier, objective, term = plain.classifier.train(), torch.zeros(()), torch.zeros(())
    for batch in batches:
        with tapping(classifier.encoder) as layers:
            output = classifier(batch)
        share = len(batch) / sum(sizes)
        x = plain.regularizer.choose({**layers, "h": output.h, "z": output.z})
        unit = F.normalize(x.double())
        cosines = unit @ unit.T
        mean = (cosines.sum() - cosines.trace()) / (len(x) * (len(x) - 1))
        objective = objective + share * (F.cross_entropy(output.logits, batch.labels) + weight * mean)
        term = term + share * mean.detach()
    objective.backward()
    for (name, after), before in zip(tuner.classifier.named_parameters(), plain.classifier.parameters(), strict=True):
        if before.grad is not None:
            torch.testing.assert_close(
                after.detach(), before.detach() - lr * before.grad, atol=1e-5, rtol=1e-4, msg=name
            )
    logged = fitter.callback_metrics
    assert float(logged["train/regularizer"]) == pytest.approx(float(term), abs=1e-5)
    assert float(logged["train/regularizer_scaled"]) == pytest.approx(weight * float(term), abs=1e-5)


class Undefined(CosReg):
    def term(self, x):
        return super().term(x) * float("nan")


def test_a_weight_of_zero_logs_the_term_and_leaves_training_alone(tiny) -> None:
    start, ends = shared.finetuner(tiny("bert")).state_dict(), []
    for regularizer in (None, CosReg(24, weight=0.0), Undefined(24, weight=0.0)):
        tuner = shared.finetuner(tiny("bert"), regularizer=regularizer)
        tuner.load_state_dict(start)
        fitter = shared.trainer(max_epochs=1, limit_val_batches=0)
        fitter.fit(tuner, torch.utils.data.DataLoader(of_step((8,)), batch_size=None))
        assert ("train/regularizer" in fitter.callback_metrics) == (regularizer is not None)
        ends.append(dict(tuner.named_parameters()))
    for other in ends[1:]:
        assert all(torch.equal(value, other[name]) for name, value in ends[0].items())
    assert any(not torch.equal(value, start[name]) for name, value in ends[0].items())


@pytest.mark.parametrize("choice", ["istar", "cosreg", "vicreg"])
def test_a_run_logs_the_term_and_trains_otherwise_than_without(train: Train, choice: str) -> None:
    plain = weights(train(*SHORT))
    run = train(*SHORT, f"regularizer={choice}", "regularizer.weight=-5")
    table = [row for row in rows(run.folder / "metrics.csv") if row["train/loss"]]
    assert all(float(row["train/regularizer_scaled"]) == -5 * float(row["train/regularizer"]) for row in table)
    own = weights(run)
    assert any(not torch.equal(own[name], value) for name, value in plain.items())
    assert any(name.startswith("regularizer.running") for name in own) == (choice == "istar")


def test_an_interrupted_run_resumes_with_its_running_covariance(train: Train) -> None:
    options = (*SHORT, "regularizer=istar", "regularizer.zeta=0.6", "checkpoint_every=1")
    whole = weights(train(*options, "paths.output=whole"))
    with crashing_before(3):
        train(*options)
    resumed = weights(train(*options))
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())


def test_a_batch_of_one_is_refused_before_training(train: Train) -> None:
    with pytest.raises(InputError, match=r"regularizer=cosreg needs at least 2 examples .* data\.drop_last=true"):
        train(*SHORT, "regularizer=cosreg", "data.batch_size=16", "data.max_train_examples=33")


@pytest.mark.slow
@pytest.mark.parametrize("trainer", ["ddp_cpu", "fsdp"])
@pytest.mark.parametrize("at", ["h", "layers"])
def test_two_processes_train_as_one(train: Train, trainer: str, at: str) -> None:
    """The term is that of the whole batch on any number of processes."""
    plain = (
        "model.dropout=0.0",
        "classifier.dropout=0.0",
        "optimizer.eps=1",
        "optimizer.lr=1e-2",
        "trainer.max_steps=3",
    )
    options = (*SHORT, *plain, "regularizer=istar", "regularizer.weight=5", f"regularizer.at={at}")
    one = train(*options)
    where = (f"trainer={trainer}", "trainer.accelerator=cpu", "trainer.devices=2", "paths.output=two")
    two = train(*options, *where)
    first, second = weights(one), weights(two)
    assert all(torch.allclose(first[name].float(), second[name].float(), atol=1e-5) for name in first)
    for name in ("train/regularizer", "train/regularizer_scaled"):
        values = [[float(row[name]) for row in rows(run.folder / "metrics.csv") if row.get(name)] for run in (one, two)]
        assert values[1] == pytest.approx(values[0], rel=1e-4)
    assert metrics(one)["report/loss"] == pytest.approx(metrics(two)["report/loss"], abs=1e-4)


def test_the_examples_of_the_page_hold() -> None:
    assert issubclass(CosReg, Regularizer)
    page = Path(__file__).parents[2] / "docs" / "regularizers.md"
    result = doctest.testfile(str(page), module_relative=False)
    assert result.attempted > 3
    assert result.failed == 0

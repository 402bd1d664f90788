"""Jobs of one process get the encoder as it was loaded, without loading it again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from runs import weights

from clsnorm.experiment import assembly
from clsnorm.experiment.shared_models import SharedModel
from clsnorm.model import Encoder

Train = Callable[..., SimpleNamespace]


class Loads:
    """Loads the encoder of a node, and counts."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, node: dict[str, Any]) -> Callable[[], tuple[Encoder, Any]]:
        def load() -> tuple[Encoder, Any]:
            self.count += 1
            return Encoder(**{name: value for name, value in node.items() if name != "_target_"}), "tokenizer"

        return load


def test_the_third_load_of_a_process_is_a_copy_and_the_second_if_jobs_are_expected(tiny: Callable[..., str]) -> None:
    for expected in (False, True):
        shared, loads, node = SharedModel(), Loads(), {"path": tiny("bert")}
        if expected:
            shared.expect_jobs()
        encoders = [shared.get(node, loads(node))[0] for _ in range(4)]
        assert loads.count == (1 if expected else 2)
        assert len({id(p) for encoder in encoders for p in encoder.parameters()}) == 4 * len(
            list(encoders[0].parameters())
        )


@pytest.mark.parametrize("options", [{}, {"freeze": "all"}, {"freeze": 2}, {"tap": "pooler", "freeze": 1}])
def test_a_copy_is_as_loaded_and_shares_nothing_but_frozen_parameters(
    options: dict[str, Any], tiny: Callable[..., str], make_batch: Callable[..., Any]
) -> None:
    shared, loads, node = SharedModel(), Loads(), {"path": tiny("bert"), **options}
    shared.expect_jobs()
    first, fresh = shared.get(node, loads(node))[0], loads(node)()[0]
    first.eval().register_forward_hook(lambda *_: None)
    for parameter in first.parameters():
        parameter.data.mul_(1 + float(parameter.requires_grad))
    second = shared.get(node, loads(node))[0]
    assert second.training
    assert not second._forward_hooks
    assert second.fingerprint() == fresh.fingerprint()
    assert all(torch.equal(second.state_dict()[name], tensor) for name, tensor in fresh.state_dict().items())
    for (name, one), two in zip(first.named_parameters(), second.parameters(), strict=True):
        assert (one is two) == (not one.requires_grad), name
    outputs = []
    for encoder in (second, fresh):
        torch.manual_seed(0)
        outputs.append(encoder(make_batch([5, 3], packed=True)).cls)
    assert torch.equal(*outputs)
    assert [module.training for module in second.modules()] == [module.training for module in fresh.modules()]
    second.load_state_dict(fresh.state_dict())  # its hooks belong to the copy


def test_another_configuration_or_changed_files_are_loaded(tiny: Callable[..., str], tmp_path: Path) -> None:
    shared, loads = SharedModel(), Loads()
    shared.expect_jobs()
    folder = tmp_path / "model"
    shutil.copytree(tiny("bert"), folder)
    for count, options in ((1, {}), (1, {}), (2, {"tap": "pooler"}), (3, {})):
        node = {"path": str(folder), **options}
        shared.get(node, loads(node))
        assert loads.count == count
    (folder / "config.json").write_text((folder / "config.json").read_text() + "\n")
    shared.get(node, loads(node))
    assert loads.count == 4


def test_jobs_of_other_seeds_share_an_encoder_unless_it_draws_a_pooler(tiny: Callable[..., str]) -> None:
    for tap, expected in (("hidden", 1), ("pooler", 3)):
        shared, loads = SharedModel(), Loads()
        shared.expect_jobs()
        fingerprints = set()
        for seed in (0, 1, 2):
            node = {"path": tiny("bert"), "tap": tap, "seed_init": seed}
            fingerprints.add(shared.get(node, loads(node))[0].fingerprint())
        assert loads.count == expected
        assert tap == "pooler" or len(fingerprints) == 1


@pytest.mark.parametrize(
    "options", [("normalizer=ln_refit",), pytest.param(("model.freeze=all",), marks=pytest.mark.slow)]
)
def test_runs_that_share_equal_runs_alone_to_the_bit(
    train: Train, options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []
    for jobs in (1, 3):
        shared = SharedModel()
        monkeypatch.setattr(assembly, "MODEL", shared)
        if jobs > 1:
            shared.expect_jobs()
        for seed in range(jobs):  # the last job is compared: the others must not have changed what it copies
            number = 2 if jobs == 1 else seed
            found = train(*options, f"seed={number}", "callbacks=none", "trainer.max_epochs=1", "force=true")
        runs.append(weights(found))
    assert runs[0].keys() == runs[1].keys()
    assert all(torch.equal(runs[0][name], tensor) for name, tensor in runs[1].items())

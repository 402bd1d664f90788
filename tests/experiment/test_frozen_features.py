"""A frozen encoder encodes each text once; the run is that of an encoder that computes in each step."""

from __future__ import annotations

import itertools
import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from runs import crashing_before, metrics, results, rows, weights

from clsnorm import distributed
from clsnorm.data.tokens.loader import TokenDataset
from clsnorm.data.tokens.sampling import Part
from clsnorm.data.tokens.stored_features import StoredFeatures
from clsnorm.data.tokens.tokenization import Tokens
from clsnorm.errors import InputError
from clsnorm.experiment import frozen_features, run
from clsnorm.experiment.loaded import load_run
from clsnorm.model import Encoder

Train = Callable[..., SimpleNamespace]
FROZEN = ("model.freeze=all", "optimizer.lr=1e-2")
OBSERVERS = "callbacks=[cls_statistics,collapse,saturation,gradient_norms,train_eval_gap,sharpness]"


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Gets the name of each split that is encoded."""
    splits: list[str] = []
    original = frozen_features._write_share

    def write(*arguments: Any) -> None:
        splits.append(arguments[-1])
        original(*arguments)

    monkeypatch.setattr(frozen_features, "_write_share", write)
    return splits


def slow(*options: str) -> Any:
    return pytest.param(options if len(options) > 1 else options[0], marks=pytest.mark.slow)


def without_features(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the frozen encoder compute in each step."""
    monkeypatch.setattr(run, "encode_once", lambda *_, **__: 0.0)


@pytest.mark.parametrize(
    "options",
    [
        ("normalizer=batchnorm", "model.tap=pooler", OBSERVERS),
        slow("normalizer=identity", OBSERVERS),
        slow("normalizer=zca_whitening", "callbacks=none"),
        ("normalizer=powernorm", "trainer.precision=bf16-mixed", "trainer.max_epochs=1", "callbacks=gradient_norms"),
        slow("normalizer=layernorm", "data.packed=false", "trainer.accumulate_grad_batches=2", "callbacks=none"),
    ],
)
def test_a_run_equals_that_of_a_frozen_encoder_that_computes_in_each_step(
    train: Train, workspace: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    once = train(*FROZEN, *options)
    found, state = metrics(once), weights(once)
    shutil.rmtree(once.folder)
    without_features(monkeypatch)
    each = train(*FROZEN, *options)
    expected = metrics(each)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        # a few rounding errors of float32; the largest eigenvalue is found by iterations that end at 1 %
        rounding = 1e-2 if "sharpness" in name else 2e-3
        assert found[name] == (value if value is None else pytest.approx(value, rel=rounding, abs=1e-5)), name
    for name, tensor in weights(each).items():
        torch.testing.assert_close(state[name], tensor, rtol=1e-4, atol=1e-4, equal_nan=True)


def test_texts_are_encoded_once_for_all_normalizers_seeds_labels_and_batch_sizes(
    train: Train, encoded: list[str]
) -> None:
    options = (*FROZEN, "callbacks=none", "trainer.max_epochs=1")
    first = train(*options)
    assert encoded == ["train", "select", "report"]
    for change in (
        "normalizer=standardize",
        "seed=5",
        "data.label_noise=0.2",
        "data.batch_size=7",
        "classifier=cosine",
    ):
        train(*options, change)
    train(*options, "data.eval_batch_size=11", "trainer.precision=bf16-mixed")
    assert encoded == ["train", "select", "report"]
    assert results(first)["frozen"]["encoding_seconds"] > 0


@pytest.mark.parametrize("change", ["model.tap=pooler", slow("data.max_length=8"), slow("data.packed=false")])
def test_another_computation_or_other_texts_are_encoded_again(train: Train, encoded: list[str], change: str) -> None:
    options = (*FROZEN, "callbacks=none", "trainer.max_epochs=1")
    train(*options)
    train(*options, change)
    assert encoded == 2 * ["train", "select", "report"]


def test_large_subsets_share_the_embeddings_of_all_rows(train: Train, encoded: list[str]) -> None:
    options = (*FROZEN, "callbacks=none", "trainer.max_epochs=1")
    train(*options, "data.max_train_examples=100")
    train(*options, "data.max_train_examples=110", "seed=3")
    assert encoded == ["train", "select", "report"]
    train(*options, "data.max_train_examples=24")
    assert encoded[3:] == ["train"]


def test_small_subsets_get_the_same_embeddings_whatever_was_encoded_before(train: Train, workspace: Path) -> None:
    options = (*FROZEN, "callbacks=none", "trainer.max_epochs=1", "data.max_train_examples=24")
    alone = weights(small := train(*options))
    shutil.rmtree(small.folder)
    shutil.rmtree(workspace / "cache", ignore_errors=True)
    train(*options[:-1])
    after = weights(train(*options))
    assert all(torch.equal(alone[name], after[name]) for name in alone)


def test_a_damaged_entry_is_computed_again(train: Train, encoded: list[str], workspace: Path) -> None:
    options = (*FROZEN, "callbacks=none", "trainer.max_epochs=1")
    first = weights(train(*options))
    for file in (workspace / "cache" / "embeddings").glob("*/values"):
        file.write_bytes(file.read_bytes()[:-1] + b"!")
    again = train(*options, "force=true")
    assert encoded == 2 * ["train", "select", "report"]
    assert all(torch.equal(first[name], tensor) for name, tensor in weights(again).items())


@pytest.mark.parametrize("lost", [pytest.param(False, marks=pytest.mark.slow), True])
def test_an_interrupted_run_resumes_to_the_bit(train: Train, workspace: Path, lost: bool) -> None:
    options = (*FROZEN, "normalizer=batchnorm", OBSERVERS, "checkpoint_every=1")
    whole = train(*options)
    expected, numbers = weights(whole), metrics(whole)
    logged = rows(whole.folder / "metrics.csv")
    shutil.rmtree(whole.folder)
    with crashing_before(11):
        train(*options)
    if lost:  # the embeddings are computed again
        shutil.rmtree(workspace / "cache" / "embeddings")
    resumed = train(*options)
    assert all(torch.equal(expected[name], tensor) for name, tensor in weights(resumed).items())
    assert metrics(resumed) == numbers
    assert rows(resumed.folder / "metrics.csv") == logged


@pytest.mark.slow
@pytest.mark.parametrize("trainer", ["ddp_cpu", "fsdp"])
def test_two_processes_train_as_one(train: Train, workspace: Path, trainer: str) -> None:
    """The selected weights are not the last ones, so that a file without the frozen ones is loaded."""
    options = ("model.freeze=all", "normalizer=batchnorm", "callbacks=none", "optimizer.lr=0.1")
    options += ("classifier.dropout=0", "scheduler=constant", "trainer.val_check_interval=2")
    one = results(train(*options))
    several = (f"trainer={trainer}", "trainer.accelerator=cpu", "trainer.devices=2")
    two = results(train(*options, *several, f"paths.output={workspace}/two"))
    assert (two["selected_step"], two["devices"]) == (one["selected_step"], 2)
    assert one["selected_step"] < one["steps"]
    for name, value in one["metrics"].items():
        assert two["metrics"][name] == pytest.approx(value, rel=1e-3, abs=1e-4, nan_ok=True), name


def test_lowest_layers_train_nothing_and_the_run_says_so(
    train: Train, caplog: pytest.LogCaptureFixture, tiny_bert: Path
) -> None:
    with caplog.at_level(logging.INFO, logger="clsnorm"):
        found = train("model.freeze=2", "callbacks=none", "trainer.max_epochs=1")
    line = next(message for message in caplog.messages if message.startswith("not trained"))
    assert "the embedding layer and layer 1 of 2; dropout is off there" in line
    recorded = results(found)["frozen"]
    assert recorded["part"] == "the embedding layer and layer 1 of 2"
    assert f"{recorded['trained_parameters']} of {recorded['parameters']}" in line
    loaded = {f"classifier.encoder.{name}": p for name, p in Encoder(str(tiny_bert)).named_parameters()}
    moved = {
        name for name, tensor in weights(found).items() if name in loaded and not torch.equal(tensor, loaded[name])
    }
    assert moved
    assert all(".layer.1." in name for name in moved)
    assert results(train("callbacks=none", "trainer.max_epochs=1"))["frozen"] is None


def test_files_hold_what_is_trained_and_load_whole(train: Train, tiny_bert: Path) -> None:
    found = train("model.freeze=all", "normalizer=layernorm", "callbacks=none", "trainer.max_epochs=1")
    size = (found.folder / "selected.ckpt").stat().st_size
    assert size < 20_000 < (tiny_bert / "model.safetensors").stat().st_size
    classifier = load_run(found.folder).classifier
    expected = Encoder(str(tiny_bert)).state_dict()
    assert all(torch.equal(expected[name], tensor) for name, tensor in classifier.encoder.state_dict().items())
    assert torch.equal(weights(found)["classifier.head.weight"], classifier.head.weight)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("model.freeze=all", "normalizer=ln_refit"), "changes its last layer norm.*model.freeze"),
        (("model.freeze=all", "regularizer=istar"), "regularizer.at=h.*nothing before it is trained"),
        (("model.freeze=all", "regularizer=istar", "regularizer.at=z"), "regularizer.at=z"),
        (("model.freeze=2", "regularizer=istar", "regularizer.at=layer01"), "regularizer.at=layer01"),
        (
            ("model.freeze=all", "normalizer=standardize", "classifier.recalibrate_every=1"),
            "recalibrate_every=1.*frozen",
        ),
    ],
)
def test_what_a_frozen_encoder_cannot_do_is_refused(train: Train, options: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        train(*options)


def test_what_training_can_still_change_is_regularized(train: Train) -> None:
    for options in (
        ("model.freeze=all", "regularizer.at=z", "normalizer=dyt"),
        ("model.freeze=2", "regularizer.at=layer02"),
    ):
        found = train("regularizer=istar", *options, "callbacks=none", "trainer.max_epochs=1")
        assert results(found)["status"] == "completed"


def dataset(count: int) -> TokenDataset:
    draw = np.random.default_rng(0)
    lengths = draw.integers(1, 14, count)
    tokens = Tokens(
        token_ids=draw.integers(4, 60, lengths.sum()).astype(np.int32),
        segment_ids=np.zeros(lengths.sum(), np.uint8),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        truncated=np.zeros(count, bool),
        labels=np.zeros(count, np.int64),
        example_ids=np.arange(count),
    )
    return TokenDataset(tokens, packed=True, padding=0)


@pytest.mark.parametrize("count", [0, 1, 37])
@pytest.mark.parametrize("processes", [2, 3, 5])
def test_embeddings_are_the_same_to_the_bit_for_any_number_of_processes(
    count: int, processes: int, tiny: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frozen_features, "TOKENS", 40)
    encoder, texts, found = Encoder(tiny("bert"), freeze="all"), dataset(count), []
    chosen = np.random.default_rng(1).permutation(count)
    for number in (1, processes):
        path = tmp_path / str(number)
        path.write_bytes(bytes(4 * 24 * count))
        for rank in range(number):
            monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
            monkeypatch.setattr(distributed, "world_size", lambda number=number: number)
            frozen_features._write_share(path, encoder, texts, chosen, "cpu", "train")
        found.append(path.read_bytes())
    assert found[0] == found[1]
    stored = StoredFeatures.load(tmp_path / "1", 24, chosen, count)
    assert encoder.training
    with torch.no_grad():
        for row in range(count):
            alone = encoder(texts.__getitems__(Part(np.array([row]), 1))).cls[0].numpy()
            np.testing.assert_allclose(stored.of(np.array([row]))[0], alone, atol=2e-6, rtol=1e-5)


def test_batches_hold_similar_lengths_and_each_row_once() -> None:
    lengths = np.random.default_rng(0).integers(1, 600, 500)
    batches = list(frozen_features._by_length(lengths))
    assert sorted(np.concatenate(batches)) == list(range(500))
    assert all(len(b) * lengths[b].max() <= frozen_features.TOKENS for b in batches)
    assert all(lengths[a].min() >= lengths[b].max() for a, b in itertools.pairwise(batches))
    assert len(next(iter(frozen_features._by_length(np.array([10_000, 3]))))) == 1  # a long text is a batch


def test_two_models_with_the_same_weights_have_their_own_entries(tiny: Callable[..., str]) -> None:
    """Weights alone do not say how many heads there are."""
    keys = set()
    for heads in (3, 4):
        encoder = Encoder(tiny("bert"), freeze="all")
        encoder.model.config.num_attention_heads = heads
        keys.add(frozen_features._key(encoder, dataset(3), np.arange(3)))
    assert len(keys) == 2
    plain = Encoder(tiny("bert"), freeze="all", dropout=0.3)
    assert json.dumps(plain.computation()) == json.dumps(Encoder(tiny("bert")).computation())

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from clsnorm.errors import InputError
from clsnorm.model import Encoder, load_tokenizer
from clsnorm.pretraining import MaskedLanguageModel, Recipe, continue_pretraining
from clsnorm.pretraining.__main__ import main

RECIPE = Recipe(steps=30, batch_size=16, max_length=16, rows_per_set=300, lr=3e-3)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def run(
    tiny_bert: Path, cache: Path, name: str = "model", recipe: Recipe = RECIPE, **options: bool
) -> tuple[Path, dict]:
    paths = {"data": "data", "cache": str(cache)}
    return continue_pretraining(name, recipe, model=str(tiny_bert), sets=["rotten_tomatoes"], paths=paths, **options)


def test_training_lowers_the_loss_and_the_result_is_an_encoder(tiny_bert: Path, cache: Path) -> None:
    folder, record = run(tiny_bert, cache)
    assert folder == cache / "models" / "model"
    assert record["rows"] == {"rotten_tomatoes": 300}
    assert record["held_out"]["after"]["loss"] < record["held_out"]["before"]["loss"] - 0.5
    before, after = Encoder(str(tiny_bert)), Encoder(str(folder))
    assert before.fingerprint() != after.fingerprint()
    assert load_tokenizer(str(folder)).get_vocab() == load_tokenizer(str(tiny_bert)).get_vocab()


def test_the_same_recipe_gives_the_same_weights_and_is_not_repeated(tiny_bert: Path, cache: Path) -> None:
    folder, record = run(tiny_bert, cache)
    changed = (folder / "model.safetensors").stat().st_mtime_ns
    assert run(tiny_bert, cache) == (folder, record)
    assert (folder / "model.safetensors").stat().st_mtime_ns == changed
    torch.rand(3)
    other, _ = run(tiny_bert, cache, name="other")
    assert Encoder(str(folder)).fingerprint() == Encoder(str(other)).fingerprint()


def test_another_recipe_does_not_replace_a_model_unless_forced(tiny_bert: Path, cache: Path) -> None:
    run(tiny_bert, cache, name="kept")
    shorter = Recipe(steps=2, batch_size=16, max_length=16, rows_per_set=300)
    with pytest.raises(InputError, match=r"trained in another way.*--force"):
        run(tiny_bert, cache, name="kept", recipe=shorter)
    assert run(tiny_bert, cache, name="kept", recipe=shorter, force=True)[1]["asked"]["recipe"]["steps"] == 2


def test_the_command_prints_where_the_model_is(
    tiny_bert: Path, cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--steps", "2", "--max_length", "16", "--rows_per_set", "50", "--name", "typed"]
    main([*words, "--sets", "rotten_tomatoes", "--model", str(tiny_bert), f"paths.cache={cache}"])
    assert f"{cache}/models/typed: 2 steps" in capsys.readouterr().out


@pytest.mark.parametrize("word", ["--name=a/b", "--steps=0"])
def test_wrong_arguments_are_refused_before_torch_is_needed(word: str) -> None:
    with pytest.raises(InputError, match=word.partition("=")[0]):
        main([word])


@pytest.fixture
def signals() -> Iterator[None]:
    """Restores the handlers of signals: Lightning ignores Ctrl-C from the first one on."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.slow
@pytest.mark.usefixtures("signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_training_stores_nothing(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    step = MaskedLanguageModel.training_step

    def interrupted(module: MaskedLanguageModel, batch: Any, index: int) -> Any:
        if index == 3:
            os.kill(os.getpid(), number)
        return step(module, batch, index)

    monkeypatch.setattr(MaskedLanguageModel, "training_step", interrupted)
    with pytest.raises(InputError, match=r"Interrupted after [34] of 30 steps; nothing is stored"):
        run(tiny_bert, tmp_path)
    assert not (tmp_path / "models").exists()

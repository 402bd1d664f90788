"""A misspelt name is refused with the nearest and all existing names."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException

from clsnorm.config import choices, names
from clsnorm.errors import InputError


def composed(word: str, primary: str = "train") -> None:
    names.register()
    with initialize_config_dir(str(choices.CONF), version_base="1.3"):
        choices.require_known(compose(primary, [word]), primary)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("normalizer=layernrom", "Expected an option of `normalizer`, but got 'layernrom'. Did you mean 'layernorm'?"),
        ("normalizer=l2", "but got 'l2'. Did you mean normalizer=l2norm? There are abtt, batchnorm"),
        ("normalizer=syncbn", "Did you mean normalizer=batchnorm?"),
        ("normalizer=qqqq", "but got 'qqqq'. There are"),
        ("normalizer=batch_norm", "Did you mean 'batchnorm'?"),
        (
            "callbacks=[default,gradient_norm]",
            "an option of `callbacks`, but got 'gradient_norm'. Did you mean 'gradient_norms'?",
        ),
        ("experiment=quick", "Did you mean 'quickstart'?"),
        ("data.delimiter=;", "or use a word for it"),
        ("data=", "an option of `data`, but got ''. There are 20_newsgroups, acl_arc"),
        ("normalise=layernorm", "but got `normalise`. Did you mean 'normalizer'? The configuration has seed, seeds"),
        ("optimzer.lr=1", "Did you mean 'optimizer'?"),
        ("optimizer.weight_deccay=1", "got `optimizer.weight_deccay`. Did you mean 'weight_decay'? `optimizer` has lr"),
        ("optimizer.lr.x=1", "got `optimizer.lr.x`. `optimizer.lr` has none: it is a value"),
        ("trainer.max_epoch=1", "'max_epochs'?"),
        (
            "trainer.limit_val_batches=1",
            ". +trainer.limit_val_batches=... passes another one to pytorch_lightning.Trainer",
        ),
    ],
)
def test_hydra_s_errors_are_explained_with_the_nearest_name(word: str, message: str) -> None:
    with pytest.raises(Exception, match=r"Could not|In 'train'|Lexer") as caught:
        composed(word)
    line = choices.explain(caught.value)
    assert line is not None
    assert message in line


@pytest.mark.parametrize("primary", ["train", "analyze"])
@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("+normalise=layernorm", "but got `normalise`"),
        ("+seeds.ordr=1", "but got `seeds.ordr`. Did you mean 'order'? `seeds` has init, order"),
        ("+paths.dta=x", "Did you mean 'data'?"),
    ],
)
def test_an_unused_key_is_refused(word: str, message: str, primary: str) -> None:
    with pytest.raises(InputError) as caught:
        composed(word, primary)
    assert message in str(caught.value)
    assert "hydra" not in str(caught.value)


@pytest.mark.parametrize(
    "word", ["seed=1", "+trainer.limit_val_batches=2", "experiment=few_sample", "sweep=first_look"]
)
def test_existing_names_are_accepted(word: str) -> None:
    composed(word)


def test_other_errors_are_not_explained() -> None:
    with pytest.raises(Exception, match="Ambiguous") as caught:
        composed("data=a,b")
    assert choices.explain(caught.value) is None


@pytest.mark.parametrize("alias", choices.ALIASES)
def test_aliases_are_of_options_that_exist_under_another_name(alias: str) -> None:
    group, name = choices.ALIASES[alias].split("=")
    assert (choices.CONF / group / f"{name}.yaml").exists()
    assert not (choices.CONF / group / f"{alias}.yaml").exists()


@pytest.mark.parametrize(
    ("words", "own"),
    [
        ([], []),
        (["data=mine"], []),
        (["--config-dir", "a", "data=mine"], ["a"]),
        (["--config-dir=a", "-cd", "b"], ["a", "b"]),
    ],
)
def test_folders_are_the_package_s_and_those_on_the_command_line(
    monkeypatch: pytest.MonkeyPatch, words: list[str], own: list[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["train.py", *words])
    assert choices.folders() == [choices.CONF, *map(Path, own)]


@pytest.mark.parametrize(
    ("word", "advice"),
    [
        ("layernorm", "Did you mean normalizer=layernorm?"),
        ("ln", "Did you mean normalizer=layernorm?"),
        ("sst2", "Did you mean data=sst2?"),
        ("mine.csv", "Did you mean data=files data.train=mine.csv?"),
        ("nothing", "the form KEY=VALUE, but got 'nothing'. --help"),
        ("data=/mine.csv", "data=files data.train=/mine.csv"),
        ("data=folder/mine.tsv", "data=files data.train=folder/mine.tsv"),
        ("data=mine.csv", "data=files data.train=mine.csv"),
        ("model=google/bert", "model=any model.path=google/bert"),
    ],
)
def test_a_refusal_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str, advice: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.csv").touch()
    with initialize_config_dir(str(choices.CONF), version_base="1.3"), pytest.raises(HydraException) as refusal:
        compose("train", [word])
    assert advice in str(choices.explain(refusal.value))

"""The name of a run depends on all that can change its result, and on nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from clsnorm.config import choices, names
from clsnorm.errors import InputError

Hash = Callable[..., str]
ELSEWHERE = "+callbacks.stop={_target_: pytorch_lightning.callbacks.EarlyStopping, monitor: select/loss, patience: %d}"


@pytest.fixture
def named(workspace: Path) -> Hash:
    """The hash of the configuration composed from the overrides, in an empty folder."""
    names.register()

    def named(*overrides: str) -> str:
        with initialize_config_dir(str(choices.CONF), version_base="1.3"):
            return names.config_hash(compose("train", list(overrides)))

    return named


@pytest.mark.parametrize("given", ["br[1].csv", "parts/*.csv", "parts", "[parts/a.csv]", "parts/../parts/a.csv"])
def test_the_name_of_a_run_depends_on_the_content_of_own_files(named: Hash, given: str) -> None:
    file = Path("br[1].csv" if given == "br[1].csv" else "parts/a.csv")
    file.parent.mkdir(exist_ok=True)
    words = ("data=files", f"data.train={given if given[0] == '[' else repr(given)}")
    file.write_text("one")
    before = named(*words)
    file.write_text("another")
    assert named(*words) != before
    file.write_text("one")
    assert named(*words) == before
    (file.parent / ".notes").write_text("hidden")
    assert named(*words) == before


def test_the_name_of_a_run_does_not_depend_on_the_path_of_a_file(named: Hash, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (Path("a/rows.csv"), Path("b/the_same.csv"), Path("b/the_same.tsv")):
        path.parent.mkdir(exist_ok=True)
        path.write_text("x,y")
    here = {named("data=files", f"data.train={path}") for path in ("a/rows.csv", Path("a/rows.csv").absolute())}
    assert {*here, named("data=files", "data.train=b/the_same.csv")} == here
    assert named("data=files", "data.train=b/the_same.tsv") not in here  # the extension decides how it is read
    monkeypatch.chdir("a")
    assert named("data=files", "data.train=rows.csv") in here


def test_the_name_of_a_run_depends_on_the_split_of_each_file(named: Hash) -> None:
    for name in "abc":
        Path(f"{name}.csv").write_text(name)
    splits = [("[a.csv,b.csv]", "c.csv"), ("a.csv", "[b.csv,c.csv]"), ("c.csv", "[a.csv,b.csv]")]
    assert len({named("data=files", f"data.train={t}", f"data.report={r}") for t, r in splits}) == 3


def test_a_model_s_folder_is_named_by_its_weights(named: Hash) -> None:
    for folder in ("one", "two"):
        Path(folder).mkdir()
        Path(folder, "config.json").write_text("{}")
        Path(folder, "model.safetensors").write_text("weights")
    before = named("model=any", "model.path=one")
    assert named("model=any", f"model.path={Path('two').absolute()}") == before
    Path("one", "model.safetensors").write_text("other weights")
    assert named("model=any", "model.path=one") != before
    assert named("model=any", "model.path=who/knows") != named("model=any", "model.path=who/else")


def test_observers_are_part_of_the_name_only_if_their_events_end_training(named: Hash) -> None:
    assert named() == named("callbacks=none") == named("callbacks=gradient_norms")
    aborting = "abort_on=[explosion]"
    assert named(aborting, "callbacks=gradient_norms") != named("callbacks=gradient_norms")
    assert named(aborting, "callbacks=gradient_norms") != named(
        aborting, "callbacks=gradient_norms", "callbacks.gradient_norms.deviations=3"
    )


def test_a_callback_that_may_change_training_is_part_of_the_name(named: Hash) -> None:
    assert len({named(), named(ELSEWHERE % 1), named(ELSEWHERE % 2)}) == 3


def test_an_option_that_came_later_leaves_the_names_of_earlier_runs(named: Hash) -> None:
    options = ("model.tf32=true", "model.gradient_checkpointing=true")
    changes = ("model.freeze=all", "model.freeze=1", "model.freeze=0", *options)
    assert len({named(), *(named(change) for change in changes)}) == 6
    names.register()
    with initialize_config_dir(str(choices.CONF), version_base="1.3"):
        config = compose("train")
    assert (config.model.freeze, config.model.tf32) == (None, False)
    assert (
        not {"freeze", "gradient_checkpointing", "tf32"} & names.result_config(config)["model"].keys()
    )  # as if the keys did not exist


def test_a_group_that_came_later_leaves_the_names_of_earlier_runs(named: Hash) -> None:
    changes = ("loss.label_smoothing=0.1", "loss.class_weights=balanced", "loss.class_weights={0: 1, 1: 3}")
    assert len({named(), *(named(change) for change in changes)}) == 4
    names.register()
    with initialize_config_dir(str(choices.CONF), version_base="1.3"):
        config = compose("train")
    assert config.loss.label_smoothing == 0
    assert "loss" not in names.result_config(config)  # as if the group did not exist


def test_keys_of_several_types_have_a_hash(named: Hash) -> None:
    """As YAML reads them; labels such as 0, 1 and ``other`` are names of classes."""
    mixed = named("loss.class_weights={0: 1, other: 3}")
    assert mixed == named("loss.class_weights={other: 3, 0: 1}")
    assert mixed != named("loss.class_weights={1: 1, other: 3}")
    assert names.hash_of({"a": {0: 1, 10: 2, 9: 3}}) == names.hash_of({"a": {9: 3, 10: 2, 0: 1}})


def test_an_unreadable_file_is_reported(named: Hash, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("a.csv").write_text("x")

    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(names, "digest", refuse)
    with pytest.raises(InputError, match=r"Cannot read a\.csv: Permission denied"):
        named("data=files", "data.train=a.csv")


def test_recorded_paths_are_absolute(workspace: Path) -> None:
    names.register()
    Path("model").mkdir()
    words = ["data=files", "data.train=[a.csv,b.csv]", "model=any", "model.path=model", "paths.data=there"]
    for name in ("a.csv", "b.csv"):
        Path(name).write_text("x")
    with initialize_config_dir(str(choices.CONF), version_base="1.3"):
        config = compose("train", words)
    recorded = names.recorded(config)
    assert recorded["model"]["path"] == str(workspace / "model")
    assert recorded["data"]["train"] == [str(workspace / "a.csv"), str(workspace / "b.csv")]
    assert recorded["paths"]["data"] == str(workspace / "there")
    assert recorded["data"]["cache"] == recorded["paths"]["cache"]
    assert config.model.path == "model"

from pathlib import Path

import pytest

from clsnorm.config.roles import ROLES, Role, check_groups, check_node, instantiate, nodes_of
from clsnorm.errors import InputError

IDENTITY = {"_target_": "clsnorm.normalizers.Identity", "_partial_": True}
ADAMW = {"_target_": "clsnorm.optim.AdamW"}
LINEAR = {"_target_": "clsnorm.optim.Linear"}
TRAINER = {"_target_": "pytorch_lightning.Trainer"}
FILES = {"_target_": "clsnorm.data.UserFiles"}
ACCURACY = {"_target_": "torchmetrics.classification.MulticlassAccuracy"}


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"_target_": "os.system"}, "CLSNORM_PACKAGES"),
        ({"_target_": "torch.hub.load"}, "subclass of clsnorm.normalizers.Normalizer"),
        ({"_target_": "torch.utils.collect_env.run"}, "subclass"),
        ({"_target_": "torch.nn.LayerNorm"}, "subclass"),
        ({"_target_": "clsnorm.normalizers.LayerNrom"}, "Did you mean 'LayerNorm'"),
        ({"_target_": "clsnorm.normlizers.LayerNorm"}, "cannot be imported"),
        ({**IDENTITY, "option": {"_target_": "builtins.eval"}}, "CLSNORM_PACKAGES"),
        ({**IDENTITY, "option": [{"_target_": "torch.hub.load"}]}, "subclass"),
        ({**IDENTITY, "option": [{"a": {"b": [[{"_target_": "torch.hub.load"}]]}}]}, "subclass"),
        ({**IDENTITY, "_args_": [3]}, "arguments by name, but got _args_"),
        ({**IDENTITY, "option": {**IDENTITY, "_recursive_": False}}, "arguments by name, but got _recursive_"),
        ({"_target_": "clsnorm.data.__main__.main"}, "a class of a module"),
        ({**IDENTITY, "option": ["${oc.env:HOME}"]}, r"`normalizer.option\[0\]` to be a value without"),
    ],
)
def test_a_target_must_have_the_class_of_its_role(node: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_node(node, "normalizer")


@pytest.mark.parametrize(
    ("node", "place", "message"),
    [
        ({"_target_": None}, "normalizer", "target of `normalizer`.*None"),
        ({"_target_": "torch"}, "normalizer", "'torch' of `normalizer` cannot be imported"),
        (None, "logger.wandb", "`logger.wandb` to be a mapping that names a class"),
        (ADAMW | {"lr": None}, "optimizer", "`optimizer.lr` to be a number, but got None"),
        (ADAMW | {"lr": True}, "optimizer", "`optimizer.lr` to be a number, but got True"),
        (ADAMW | {"betas": 0.9}, "optimizer", "`optimizer.betas` to be a list of 2, each value a number, but got 0.9"),
        (ADAMW | {"betas": [0.9]}, "optimizer", "`optimizer.betas` to be a list of 2"),
        (LINEAR | {"warmup_steps": 1.5}, "scheduler", "`scheduler.warmup_steps` to be a whole number or null"),
        (
            {"_target_": "clsnorm.model.Classifier", "init_std": "abc"},
            "classifier",
            "`classifier.init_std` to be a n",
        ),
        (TRAINER | {"deterministic": "maybe"}, "trainer", "to be true or false or 'warn' or null, but got 'maybe'"),
        (FILES | {"rows": 240}, "data", "`data.rows` to be a mapping or null, but got 240"),
        (FILES | {"max_length": None}, "data", "`data.max_length` to be a whole number, but got None"),
        (
            FILES | {"metrics": {"f1": ACCURACY | {"average": "m"}}},
            "data",
            "`data.metrics.f1.average` to be 'micro'",
        ),
        ({"_target_": "clsnorm.loggers.WandbRun", "tags": "abc"}, "logger.wandb", "`logger.wandb.tags` to be a list"),
    ],
)
def test_values_of_the_wrong_kind_are_named(node: dict, place: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_node(node, place)


def test_values_that_work_are_accepted() -> None:
    check_node(ADAMW | {"lr": 1, "betas": (0, 0.999), "weight_decay": 0}, "optimizer")
    check_node(LINEAR | {"warmup_ratio": 0, "warmup_steps": 3}, "scheduler")
    check_node(TRAINER | {"devices": "auto", "profiler": "simple", "limit_train_batches": 3}, "trainer")
    check_node(FILES | {"text": ["a", 1], "label": 0, "rows": {"train": 3}, "about": None}, "data")
    check_node({"_target_": "torch.optim.SGD", "lr": 0.1, "momentum": 0}, "optimizer")


@pytest.mark.parametrize("group", ["callbacks", "logger", "data"])
def test_a_group_that_is_not_a_mapping_is_refused(group: str) -> None:
    with pytest.raises(InputError, match=f"`{group}` to be a mapping.*but got 5"):
        check_groups({group: 5}, [group])


def test_a_group_of_several_may_be_empty_or_missing() -> None:
    check_groups({"callbacks": None}, ["callbacks", "logger"])


def test_arguments_that_the_program_passes_are_refused() -> None:
    node = {"_target_": "clsnorm.normalizers.Identity", "dim": 5}
    with pytest.raises(InputError, match=r"Expected argument `normalizer.dim` to be left out"):
        instantiate(node, "normalizer", dim=4)


def test_refused_arguments_become_one_sentence() -> None:
    with pytest.raises(InputError, match=r"^normalizer: .*unexpected keyword argument 'epsilon'"):
        instantiate({**IDENTITY, "epsilon": 1.0}, "normalizer", 4)


def test_an_input_error_raised_while_building_is_not_replaced_by_its_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    node = {"_target_": "clsnorm.model.Encoder", "path": "nobody/no-such-model"}
    with pytest.raises(InputError, match=r"nobody/no-such-model.*cache") as refusal:
        instantiate(node, "model")
    assert "local_files_only" not in str(refusal.value)


def test_own_package_needs_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mylab.py").write_text(
        "from clsnorm.normalizers import Normalizer\n"
        "class Half(Normalizer):\n"
        "    def normalize(self, h):\n"
        "        return h / 2\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    node = {"_target_": "mylab.Half", "_partial_": True}
    with pytest.raises(InputError, match="CLSNORM_PACKAGES"):
        instantiate(node, "normalizer", 4)
    monkeypatch.setenv("CLSNORM_PACKAGES", "mylab")
    assert instantiate(node, "normalizer", 4).dim == 4


def test_a_role_decides_how_many_parts_of_which_classes_a_group_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ROLES, "layers", Role(("torch.nn.Linear",), several=True))
    linear = {"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 2}
    assert nodes_of({"layers": {"a": linear}}, "layers") == {"layers.a": linear}
    assert nodes_of({"layers": linear}, "normalizer") == {"normalizer": None}
    check_node(linear, "layers.a")
    nested = linear | {"bias": {"_target_": "torch.nn.Identity"}}
    with pytest.raises(InputError, match=r"layers\.a\.bias"):
        check_node(nested, "layers.a")
    monkeypatch.setitem(ROLES, "layers", Role(("torch.nn.Identity",)))
    with pytest.raises(InputError, match=r"subclass of torch\.nn\.Identity"):
        check_node(linear, "layers")

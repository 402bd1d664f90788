import copy
from typing import Any

import pytest
from trainer_settings import MINIMAL

from clsnorm.config.rules import check_values, require_no_secrets
from clsnorm.errors import InputError

TRAINER = {**MINIMAL, "gradient_clip_val": 1.0}
GOOD: dict[str, Any] = {
    "choices": {"data": "sst2", "normalizer": "identity"},
    "seed": 0,
    "seeds": {"init": 0, "order": 0, "dropout": 0, "subset": 0, "noise": 0},
    "force": False,
    "abort_on": [],
    "checkpoint_every": 10,
    "keep_weights": "selected",
    "trainer": TRAINER,
}


def test_a_good_configuration_is_accepted() -> None:
    check_values(GOOD)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", -1),
        ("seed", "one"),
        ("seed", True),
        ("abort_on", "explosion"),
        ("seeds.order", 2**32),
        ("force", 1),
        ("checkpoint_every", 0),
        ("keep_weights", "some"),
        ("trainer.max_epochs", "abc"),
        ("trainer.max_epochs", 0),
        ("trainer.max_steps", 1.5),
        ("trainer.gradient_clip_val", 0),
        ("trainer.log_every_n_steps", 0),
        ("trainer.val_check_interval", 0),
        ("trainer.val_check_interval", 1.5),
        ("trainer.val_check_interval", True),
        ("trainer.precision", "bf16-true"),
        ("trainer.precision", 16),
        ("trainer.num_nodes", 0),
        ("trainer.accelerator", "tpu"),
        ("trainer.devices", 0),
        ("trainer.devices", "two"),
    ],
)
def test_a_bad_value_is_named(key: str, value: Any) -> None:
    config = copy.deepcopy(GOOD)
    *parents, leaf = key.split(".")
    node = config
    for parent in parents:
        node = node[parent]
    node[leaf] = value
    with pytest.raises(InputError, match=f"`{key}`.*got {value!r}"):
        check_values(config)


@pytest.mark.parametrize(
    ("config", "place"),
    [
        ({"logger": {"x": {"api_key": "hidden"}}}, "logger.x.api_key"),
        ({"data": {"about": [{"password": "hidden"}]}}, "data.about.0.password"),
        ({"model": {"path": "https://me:hidden@host/model"}}, "model.path"),
        ({"logger": {"x": {"tags": ["hf_hiddenhiddenhiddenhidden"]}}}, "logger.x.tags.0"),
    ],
)
def test_a_configuration_holds_no_secrets(config: dict, place: str) -> None:
    with pytest.raises(InputError, match=f"`{place}` looks like one") as refusal:
        require_no_secrets(config)
    assert "hidden" not in str(refusal.value)


def test_ordinary_values_are_no_secrets() -> None:
    require_no_secrets({"api_key": None, "password": "", "tokens": "x", "path": "a:b@c", "url": "https://host/x@y"})

"""`prepare`: from a composed configuration to plain, checked values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from clsnorm.config import CONF, names, prepare
from clsnorm.errors import InputError


@pytest.fixture
def prepared() -> Iterator[Callable[..., dict[str, Any]]]:
    """Prepares the configuration that overrides compose."""
    names.register()

    def build(*overrides: str) -> dict[str, Any]:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = compose("train", ["data=sst2", *overrides], return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        return prepare(OmegaConf.masked_copy(config, [key for key in config if key != "hydra"]))

    yield build
    HydraConfig.instance().cfg = None


def test_values_are_plain_and_choices_are_added(prepared: Callable[..., dict[str, Any]]) -> None:
    found = prepared("normalizer=layernorm", "seed=3")
    assert found["choices"]["normalizer"] == "layernorm"
    assert found["choices"]["data"] == "sst2"
    assert found["seeds"]["order"] == 3  # interpolations are resolved
    assert type(found["data"]["sources"]) is dict
    assert found["config_hash"] == prepared("normalizer=layernorm", "seed=3")["config_hash"]
    assert found["config_hash"] != prepared("normalizer=layernorm")["config_hash"]


@pytest.mark.parametrize(
    ("override", "message"),
    [("+optimzer.lr=1", "Did you mean 'optimizer'"), ("checkpoint_every=0", "checkpoint_every")],
)
def test_unknown_keys_and_wrong_values_are_refused(
    prepared: Callable[..., dict[str, Any]], override: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        prepared(override)

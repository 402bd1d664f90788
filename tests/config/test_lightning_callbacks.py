"""Each callback of Lightning is admitted or refused, and a refusal names the way out."""

from __future__ import annotations

import pytest
import pytorch_lightning as pl

from clsnorm.config.lightning_callbacks import ADMITTED, PLACE, REFUSED
from clsnorm.config.roles import check_node
from clsnorm.errors import InputError


def test_every_callback_of_the_installed_lightning_is_in_one_table() -> None:
    subclasses = {"EMAWeightAveraging"}  # of a refused one
    assert sorted([*REFUSED, *ADMITTED, *subclasses]) == sorted(pl.callbacks.__all__)
    assert issubclass(pl.callbacks.EMAWeightAveraging, pl.callbacks.WeightAveraging)


@pytest.mark.parametrize("name", [*REFUSED, "EMAWeightAveraging", "early_stopping.EarlyStopping"])
def test_a_callback_that_would_not_be_exact_is_refused_with_the_way_out(name: str) -> None:
    with pytest.raises(InputError, match=rf"`callbacks\.mine` to be no \w+, got '{PLACE}\.{name}'\. .+"):
        check_node({"_target_": f"{PLACE}.{name}"}, "callbacks.mine")


def test_lightnings_early_stopping_is_refused_naming_ours() -> None:
    with pytest.raises(InputError, match=r"callbacks=\[default,early_stopping\]"):
        check_node({"_target_": f"{PLACE}.EarlyStopping", "monitor": "select/loss"}, "callbacks.es")


@pytest.mark.parametrize("name", ADMITTED)
def test_the_others_are_admitted(name: str) -> None:
    check_node({"_target_": f"{PLACE}.{name}"}, "callbacks.mine")

"""`Family`: facts of listed families, and defaults of unlisted ones."""

from types import SimpleNamespace

import pytest
from transformers import AutoConfig, AutoModel

from clsnorm.model.encoder.families import (
    Family,
    family_of,
    first_position,
    known_families,
    last_norm,
    output_norms,
)


def test_an_unlisted_family_has_default_facts():
    assert family_of(SimpleNamespace(model_type="new")) == Family()
    assert "new" not in known_families()


@pytest.mark.parametrize("name", known_families())
def test_the_named_options_of_dropout_exist(name):
    config = AutoConfig.for_model(name)
    assert family_of(config).dropout
    assert all(hasattr(config, option) for option in family_of(config).dropout)


@pytest.mark.parametrize(("name", "first"), [("bert", 0), ("roberta", 2), ("mpnet", 2)])
def test_positions_start_after_the_padding_row(name, first, tiny):
    assert first_position(AutoModel.from_pretrained(tiny(name))) == first


@pytest.mark.parametrize("name", ["bert", "roberta", "distilbert", "albert", "modernbert"])
def test_the_last_output_norm_is_the_last_norm(name, tiny):
    model = AutoModel.from_pretrained(tiny(name))
    found = output_norms(model)
    assert len(found) == model.config.num_hidden_layers
    assert found[-1] is last_norm(model) is not None
    single = name in ("albert", "modernbert")  # one norm for all layers, or only one at the end
    assert [norm is None for norm in found[:-1]] == [single] * (len(found) - 1)
    assert len({id(norm) for norm in found if norm is not None}) == (1 if single else len(found))

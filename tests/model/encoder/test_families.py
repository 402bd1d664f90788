"""`Family`: facts of listed families, and defaults of unlisted ones."""

from types import SimpleNamespace

import pytest
from transformers import AutoConfig, AutoModel

from clsnorm.model.encoder.families import Family, family_of, first_position, known_families


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

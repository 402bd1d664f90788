"""The options of the groups model, optimizer and scheduler build what they describe."""

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

from clsnorm.model import Encoder
from clsnorm.model.encoder.families import family_of

CONF = Path(__file__).parents[2] / "conf"
FILES = [file for group in ("optimizer", "scheduler") for file in sorted((CONF / group).glob("*.yaml"))]


def load(file):
    root = OmegaConf.create({"seeds": {"init": 7}, "it": OmegaConf.load(file)})
    return root.it


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_optimizers_and_schedules_build_and_step(file):
    parameter = torch.nn.Parameter(torch.ones(2))
    if file.parent.name == "optimizer":
        built = instantiate(load(file), _convert_="all")([parameter])
        parameter.grad = torch.ones(2)
        built.step()
        assert parameter[0] < 1
    else:
        optimizer = torch.optim.SGD([parameter], lr=1.0)
        built = instantiate(load(file), _convert_="all")(optimizer, num_training_steps=50)
        assert optimizer.param_groups[0]["lr"] == (1.0 if file.stem == "constant" else 0.0)


def compose_model(name):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", [f"model={name}"]).model


def test_the_embedded_model_builds():
    encoder = instantiate(compose_model("minilm"), _convert_="all")
    assert isinstance(encoder, Encoder)
    assert (encoder.dim, encoder.can_pack, encoder.tap, encoder.max_length) == (384, True, "hidden", 512)


@pytest.mark.parametrize(
    ("name", "model_type"),
    [("mpnet_base", "mpnet"), ("deberta_v3_base", "deberta-v2"), ("modernbert_base", "modernbert")],
)
def test_attention_is_one_that_the_family_has(name, model_type):
    from transformers import AutoConfig

    packs = family_of(AutoConfig.for_model(model_type)).packs
    assert compose_model(name).attention == ("sdpa" if packs else "eager")

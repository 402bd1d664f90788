"""The YAML files of the groups model, classifier, optimizer and scheduler: complete, commented, and they build."""

import inspect
from pathlib import Path

import pytest
import torch
from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf

from clsnorm.model import Encoder
from clsnorm.model.encoder.families import family_of

CONF = Path(__file__).parents[2] / "conf"
GIVEN_WHEN_BUILT = {
    "model": set(),
    "classifier": {"encoder", "normalizer", "num_outputs", "seed_init"},
    "optimizer": {"groups"},
    "scheduler": {"optimizer", "num_training_steps"},
}
FILES = [file for group in GIVEN_WHEN_BUILT for file in sorted((CONF / group).glob("*.yaml"))]


def load(file):
    node = OmegaConf.load(file)
    if "defaults" in node:  # a model says what differs from any.yaml
        del node.defaults
        node = OmegaConf.merge(OmegaConf.load(file.with_name("any.yaml")), node)
    root = OmegaConf.create({"seeds": {"init": 7}, "it": node})
    return root.it


def test_all_options_are_there():
    assert {f.stem for f in FILES if f.parent.name == "model"} >= {
        "minilm", "bert_base", "bert_base_cased", "bert_large", "roberta_base", "roberta_large", "electra_base",
        "distilbert", "mpnet_base", "deberta_v3_base", "modernbert_base", "any",
    }  # fmt: skip
    assert {f.stem for f in FILES if f.parent.name == "optimizer"} == {"adamw", "adamw_uncorrected", "adamw_layerwise"}
    assert {f.stem for f in FILES if f.parent.name == "scheduler"} == {"linear", "constant", "cosine"}


@pytest.mark.parametrize("file", FILES, ids=lambda f: f"{f.parent.name}/{f.stem}")
def test_file_spells_out_each_argument_and_comments_it(file):
    group, config = file.parent.name, load(file)
    arguments = set(inspect.signature(get_class(config._target_).__init__).parameters) - {"self"}
    assert set(config) - {"_target_", "_partial_"} == arguments - GIVEN_WHEN_BUILT[group]
    lines = file.read_text().splitlines()
    head = [line for line in lines if line.startswith("#")]
    assert 1 <= len(head) <= 3
    assert head[-1].startswith(f"# python train.py {group}={file.stem}")
    assert all(" # " in line or line.startswith(("#", "_target_")) for line in lines)


@pytest.mark.parametrize(
    "file", [f for f in FILES if f.parent.name in ("optimizer", "scheduler")], ids=lambda f: f.stem
)
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


def test_the_embedded_model_builds():
    encoder = instantiate(load(CONF / "model" / "minilm.yaml"), _convert_="all")
    assert isinstance(encoder, Encoder)
    assert (encoder.dim, encoder.can_pack, encoder.tap, encoder.max_length) == (384, True, "hidden", 512)


@pytest.mark.parametrize(
    ("name", "model_type"),
    [("mpnet_base", "mpnet"), ("deberta_v3_base", "deberta-v2"), ("modernbert_base", "modernbert")],
)
def test_attention_is_one_that_the_family_has(name, model_type):
    from transformers import AutoConfig

    packs = family_of(AutoConfig.for_model(model_type)).packs
    assert load(CONF / "model" / f"{name}.yaml").attention == ("sdpa" if packs else "eager")

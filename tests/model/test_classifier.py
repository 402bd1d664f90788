import functools

import pytest
import torch

from clsnorm.errors import InputError
from clsnorm.model.classifier import Classifier
from clsnorm.model.encoder.encoder import Encoder
from clsnorm.model.head import CosineHead
from clsnorm.normalizers import Identity, LayerNorm


def test_head_depends_only_on_its_seed_and_does_not_change_the_global_state(tiny):
    encoder = Encoder(tiny("bert"))
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    one = Classifier(encoder, Identity(24), num_outputs=3, seed_init=1)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(6)
    two = Classifier(encoder, LayerNorm(24), num_outputs=3, seed_init=1, dropout=0.5)
    other = Classifier(encoder, Identity(24), num_outputs=3, seed_init=2)
    assert torch.equal(one.head.weight, two.head.weight)
    assert not torch.equal(one.head.weight, other.head.weight)
    assert not one.head.bias.any()
    wide = Classifier(encoder, Identity(24), num_outputs=2000, seed_init=0, init_std=0.5)
    assert wide.head.weight.std().item() == pytest.approx(0.5, rel=0.02)


def test_output_is_encoder_normalizer_head(tiny, make_batch):
    classifier = Classifier(Encoder(tiny("bert")), LayerNorm(24), num_outputs=2, seed_init=0).eval()
    batch = make_batch([4, 9, 6])
    out = classifier(batch)
    torch.testing.assert_close(out.h, classifier.embed(batch))
    torch.testing.assert_close(out.z, torch.nn.functional.layer_norm(out.h, (24,)), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(out.logits, out.z @ classifier.head.weight.T + classifier.head.bias)


def test_dropout_is_between_normalizer_and_head(tiny, make_batch):
    classifier = Classifier(Encoder(tiny("bert"), dropout=0.0), Identity(24), num_outputs=2, seed_init=0, dropout=0.5)
    first, second = classifier(make_batch([4, 9, 6])), classifier(make_batch([4, 9, 6]))
    assert torch.equal(first.z, second.z)
    assert not torch.equal(first.logits, second.logits)


def test_options_out_of_range_are_refused(tiny):
    for options, name in (({"dropout": 1.0}, "dropout"), ({"init_std": -1.0}, "init_std")):
        with pytest.raises(InputError, match=rf"classifier\.{name}"):
            Classifier(Encoder(tiny("bert")), Identity(24), num_outputs=2, seed_init=0, **options)


def test_bias_and_normalizer_learn_at_rates_of_their_own(tiny):
    options = {"num_outputs": 2, "seed_init": 0, "bias_rate": 8.0, "normalizer_rate": 100.0}
    classifier = Classifier(Encoder(tiny("bert")), LayerNorm(24, affine=True), **options)
    classifier.matching.rates.fill_(0.5)
    assert classifier.rates() == {
        "head.weight": 0.5, "head.bias": 4.0, "normalizer.weight": 100.0, "normalizer.bias": 100.0,
    }  # fmt: skip
    assert classifier.rates().keys() <= dict(classifier.named_parameters()).keys()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bias_rate": 0.0}, r"classifier\.bias_rate` to be a positive number"),
        ({"normalizer_rate": float("inf")}, r"classifier\.normalizer_rate"),
        ({"bias_rate": 2.0, "head": functools.partial(torch.nn.Linear, bias=False)}, "head with a bias"),
        ({"bias_rate": 2.0, "head": CosineHead}, "CosineHead has none"),
        ({"normalizer_rate": 2.0}, "Identity has no parameters"),
    ],
)
def test_a_rate_without_its_parameter_is_refused(tiny, options, message):
    with pytest.raises(InputError, match=message) as refusal:
        Classifier(Encoder(tiny("bert")), Identity(24), num_outputs=2, seed_init=0, **options)
    assert "\n" not in str(refusal.value)

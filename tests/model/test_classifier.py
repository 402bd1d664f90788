import pytest
import torch

from clsnorm.errors import InputError
from clsnorm.model.classifier import Classifier
from clsnorm.model.encoder.encoder import Encoder
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

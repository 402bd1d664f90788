"""Function-matched and folded heads, dropout noise on outputs, the cosine head."""

import pytest
import torch
from head_inputs import CLASSES, DIM, calibrated, embeddings
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from clsnorm.errors import InputError
from clsnorm.model import Classifier, Encoder
from clsnorm.model.head import CosineHead, absorb_mean, dropout_noise, fold, match_function, visible
from clsnorm.normalizers import (
    AllButTheTop,
    BatchNorm,
    Center,
    Identity,
    IsoBN,
    LayerNorm,
    LedoitWolfWhitening,
    Normalizer,
    PCAWhitening,
    Rotation,
    Standardize,
    ZCAWhitening,
)


def drawn_head() -> nn.Linear:
    torch.manual_seed(0)
    head = nn.Linear(DIM, CLASSES)
    with torch.no_grad():
        head.weight.normal_(0, 0.02)
    return head


@pytest.mark.parametrize(
    "kind", [Identity, Rotation, Center, Standardize, ZCAWhitening, PCAWhitening, LedoitWolfWhitening]
)
def test_function_matched_head_gives_the_logits_of_identity(kind: type[Normalizer]) -> None:
    normalizer, head, h = calibrated(kind), drawn_head(), embeddings(50, seed=1)
    expected = head(h)
    match_function(head, normalizer)
    torch.testing.assert_close(head(normalizer(h)), expected, rtol=0, atol=1e-5)
    if kind in (Standardize, ZCAWhitening):
        assert not torch.allclose(drawn_head()(normalizer(h)), expected, atol=0.01)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (AllButTheTop, "keeps 23 of 24 directions"),
        (LayerNorm, "is not: it divides each embedding by its own standard deviation"),
        (BatchNorm, "from each training batch"),
    ],
)
def test_a_normalizer_that_cannot_be_matched_is_refused(kind: type[Normalizer], reason: str) -> None:
    head = drawn_head()
    before = head.weight.clone()
    with pytest.raises(InputError, match=reason):
        match_function(head, calibrated(kind))
    assert torch.equal(head.weight, before)


def build(tiny: object, normalizer: Normalizer, **options: object) -> Classifier:
    return Classifier(Encoder(tiny("bert")), normalizer, num_outputs=CLASSES, seed_init=0, **options)


def bert_like(count: int, dim: int, seed: int) -> Tensor:
    """Embeddings of decaying spectrum with two outlier dimensions."""
    generator, fixed = (torch.Generator().manual_seed(s) for s in (seed, 99))
    mixing = torch.randn(dim, dim, generator=fixed) / dim**0.5
    mean = 0.3 * torch.randn(dim, generator=fixed)
    mean[7], mean[80] = -12.0, 6.0
    return (3 * torch.randn(count, dim, generator=generator) * torch.logspace(0, -2.5, dim)) @ mixing + mean


@pytest.mark.parametrize("dim", [384, 768])
@pytest.mark.parametrize("kind", [Identity, Standardize, ZCAWhitening, PCAWhitening, BatchNorm, IsoBN, AllButTheTop])
def test_a_folded_head_differs_by_rounding_alone(kind: type[Normalizer], dim: int) -> None:
    normalizer, head, h = kind(dim), nn.Linear(dim, CLASSES), bert_like(64, dim, seed=1)
    if normalizer.calibration is not None:
        moments = normalizer.calibration(dim)
        moments.update(bert_like(2 * dim, dim, seed=0))
        normalizer.calibrate(moments)
    for seed in range(25 if normalizer.mixes_batch else 0):
        normalizer(bert_like(32, dim, seed))
    nn.init.normal_(head.weight, std=0.02)
    head.requires_grad_(False)
    folded, z = fold(head, normalizer).requires_grad_(False), normalizer.eval()(h).detach()
    bound = folded.weight.norm() * h.norm(dim=1) + head.weight.norm() * z.norm(dim=1)
    assert float(((folded(h) - head(z)).abs().amax(1) / bound).max()) < 1e-6
    exact = nn.functional.linear(h.double(), folded.weight.double(), folded.bias.double())
    assert kind is Identity or not torch.allclose(head(h).double(), exact, atol=1e-3)


def test_a_normalizer_or_head_that_cannot_be_folded_is_refused() -> None:
    with pytest.raises(InputError, match=r"affine in evaluation, to fold into the head, but LayerNorm is not"):
        fold(drawn_head(), LayerNorm(DIM))
    with pytest.raises(InputError, match=r"linear head to fold a normalizer into, but got CosineHead"):
        fold(CosineHead(DIM, CLASSES), Identity(DIM))


def test_a_head_without_bias_is_matched_and_folded_where_it_can_be() -> None:
    head, h = nn.Linear(DIM, CLASSES, bias=False), embeddings(20)
    before = head(h)
    match_function(head, rotation := Rotation(DIM))
    torch.testing.assert_close(head(rotation(h)), before, rtol=0, atol=1e-5)
    torch.testing.assert_close(fold(head, calibrated(ZCAWhitening))(h), head(calibrated(ZCAWhitening)(h)))
    with pytest.raises(InputError, match=r"a head with a bias.*ZCAWhitening shifts"):
        match_function(head, calibrated(ZCAWhitening))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"match_step": "maybe"}, r"match_step` to be one of none, total, specific, both, but got 'maybe'"),
        ({"match_noise": "maybe"}, r"match_noise` to be true, false or null, but got 'maybe'"),
        ({"init": None}, r"init` to be one of .*, but got None"),
        ({"recalibrate_every": 1.5}, r"recalibrate_every` to be null or a whole number of at least 1, but got 1\.5"),
        ({"recalibrate_every": True}, r"recalibrate_every` to be null or a whole number of at least 1, but got True"),
        ({"recalibrate_every": 1}, r"a calibrated normalizer for classifier\.recalibrate_every=1, but Identity"),
    ],
)
def test_wrong_controls_are_refused(options: dict[str, object], message: str, tiny) -> None:
    with pytest.raises(InputError, match=message):
        build(tiny, Identity(DIM), **options)


def test_cosine_head_is_the_scaled_cosine() -> None:
    head, z = CosineHead(DIM, CLASSES, scale=7.0), embeddings(6)
    expected = 7 * F.cosine_similarity(z[:, None], head.weight, dim=2)
    torch.testing.assert_close(head(z), expected)
    torch.testing.assert_close(head(100 * z), expected)
    assert head(torch.zeros(1, DIM)).tolist() == [[0.0] * CLASSES]


def test_cosine_head_starts_from_the_weights_of_the_linear_one(tiny) -> None:
    state = torch.random.get_rng_state()
    classifier, linear = build(tiny, LayerNorm(DIM), head=CosineHead), build(tiny, LayerNorm(DIM))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(classifier.head.weight, linear.head.weight)


def test_uses_that_a_cosine_head_does_not_support_are_refused(tiny) -> None:
    with pytest.raises(InputError, match=r"a number to predict\. Use classifier=linear"):
        CosineHead(DIM, 1)
    with pytest.raises(InputError, match=r"classifier\.head\.scale.*-1"):
        CosineHead(DIM, 2, scale=-1)
    with pytest.raises(InputError, match=r"linear head.*CosineHead"):
        match_function(CosineHead(DIM, 2), calibrated(ZCAWhitening))


@pytest.mark.parametrize("classes", [1, 2, 5])
def test_dropout_noise_is_that_of_dropout(classes: int) -> None:
    torch.manual_seed(0)
    head, z, probability = nn.Linear(DIM, classes), embeddings(40), 0.2
    size = dropout_noise(head, z, probability=probability)
    with torch.no_grad():
        clean = visible(head(z))
        noise = torch.stack([visible(head(F.dropout(z, probability))) - clean for _ in range(4000)])
        measured = noise.square().mean().sqrt() / (clean - clean.mean(0)).square().mean().sqrt()
    assert size == pytest.approx(float(measured), rel=0.02)
    assert size == pytest.approx(dropout_noise(head, z, probability=0.5) / 2)  # sqrt(p / (1 - p)) is 1/2 at 0.2


def test_a_wrong_init_is_refused(tiny) -> None:
    with pytest.raises(InputError, match=r"classifier\.init.*'function_match'.*function_matched"):
        build(tiny, Identity(DIM), init="function_match")


NORMED = ["bert", "roberta", "xlm-roberta", "electra", "albert", "distilbert", "modernbert", "mpnet", "deberta-v2"]


@pytest.mark.parametrize("family", NORMED)
def test_the_embedding_is_the_output_of_the_final_norm(family: str, tiny, make_batch) -> None:
    encoder = Encoder(tiny(family), attention="eager").eval()
    norm, seen = encoder.final_norm(), []
    assert isinstance(norm, nn.LayerNorm)
    norm.register_forward_hook(lambda module, inputs, output: seen.append(output))
    h = encoder(make_batch([7])).cls
    torch.testing.assert_close(h[0], seen[-1].reshape(-1, DIM)[0])
    assert family != "bert" or Encoder(tiny(family), tap="pooler").final_norm() is None


@pytest.mark.parametrize("kind", [Identity, Center, Standardize, ZCAWhitening, Rotation])
def test_a_head_that_absorbs_the_mean_starts_as_on_centred_embeddings(kind: type[Normalizer]) -> None:
    normalizer, head, h = calibrated(kind).eval(), drawn_head(), embeddings(200)
    head.bias.data.fill_(0.5)
    z = normalizer(h).double()
    expected = (z - z.mean(0)) @ head.weight.T.double() + 0.5
    absorb_mean(head, normalizer, h.double().mean(0))
    torch.testing.assert_close(head(normalizer(h)).double(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("head", "normalizer", "message"),
    [
        (CosineHead(DIM, 2), Identity(DIM), "a linear head for classifier.absorb_mean=true"),
        (nn.Linear(DIM, 2, bias=False), Identity(DIM), "a head with a bias for classifier.absorb_mean=true"),
        (nn.Linear(DIM, 2), LayerNorm(DIM), "LayerNorm is not: .*classifier.absorb_mean=false"),
        (nn.Linear(DIM, 2), BatchNorm(DIM), "BatchNorm takes its statistics from each training batch"),
    ],
)
def test_a_mean_that_cannot_be_absorbed_is_refused(head: nn.Module, normalizer: Normalizer, message: str) -> None:
    with pytest.raises(InputError, match=message):
        absorb_mean(head, normalizer, torch.zeros(DIM, dtype=torch.float64))


def test_absorbing_the_mean_and_matching_the_function_exclude_each_other(tiny) -> None:
    with pytest.raises(InputError, match=r"classifier\.absorb_mean=false with classifier\.init=function_matched"):
        build(tiny, Identity(DIM), init="function_matched", absorb_mean=True)

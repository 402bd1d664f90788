"""Function-matched heads, the size of the first step, and the learning rate that matches it."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from clsnorm.errors import InputError
from clsnorm.model import Classifier, Encoder
from clsnorm.model.head import CosineHead, absorb_mean, first_step, fold, match_function
from clsnorm.normalizers import (
    AllButTheTop,
    BatchNorm,
    BatchRenorm,
    CalibratedAffine,
    Center,
    Identity,
    IsoBN,
    IsoBNCompat,
    LayerNorm,
    LedoitWolfWhitening,
    Normalizer,
    PCAWhitening,
    PowerNorm,
    Rotation,
    Standardize,
    ZCAWhitening,
)
from clsnorm.optim import AdamW
from clsnorm.optim.groups import apply_rates, parameter_groups

DIM, CLASSES = 24, 3


def embeddings(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(DIM, DIM, generator=torch.Generator().manual_seed(9)) / DIM**0.5
    mixing[:, 0] *= 10
    return torch.randn(count, DIM, generator=generator) @ mixing + torch.linspace(-2, 2, DIM)


def calibrated(kind: type[Normalizer]) -> Normalizer:
    normalizer = kind(DIM)
    if isinstance(normalizer, CalibratedAffine):
        accumulator = normalizer.calibration(DIM)
        accumulator.update(embeddings(200))
        normalizer.calibrate(accumulator)
    return normalizer


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


@pytest.mark.parametrize("regression", [False, True])
def test_the_first_step_equals_adam_s(regression: bool) -> None:
    head, z = drawn_head(), embeddings(40)
    labels = torch.arange(40) % CLASSES
    if regression:
        head, labels = nn.Linear(DIM, 1), labels.float()
    before, size = head(z).detach(), first_step(head, z, labels, regression=regression)
    loss = F.mse_loss(head(z)[:, 0], labels) if regression else F.cross_entropy(head(z), labels)
    loss.backward()
    rate = 1e-3
    torch.optim.Adam(head.parameters(), lr=rate, eps=0).step()
    assert size == pytest.approx(float(((head(z) - before) ** 2).mean().sqrt().detach()) / rate, rel=1e-3)


def test_first_step_grows_with_the_embeddings_and_adds_the_mean_up() -> None:
    # If all embeddings are equal, each class moves by their 1-norm (plus one for the bias).
    same = embeddings(1).expand(9, DIM)
    assert first_step(drawn_head(), same, torch.arange(9) % 2, regression=False) == pytest.approx(
        1 + float(same[0].abs().sum()), rel=1e-5
    )


def build(tiny: object, normalizer: Normalizer, **options: object) -> Classifier:
    return Classifier(Encoder(tiny("bert")), normalizer, num_outputs=CLASSES, seed_init=0, **options)


def test_matching_measures_and_sets_the_rate(tiny) -> None:
    h, labels = embeddings(40, seed=2), torch.arange(40) % CLASSES
    for matched in (False, True):
        classifier = build(tiny, calibrated(ZCAWhitening), rate_matched=matched)
        classifier.match([(h, labels)], regression=False)
        own, of_identity = classifier.first_steps.tolist()
        assert own == pytest.approx(first_step(classifier.head, classifier.normalizer(h), labels, regression=False))
        assert of_identity == pytest.approx(first_step(classifier.head, h, labels, regression=False))
        factor = of_identity / own if matched else 1.0
        assert float(classifier.head_rate) == pytest.approx(factor)
        optimizer = AdamW(parameter_groups(classifier, rates=classifier.rates()), lr=1e-3)
        apply_rates(optimizer)
        rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
        assert rates[id(classifier.head.weight)] == pytest.approx(1e-3 * factor)
        assert rates[id(next(classifier.encoder.parameters()))] == 1e-3
    identity = build(tiny, Identity(DIM), rate_matched=True)
    identity.match([(h, labels)], regression=False)
    assert float(identity.head_rate) == 1


def test_a_rate_matched_step_moves_the_logits_as_far_as_identity_does(tiny) -> None:
    h, labels = embeddings(40, seed=2), torch.arange(40) % CLASSES
    moved = {}
    for kind in (Identity, ZCAWhitening, Standardize):
        classifier = build(tiny, calibrated(kind), init="function_matched", rate_matched=True)
        classifier.match([(h, labels)], regression=False)
        z, head = classifier.normalizer(h), classifier.head
        before = head(z).detach()
        F.cross_entropy(head(z), labels).backward()
        torch.optim.Adam(head.parameters(), lr=1e-3 * float(classifier.head_rate), eps=0).step()
        moved[kind] = float(((head(z).detach() - before) ** 2).mean().sqrt())
    assert moved[ZCAWhitening] == pytest.approx(moved[Identity], rel=1e-2)
    assert moved[Standardize] == pytest.approx(moved[Identity], rel=1e-2)


def test_matching_does_not_change_running_statistics(tiny) -> None:
    classifier = build(tiny, BatchNorm(DIM))
    classifier.match([(embeddings(40), torch.arange(40) % CLASSES)], regression=False)
    assert int(classifier.normalizer.num_batches_tracked) == 0
    assert classifier.first_steps.isfinite().all()


@pytest.mark.parametrize("kind", [IsoBN, IsoBNCompat, BatchRenorm, PowerNorm])
def test_a_warm_up_is_over_where_the_step_is_measured(kind: type[Normalizer], tiny) -> None:
    h, labels, trained = 4 * embeddings(40), torch.arange(40) % CLASSES, kind(DIM)
    for _ in range(400):  # of the same batch: running statistics are those of it
        z = trained(h).detach()
    classifier = build(tiny, kind(DIM), rate_matched=True)
    classifier.match([(h, labels)], regression=False)
    own = first_step(classifier.head, z, labels, regression=False)
    assert float(classifier.first_steps[0]) == pytest.approx(own, rel=1e-3)
    assert abs(float(classifier.head_rate) - 1) > 0.05


def test_the_step_is_measured_over_several_batches(tiny) -> None:
    batches = [(embeddings(20, seed), torch.arange(20) % CLASSES) for seed in range(3)]
    each = []
    for chosen in ([0], [1], [2], [0, 1, 2]):
        classifier = build(tiny, calibrated(ZCAWhitening), rate_matched=True)
        classifier.match([batches[i] for i in chosen], regression=False)
        each.append(float(classifier.head_rate))
    assert each[3] == pytest.approx((each[0] * each[1] * each[2]) ** (1 / 3), rel=1e-5)
    assert max(each) > 1.01 * min(each)


def test_matching_the_rate_of_a_step_of_zero_is_refused(tiny) -> None:
    classifier = build(tiny, Identity(DIM), rate_matched=True, head=partial(nn.Linear, bias=False))
    with pytest.raises(InputError, match=r"a first step that moves the logits.*rate_matched=false"):
        classifier.match([(torch.zeros(4, DIM), torch.arange(4) % CLASSES)], regression=False)


def test_an_optimizer_of_torch_learns_at_the_matched_rate(tiny) -> None:
    classifier = build(tiny, Identity(DIM))
    for kind in (torch.optim.AdamW, AdamW):
        classifier.head_rate.fill_(0.25)
        optimizer = kind(parameter_groups(classifier, rates=classifier.rates()), lr=1e-3)
        apply_rates(optimizer)
        rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
        assert all(rates[id(p)] == pytest.approx(0.25e-3) for p in classifier.head.parameters())
        assert all(rates[id(p)] == pytest.approx(1e-3) for p in classifier.encoder.parameters())


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
        ({"rate_matched": "maybe"}, r"rate_matched` to be true or false, but got 'maybe'"),
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


def test_cosine_head_starts_from_the_weights_of_the_linear_one_and_learns(tiny) -> None:
    state = torch.random.get_rng_state()
    classifier, linear = build(tiny, LayerNorm(DIM), head=CosineHead), build(tiny, LayerNorm(DIM))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(classifier.head.weight, linear.head.weight)
    z, labels = classifier.normalizer(embeddings(40)).detach(), torch.arange(40) % CLASSES
    classifier.match([(embeddings(40), labels)], regression=False)
    before = classifier.head(z).detach()
    F.cross_entropy(classifier.head(z), labels).backward()
    torch.optim.Adam(classifier.head.parameters(), lr=1e-6, eps=0).step()
    moved = float((classifier.head(z).detach() - before).square().mean().sqrt()) / 1e-6
    assert float(classifier.first_steps[0]) == pytest.approx(moved, rel=0.02)  # float32 differences of small steps


def test_uses_that_a_cosine_head_does_not_support_are_refused(tiny) -> None:
    with pytest.raises(InputError, match=r"a number to predict\. Use classifier=linear"):
        CosineHead(DIM, 1)
    with pytest.raises(InputError, match=r"classifier\.head\.scale.*-1"):
        CosineHead(DIM, 2, scale=-1)
    classifier = build(tiny, calibrated(ZCAWhitening), head=CosineHead, init="function_matched")
    with pytest.raises(InputError, match=r"linear head.*CosineHead"):
        classifier.match([(embeddings(40), torch.arange(40) % CLASSES)], regression=False)


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

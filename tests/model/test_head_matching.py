"""Heads that are matched to the identity's: noise, and both parts of the first step."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from head_inputs import CLASSES, DIM, calibrated, embeddings
from plain_losses import CROSS_ENTROPY
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from clsnorm.errors import InputError
from clsnorm.model import Classifier, CosineHead, Encoder
from clsnorm.model.first_step import first_step
from clsnorm.model.head import dropout_noise
from clsnorm.model.head_matching import HeadMatching
from clsnorm.normalizers import (
    BatchNorm,
    BatchRenorm,
    CalibratedAffine,
    Center,
    Identity,
    IsoBN,
    IsoBNCompat,
    LayerNorm,
    Normalizer,
    PowerNorm,
    Rotation,
    Standardize,
    ZCAWhitening,
)
from clsnorm.optim import AdamW, AdamWUncorrected
from clsnorm.optim.groups import apply_rates, parameter_groups

ADAM = partial(AdamW, lr=1e-3)
SGD = partial(torch.optim.SGD, lr=0.1, momentum=0.9)
KINDS = [Center, Standardize, ZCAWhitening, Rotation, LayerNorm, BatchNorm]


def build(tiny: Callable[[str], object], normalizer: Normalizer, **options: object) -> Classifier:
    return Classifier(Encoder(tiny("bert")), normalizer, num_outputs=CLASSES, seed_init=0, **options)


def batches(count: int = 3) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(3)
    return [(embeddings(20, seed), torch.randint(CLASSES, (20,), generator=generator)) for seed in range(count)]


def match(classifier: Classifier, given: object = None, *, optimizer: partial = ADAM, **options: object) -> dict:
    classifier.match(given or batches(), optimizer=optimizer, loss=CROSS_ENTROPY, **options)
    return classifier.matching.summary()


@pytest.mark.parametrize("optimizer", [ADAM, partial(AdamWUncorrected, lr=1e-3), SGD])
@pytest.mark.parametrize("kind", KINDS)
def test_both_parts_are_those_of_the_identity(kind: type[Normalizer], optimizer: partial, tiny) -> None:
    found = match(build(tiny, calibrated(kind), match_step="both"), optimizer=optimizer)
    for part in ("specific", "common"):
        assert found[f"head/{part}_step"] == pytest.approx(found[f"head/{part}_step_of_identity"], rel=1e-5)
    assert abs(found["head/common_step_unmatched"] / found["head/common_step"] - 1) > 0.01


@pytest.mark.parametrize("optimizer", [ADAM, SGD])
@pytest.mark.parametrize("kind", KINDS)
def test_real_steps_of_matched_heads_move_both_parts_equally(kind: type[Normalizer], optimizer: partial, tiny) -> None:
    moved = {}
    for name, normalizer in (("identity", Identity(DIM)), ("other", calibrated(kind))):
        classifier, (h, labels) = build(tiny, normalizer, match_step="both"), batches(1)[0]
        match(classifier, [(h, labels)], optimizer=optimizer)
        z, head = classifier.normalizer(h).detach(), classifier.head
        before = head(z).detach()
        steps = optimizer(parameter_groups(classifier, rates=classifier.rates()))
        apply_rates(steps)
        classifier.matching.attach(steps, head)
        F.cross_entropy(head(z), labels).backward()
        steps.step()
        change = head(z).detach() - before
        seen = change - change.mean(1, keepdim=True)
        moved[name] = [float((seen - seen.mean(0)).norm()), float(seen.mean(0).norm())]
    assert moved["other"] == pytest.approx(moved["identity"], rel=1e-2)  # float32


def test_each_option_matches_its_part_and_leaves_the_others(tiny) -> None:
    kept = match(build(tiny, calibrated(ZCAWhitening)))
    assert (kept["head/weight_rate"], kept["head/bias_rate"]) == (1, 1)
    for part in ("total", "specific"):
        found = match(build(tiny, calibrated(ZCAWhitening), match_step=part))
        assert found[f"head/{part}_step"] == pytest.approx(found[f"head/{part}_step_of_identity"], rel=1e-5)
        factor = kept[f"head/{part}_step_of_identity"] / kept[f"head/{part}_step"]
        assert found["head/weight_rate"] == found["head/bias_rate"] == pytest.approx(factor, rel=1e-5)
        other = found["head/common_step"] / found["head/common_step_of_identity"]
        assert abs(other - 1) > 0.05
        assert found["head/common_step_unmatched"] == kept["head/common_step"] == kept["head/common_step_unmatched"]


def test_the_identity_is_its_own_match(tiny) -> None:
    for step in ("total", "specific", "both"):
        classifier = build(tiny, Identity(DIM), match_step=step, match_noise=True)
        found = match(classifier)
        assert classifier.matching.rates.tolist() == [1, 1]
        assert not classifier.matching.shift.any()
        assert found["head/dropout"] == pytest.approx(0.1)
        assert found["head/noise_over_signal"] == found["head/noise_over_signal_of_identity"] > 0


@pytest.mark.parametrize("kind", [Center, Standardize, ZCAWhitening, Rotation])
def test_noise_over_signal_of_a_function_matched_head_is_the_identity_s(kind: type[CalibratedAffine], tiny) -> None:
    identity, classifier = build(tiny, Identity(DIM)), build(tiny, calibrated(kind), init="function_matched")
    found, h = match(classifier), torch.cat([h for h, _ in batches()])
    classifier.start_training()
    probability = classifier.dropout.p
    assert probability == pytest.approx(found["head/dropout"])
    noise = dropout_noise(classifier.head, classifier.normalizer(h), probability=probability)
    expected = dropout_noise(identity.head, h, probability=0.1)
    assert noise == pytest.approx(expected, rel=1e-3)
    assert found["head/noise_over_signal"] == pytest.approx(expected, rel=1e-5)
    assert found["head/noise_over_signal_of_identity"] == pytest.approx(expected, rel=1e-5)
    unmatched = build(tiny, calibrated(kind), init="function_matched", match_noise=False)
    plain = match(unmatched)
    unmatched.start_training()
    assert unmatched.dropout.p == 0.1
    assert plain["head/noise_over_signal"] == plain["head/noise_over_signal_unmatched"]
    assert abs(plain["head/noise_over_signal"] / expected - 1) > 0.01


def test_a_rotation_leaves_the_step_of_sgd_as_it_is_and_changes_adam_s(tiny) -> None:
    options = {"init": "function_matched", "match_step": "both"}
    sgd = match(build(tiny, Rotation(DIM), **options), optimizer=SGD)
    assert (sgd["head/weight_rate"], sgd["head/bias_rate"]) == pytest.approx((1, 1), rel=1e-4)
    adam = match(build(tiny, Rotation(DIM), **options))
    assert abs(adam["head/bias_rate"] - 1) > 0.05


def test_dropout_of_zero_stays(tiny) -> None:
    found = match(build(tiny, calibrated(ZCAWhitening), init="function_matched", dropout=0.0))
    assert found["head/dropout"] == found["head/noise_over_signal"] == 0


def test_accumulated_batches_are_one_step(tiny) -> None:
    parts, classifier = batches(4), build(tiny, calibrated(ZCAWhitening), match_step="both")
    whole = [tuple(map(torch.cat, zip(*parts[k : k + 2], strict=True))) for k in (0, 2)]
    together = match(build(tiny, calibrated(ZCAWhitening), match_step="both"), whole)
    assert match(classifier, parts, batches_per_step=2) == pytest.approx(together, rel=1e-6)
    assert together["head/specific_step"] != pytest.approx(match(classifier, parts)["head/specific_step"], rel=1e-3)


def test_matching_does_not_change_running_statistics(tiny) -> None:
    classifier = build(tiny, BatchNorm(DIM))
    match(classifier)
    assert int(classifier.normalizer.num_batches_tracked) == 0
    assert classifier.matching.steps.isfinite().all()


@pytest.mark.parametrize("kind", [IsoBN, IsoBNCompat, BatchRenorm, PowerNorm])
def test_a_warm_up_is_over_where_the_step_is_measured(kind: type[Normalizer], tiny) -> None:
    h, labels, trained = 4 * embeddings(40), torch.arange(40) % CLASSES, kind(DIM)
    for _ in range(400):  # of the same batch: running statistics are those of it
        z = trained(h).detach()
    classifier = build(tiny, kind(DIM), match_step="total")
    found = match(classifier, [(h, labels)])
    own = first_step(classifier.head, [(z, labels)], optimizer=ADAM, loss=CROSS_ENTROPY)
    assert found["head/total_step_unmatched"] == pytest.approx(own.total, rel=1e-3)
    assert abs(found["head/weight_rate"] - 1) > 0.05


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"match_step": "both", "head": CosineHead}, r"linear head with a bias.*match_step=both.*match_step=specific"),
        ({"match_step": "both", "head": partial(nn.Linear, bias=False)}, r"with a bias.*bias=False"),
        (
            {"match_noise": True, "head": CosineHead},
            r"linear head for classifier\.match_noise=true",
        ),
    ],
)
def test_what_a_head_does_not_allow_is_refused(options: dict[str, object], message: str, tiny) -> None:
    with pytest.raises(InputError, match=message):
        build(tiny, LayerNorm(DIM), **options)


def test_parts_that_do_not_move_are_refused(tiny) -> None:
    still = [(torch.zeros(4, DIM), torch.arange(4) % CLASSES)]
    with pytest.raises(InputError, match=r"moves the specific part.*moves it by 0.*match_step=none"):
        match(build(tiny, Identity(DIM), match_step="specific"), still)
    with pytest.raises(InputError, match=r"outputs that differ between examples.*match_noise=false"):
        match(build(tiny, Identity(DIM), match_noise=True), still)


def test_a_cosine_head_s_specific_part_is_matched(tiny) -> None:
    found = match(build(tiny, calibrated(ZCAWhitening), head=CosineHead, match_step="specific"))
    assert found["head/specific_step"] == pytest.approx(found["head/specific_step_of_identity"], rel=0.02)  # not linear
    assert not any("noise" in name for name in found)
    unmatched = build(tiny, LayerNorm(DIM)).matching
    assert isinstance(unmatched, HeadMatching)
    assert math.isnan(float(unmatched.steps[0, 0]))


def test_a_rate_of_the_bias_counts_in_the_measured_step(tiny) -> None:
    normalizer = calibrated(Center)  # whose common step is the bias's
    plain, fast = match(build(tiny, normalizer)), match(build(tiny, normalizer, bias_rate=50.0))
    assert fast["head/common_step"] > 2 * plain["head/common_step"]
    assert fast["head/specific_step"] == plain["head/specific_step"]
    assert fast["head/common_step_of_identity"] == plain["head/common_step_of_identity"]
    assert (fast["head/bias_rate"], fast["head/weight_rate"]) == (1, 1)


def test_any_optimizer_learns_at_the_matched_rates(tiny) -> None:
    classifier = build(tiny, calibrated(ZCAWhitening), match_step="both")
    found = match(classifier)
    for kind in (torch.optim.AdamW, AdamW):
        optimizer = kind(parameter_groups(classifier, rates=classifier.rates()), lr=1e-3)
        apply_rates(optimizer)
        rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
        assert rates[id(classifier.head.weight)] == pytest.approx(1e-3 * found["head/weight_rate"])
        assert rates[id(classifier.head.bias)] == pytest.approx(1e-3 * found["head/bias_rate"])
        assert all(rates[id(p)] == pytest.approx(1e-3) for p in classifier.encoder.parameters())


def test_a_checkpoint_with_one_rate_of_the_head_is_loaded(tiny) -> None:
    classifier = build(tiny, LayerNorm(DIM))
    state = {name: value for name, value in classifier.state_dict().items() if not name.startswith("matching.")}
    state |= {"head_rate": torch.tensor(0.25), "first_steps": torch.tensor([4.0, 1.0])}
    classifier.load_state_dict(state)
    assert classifier.matching.rates.tolist() == [0.25, 0.25]

"""Studies of drawn features: the law over all invertible normalizers, held-out rows, folds, leaks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from clsnorm.errors import InputError
from clsnorm.probes.arms import LEAK, Arm, FittedArm
from clsnorm.probes.choice import Choice
from clsnorm.probes.features import Features
from clsnorm.probes.linear_probes import (
    InvariantLogistic,
    Logistic,
    NearestMean,
    Ridge,
    ShrunkDiscriminant,
    UnregularizedLogistic,
)
from clsnorm.probes.logistic_regression import CONVERGED, SEPARABLE, UNCONVERGED, Certificate
from clsnorm.probes.neighbour_probes import CosineNeighbours, Neighbours
from clsnorm.probes.outcomes import ProbeOutcome, described, law
from clsnorm.probes.probe import Probe
from clsnorm.probes.probe_study import FEW_SHOT, Plan, ProbeStudy

CONF = Path(__file__).parents[2] / "conf" / "normalizer"
OPTIONS = sorted(path.stem for path in CONF.glob("[!_]*.yaml"))
DIM, CLASSES = 8, 3
LINEAR: list[Probe] = [UnregularizedLogistic(), InvariantLogistic(), Logistic(), Ridge()]
ALL: list[Probe] = [*LINEAR, NearestMean(), ShrunkDiscriminant(), Neighbours(), CosineNeighbours()]


def arm(name: str, *, leaks: bool = False) -> Arm:
    norm = torch.nn.LayerNorm(DIM)
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(0.5, 2, DIM))
    node: Any = OmegaConf.to_container(OmegaConf.load(CONF / f"{name}.yaml"))
    return Arm(name + (LEAK if leaks else ""), node, norm, leaks)


def features(sizes: Sequence[int] = (300, 60, 80), signal: float = 1.0) -> tuple[Features, dict[str, np.ndarray]]:
    draw = np.random.default_rng(0)
    matrix, centres = (
        draw.normal(size=(DIM, DIM)) * np.geomspace(0.3, 3, DIM),
        signal * draw.normal(size=(CLASSES, DIM)),
    )
    rows, labels = {}, {}
    for split, size in zip(("train", "select", "report"), sizes, strict=True):
        labels[split] = np.arange(size) % CLASSES
        x = draw.normal(size=(size, DIM)) + centres[labels[split]]
        rows[split] = (x @ matrix + 2).astype(np.float32)
    return Features("layer01", rows, 1.0), labels


def plan(probes: Sequence[Probe], *, draws: int = 0, folds: int = 3) -> Plan:
    return Plan(probes, folds, shots=4, draws=draws, resamples=200, seed=0)


def study(names: Sequence[str], probes: Sequence[Probe], **options: Any) -> dict[str, Any]:
    found, labels = features(**options)
    return ProbeStudy(found, labels, CLASSES, plan(probes)).run([arm(name) for name in names])


@pytest.fixture(scope="module")
def all_arms() -> dict[str, Any]:
    return study(["identity", *(name for name in OPTIONS if name != "identity")], LINEAR, signal=0.4)


def test_no_normalizer_is_left_out(all_arms: dict[str, Any]) -> None:
    assert all_arms["left_out"] == {}
    assert next(iter(all_arms["arms"])) == "identity"
    assert set(all_arms["arms"]) == set(OPTIONS)


def test_the_law_holds_in_every_invertible_affine_arm(all_arms: dict[str, Any]) -> None:
    invertible = {name for name, found in all_arms["arms"].items() if found["invertible"]} - {"identity"}
    assert len(invertible) > 15
    for probe in ("logistic_unregularized", "logistic_invariant"):
        found = all_arms["law"][probe]
        assert set(found) == invertible
        assert max(found.values()) < 1e-6
        for name in invertible:
            assert all_arms["arms"][name]["probes"][probe]["certificate"]["verdict"] == CONVERGED
            assert all_arms["paired"][probe][name]["difference"] == 0


def test_the_law_holds_from_a_cold_start(all_arms: dict[str, Any]) -> None:
    """Each arm solved alone: it has no reference whose solution could be transported."""
    losses = [study([name], [UnregularizedLogistic()], signal=0.4)["arms"][name]["probes"]["logistic_unregularized"]
              for name in ("zca_whitening", "batchnorm", "rotation")]  # fmt: skip
    expected = all_arms["arms"]["identity"]["probes"]["logistic_unregularized"]
    for found in losses:
        assert found["certificate"]["iterations"] > 1
        assert found["report"]["log_loss"] == pytest.approx(expected["report"]["log_loss"], abs=1e-9)


def test_arms_that_are_not_affine_do_change_the_unregularized_probe(all_arms: dict[str, Any]) -> None:
    losses = {name: found["probes"]["logistic_unregularized"]["report"]["log_loss"]
              for name, found in all_arms["arms"].items()}  # fmt: skip
    assert abs(losses["layernorm"] - losses["identity"]) > 1e-3
    assert abs(losses["abtt"] - losses["identity"]) > 1e-3


def test_scale_and_center_and_rotation_change_no_regularized_probe_at_the_penalty_of_its_unit(
    all_arms: dict[str, Any],
) -> None:
    expected = all_arms["arms"]["identity"]["probes"]
    for name in ("scale", "center", "rotation"):
        for probe in ("logistic", "ridge"):
            found = all_arms["arms"][name]["probes"][probe]
            assert found["value"] == expected[probe]["value"]
            assert found["report"]["accuracy"] == expected[probe]["report"]["accuracy"]
    changed = all_arms["arms"]["zca_whitening"]["probes"]["logistic"]["report"]["log_loss"]
    assert abs(changed - expected["logistic"]["report"]["log_loss"]) > 1e-3


def test_where_rows_are_separable_the_law_makes_no_statement_without_a_penalty_but_one_with_it() -> None:
    record = study(["identity", "zca_whitening"], LINEAR[:2], sizes=(24, 12, 12), signal=5)
    found = record["arms"]["zca_whitening"]["probes"]["logistic_unregularized"]
    assert found["certificate"]["verdict"] == SEPARABLE
    assert found["report"]["accuracy"] is None
    assert record["law"]["logistic_unregularized"] == {"zca_whitening": None}
    assert record["law"]["logistic_invariant"]["zca_whitening"] < 1e-6
    assert "zca_whitening" not in record["paired"]["logistic_unregularized"]


class Spy(NearestMean):
    """Notes the rows that it is fitted to."""

    values = (1.0, 0.0)

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def fit(self, rows: Any, value: float, **options: Any) -> Any:
        self.seen.append((len(rows.x), *rows.labels))
        return super().fit(rows, value, **options)


def test_all_arms_have_the_same_folds() -> None:
    spy = Spy()
    study(["identity", "zca_whitening", "layernorm"], [spy])
    per_arm = len(spy.seen) // 3
    assert spy.seen[:per_arm] == spy.seen[per_arm : 2 * per_arm] == spy.seen[2 * per_arm :]


@pytest.mark.parametrize("name", ["zca_whitening", "standardize", "batchnorm", "quantile"])
def test_a_normalizer_never_sees_held_out_rows(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other rows are changed wildly: only a map that was fitted without the changed ones stays the same."""
    maps: list[FittedArm] = []
    fit = Arm.fit

    def note(self: Arm, rows: np.ndarray, *, seed: int = 0) -> FittedArm:
        maps.append(fit(self, rows, seed=seed))
        return maps[-1]

    monkeypatch.setattr(Arm, "fit", note)
    found, labels = features()
    probing = ProbeStudy(found, labels, CLASSES, plan([NearestMean()]))
    probing.run([arm(name), arm(name, leaks=True)])
    first, maps[:] = [*maps], []
    for split in ("select", "report"):
        found.rows[split][:] = 1e3 * found.rows[split][::-1] + 50
    held = probing._folds == 0
    found.rows["train"][held] += 1e3
    probing.run([arm(name), arm(name, leaks=True)])
    x = features()[0].rows["select"]
    whole, fold_0, *others, leaking = [np.array_equal(a(x), b(x)) for a, b in zip(first, maps, strict=True)]
    assert fold_0  # fitted without the changed fold
    assert not whole
    assert not any(others)
    assert not leaking


def test_report_and_select_rows_change_a_leaking_arm_only() -> None:
    found, labels = features()
    changed, _ = features()
    changed.rows["report"][:] *= 100
    x = found.rows["train"]
    for leaks in (False, True):
        maps = []
        for each in (found, changed):
            probing = ProbeStudy(each, labels, CLASSES, plan([NearestMean()]))
            prepared = probing._prepare(arm("standardize", leaks=leaks))
            maps.append(prepared.train.x)
        assert np.array_equal(*maps) == (not leaks)
    assert len(x) == 300


def test_a_leak_is_compared_with_the_same_normalizer_without() -> None:
    found, labels = features()
    arms = [arm("identity"), arm("standardize"), arm("standardize", leaks=True)]
    record = ProbeStudy(found, labels, CLASSES, plan([Neighbours()])).run(arms)
    assert set(record["leak"]["knn"]) == {f"standardize{LEAK}"}
    accuracies = [
        record["arms"][name]["probes"]["knn"]["report"]["accuracy"] for name in ("standardize+leak", "standardize")
    ]
    difference = record["leak"]["knn"]["standardize+leak"]["difference"]
    assert difference == pytest.approx(accuracies[0] - accuracies[1])


def test_few_shot_draws_are_paired_and_certified() -> None:
    found, labels = features()
    record = ProbeStudy(found, labels, CLASSES, plan([Ridge()], draws=6)).run(
        [arm("identity"), arm("scale"), arm("l2norm")]
    )
    entries = {name: each["probes"][FEW_SHOT] for name, each in record["arms"].items()}
    assert entries["scale"]["report"] == entries["identity"]["report"]
    assert record["paired"][FEW_SHOT]["scale"] == pytest.approx(
        {"difference": 0, "low": 0, "high": 0, "better": None, "worse": None, "p": None}
    )
    assert all(entry["certificate"]["verdict"] == CONVERGED for entry in entries.values())


def test_numbers_are_predicted_by_ridge() -> None:
    found, labels = features()
    values = {split: x[:, 0] + 0.1 * labels[split] for split, x in found.rows.items()}
    record = ProbeStudy(found, values, 0, plan([Ridge()])).run([arm("identity"), arm("zca_whitening")])
    assert record["arms"]["identity"]["probes"]["ridge"]["report"]["r2"] > 0.9
    assert record["paired"]["ridge"]["zca_whitening"]["p"] is None


def test_an_arm_that_cannot_be_built_is_left_out_by_name() -> None:
    found, labels = features()
    without = Arm("ln_strip", arm("ln_strip").node, None)
    record = ProbeStudy(found, labels, CLASSES, plan([Ridge()])).run([arm("identity"), without])
    assert list(record["arms"]) == ["identity"]
    assert "layer norm" in record["left_out"]["ln_strip"]


def test_features_that_are_not_finite_are_refused() -> None:
    found, labels = features()
    found.rows["report"][0, 0] = np.inf
    with pytest.raises(InputError, match="layer01, identity: It maps some rows to values that are not finite"):
        ProbeStudy(found, labels, CLASSES, plan([Ridge()])).run([arm("identity"), arm("scale")])


def test_the_law_compares_proven_optima_only() -> None:
    def outcome(verdict: str, log_p: float) -> ProbeOutcome:
        certificate = described(Certificate(verdict, 1.0, 1.0, 0.0, 3))
        return ProbeOutcome({"certificate": certificate}, Choice(0, {}, 0), None, np.full((2, 2), log_p))

    cases = (("identity", CONVERGED, -1), ("a", CONVERGED, -1.5), ("b", UNCONVERGED, -1))
    found = {name: {"logistic_unregularized": outcome(verdict, value)} for name, verdict, value in cases}
    arms = {name: {"invertible": True} for name in found}
    assert law(arms, found) == {"logistic_unregularized": {"a": 0.5, "b": None}}

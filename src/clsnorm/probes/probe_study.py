"""All arms and probes at one place: fitted, chosen, scored and compared."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from clsnorm.errors import InputError
from clsnorm.probes.arms import Arm, FittedArm
from clsnorm.probes.choice import Choice, Fold, choose
from clsnorm.probes.features import Features
from clsnorm.probes.folds import few_shot_draws, stratified_folds
from clsnorm.probes.linear_probes import Logistic
from clsnorm.probes.logistic_regression import SEPARABLE, UNCONVERGED, Certificate, LogisticFit
from clsnorm.probes.outcomes import ProbeOutcome, described, law
from clsnorm.probes.paired_differences import Resamples, holm, paired_difference
from clsnorm.probes.probe import FittedProbe, Probe
from clsnorm.probes.train_rows import TrainRows

log = logging.getLogger(__name__)
FEW_SHOT = "few_shot"
FEW_SHOT_PENALTY = 1e-2  # of a probe fitted to few rows, which have no folds
HELD_OUT = ("select", "report")
UNKNOWN = Certificate(UNCONVERGED, np.inf, -np.inf, np.inf, 0)  # of weights that nobody has solved for


@dataclass(frozen=True)
class Plan:
    """What a study does.

    Attributes:
        probes: Tried on each arm.
        folds: Inner folds.
        shots, draws: Rows of a class in a few-shot draw, and number of draws; 0 draws: no few-shot probe.
        resamples: Of the bootstrap.
        seed: Of folds, draws, resamples and random normalizers.
    """

    probes: Sequence[Probe]
    folds: int
    shots: int
    draws: int
    resamples: int
    seed: int


@dataclass(frozen=True)
class _Prepared:
    """An arm's coordinates."""

    train: TrainRows
    held_out: dict[str, np.ndarray]
    folds: list[Fold]
    invertible: bool


class ProbeStudy:
    """Probes of the features at one place. Folds, draws and resamples are the same for all arms.

    Args:
        features: At the place.
        labels: By split: class ids, int64; or numbers.
        classes: Number of classes; 0: the labels are numbers.
        plan: What to do.
    """

    def __init__(self, features: Features, labels: Mapping[str, np.ndarray], classes: int, plan: Plan) -> None:
        self._features, self._classes, self._plan = features, classes, plan
        self._labels = {split: y.astype(np.int64 if classes else np.float64) for split, y in labels.items()}
        self._folds = stratified_folds(self._labels["train"], plan.folds, seed=plan.seed)
        self._shots = []
        if plan.draws:
            self._shots = few_shot_draws(self._labels["train"], plan.shots, plan.draws, seed=plan.seed)
        self._resamples: dict[int, Resamples] = {}

    def run(self, arms: Sequence[Arm]) -> dict[str, Any]:
        """Returns the results of all arms, the first of which is the reference of all differences.

        Another arm that cannot be built for these features, or gives values that are not finite, is left out by name.

        Raises:
            InputError: If the features themselves are not finite.
        """
        found: dict[str, dict[str, ProbeOutcome]] = {}
        record: dict[str, Any] = {"arms": {}, "left_out": {}}
        for arm in arms:
            started = time.perf_counter()
            try:
                prepared = self._prepare(arm)
            except InputError as error:
                if not found:  # the reference
                    raise InputError(f"{self._features.place}, {arm.name}: {error}") from None
                record["left_out"][arm.name] = str(error)
                continue
            reference = found[arms[0].name] if found and prepared.invertible else None
            found[arm.name] = self._probe(prepared, reference)
            record["arms"][arm.name] = {
                "invertible": prepared.invertible,
                "leaks": arm.leaks,
                "seconds": time.perf_counter() - started,
                "probes": {name: outcome.record for name, outcome in found[arm.name].items()},
            }
            log.info("%s: %s, %.1f s", self._features.place, arm.name, record["arms"][arm.name]["seconds"])
        record |= {"paired": self._paired(found), "leak": self._leaks(arms, found)}
        return record | {"law": law(record["arms"], found)}

    def _prepare(self, arm: Arm) -> _Prepared:
        train, report, seed = self._features.rows["train"], self._features.rows["report"], self._plan.seed
        fitted = arm.fit(np.concatenate([train, report]) if arm.leaks else train, seed=seed)
        x = {split: _finite(fitted(rows)) for split, rows in self._features.rows.items()}
        folds = []
        for number in range(self._plan.folds):
            held = self._folds == number
            inner = fitted if arm.leaks else arm.fit(train[~held], seed=seed)
            folds.append(self._fold(inner, held))
        return _Prepared(self._rows(x["train"]), x, folds, fitted.is_invertible())

    def _fold(self, fitted: FittedArm, held: np.ndarray) -> Fold:
        labels, x = self._labels["train"], _finite(fitted(self._features.rows["train"]))
        return Fold(TrainRows(x[~held], labels[~held], self._classes), x[held], labels[held])

    def _rows(self, x: np.ndarray, chosen: np.ndarray | slice = slice(None)) -> TrainRows:
        return TrainRows(x[chosen], self._labels["train"][chosen], self._classes)

    def _probe(self, prepared: _Prepared, reference: Mapping[str, ProbeOutcome] | None) -> dict[str, ProbeOutcome]:
        outcomes = {}
        for probe in self._plan.probes:
            same = reference[probe.name] if reference is not None and probe.is_invariant() else None
            outcomes[probe.name] = self._outcome(probe, prepared, same)
        if self._shots:
            outcomes[FEW_SHOT] = self._few_shot(prepared)
        return outcomes

    def _outcome(self, probe: Probe, prepared: _Prepared, same: ProbeOutcome | None) -> ProbeOutcome:
        """Fits, and scores; ``same`` is the outcome of which the law says that this one is equal to it."""
        started = time.perf_counter()
        choice = choose(probe, prepared.folds) if same is None else same.choice
        start = None if same is None else _transported(same.logits, prepared.train)
        fitted = probe.fit(prepared.train, choice.value, start=start)
        logits = _logits(fitted, prepared.train)
        record: dict[str, Any] = _chosen(probe, choice)
        if fitted.certificate is not None:
            record |= {"certificate": described(fitted.certificate), "unconverged_in_folds": choice.unconverged}
        if fitted.certificate is not None and fitted.certificate.verdict == SEPARABLE:
            record |= {split: {"accuracy": None, "log_loss": None} for split in HELD_OUT}
            return ProbeOutcome(record | {"seconds": time.perf_counter() - started}, choice, None, logits=logits)
        scores = {split: fitted.scores(prepared.held_out[split]) for split in HELD_OUT}
        for split in HELD_OUT:
            record[split] = self._scored(scores[split], self._labels[split], probe.probabilities)
        record["seconds"] = time.perf_counter() - started
        right = self._right(scores["report"], self._labels["report"])[None]
        return ProbeOutcome(record, choice, right, scores["report"] if probe.probabilities else None, logits)

    def _few_shot(self, prepared: _Prepared) -> ProbeOutcome:
        started, right, certificates = time.perf_counter(), [], []
        for rows in self._shots:
            fitted = Logistic().fit(self._rows(prepared.train.x, rows), FEW_SHOT_PENALTY)
            right.append(self._right(fitted.scores(prepared.held_out["report"]), self._labels["report"]))
            certificates.append(fitted.certificate)
        accuracies = np.mean(right, axis=1)
        worst = max((c for c in certificates if c is not None), key=lambda c: (c.verdict == UNCONVERGED, c.gap))
        record = {
            "report": {"accuracy": float(accuracies.mean()), "sd_over_draws": float(accuracies.std(ddof=1))},
            "certificate": described(worst),
            "seconds": time.perf_counter() - started,
        }
        return ProbeOutcome(record, Choice(FEW_SHOT_PENALTY, {}, 0), np.stack(right))

    def _right(self, scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
        return scores.argmax(axis=1) == labels if self._classes else -((scores[:, 0] - labels) ** 2)

    def _scored(self, scores: np.ndarray, labels: np.ndarray, probabilities: bool) -> dict[str, float | None]:
        right = self._right(scores, labels)
        if not self._classes:
            return {"mean_squared_error": float(-right.mean()), "r2": float(1 + right.mean() / labels.var())}
        found: dict[str, float | None] = {"accuracy": float(right.mean())}
        if probabilities:
            own = scores[np.arange(len(labels)), labels]
            found["log_loss"] = float(-own.mean()) if np.isfinite(own).all() else None
        return found

    def _difference(self, arm: ProbeOutcome, reference: ProbeOutcome) -> dict[str, Any] | None:
        """Returns the paired difference of two outcomes; None if one has no predictions."""
        if arm.right is None or reference.right is None:
            return None
        draws, rows = arm.right.shape
        if draws not in self._resamples:
            self._resamples[draws] = Resamples(rows, draws, count=self._plan.resamples, seed=self._plan.seed)
        return asdict(paired_difference(arm.right, reference.right, self._resamples[draws]))

    def _paired(self, found: Mapping[str, Mapping[str, ProbeOutcome]]) -> dict[str, dict[str, Any]]:
        """Returns each arm minus the first one, by probe and arm."""
        reference, *others = found
        paired: dict[str, dict[str, Any]] = {}
        for probe, first in found[reference].items():
            differences = {arm: self._difference(found[arm][probe], first) for arm in others}
            entries = {arm: entry for arm, entry in differences.items() if entry is not None}
            tested = [arm for arm, entry in entries.items() if entry["p"] is not None]
            for arm, p in zip(tested, holm([entries[arm]["p"] for arm in tested]), strict=True):
                entries[arm]["p_holm"] = p
            paired[probe] = entries
        return paired

    def _leaks(self, arms: Sequence[Arm], found: Mapping[str, Mapping[str, ProbeOutcome]]) -> dict[str, dict[str, Any]]:
        """Returns each arm that leaks minus the same arm without, by probe and arm."""
        pairs = [(a.name, b.name) for a in arms for b in arms if a.leaks and not b.leaks and a.node == b.node]
        pairs = [(leak, fair) for leak, fair in pairs if leak in found and fair in found]
        leaks: dict[str, dict[str, Any]] = {}
        for probe in next(iter(found.values())):
            for leak, fair in pairs:
                if (entry := self._difference(found[leak][probe], found[fair][probe])) is not None:
                    leaks.setdefault(probe, {})[leak] = entry
        return leaks


def _chosen(probe: Probe, choice: Choice) -> dict[str, Any]:
    if not probe.option:
        return {}
    return {"option": probe.option, "value": choice.value, "errors": {f"{k:g}": v for k, v in choice.errors.items()}}


def _logits(fitted: FittedProbe, rows: TrainRows) -> np.ndarray | None:
    """Returns the logits of a logistic probe on the rows it was fitted to; None of another probe."""
    return fitted.state.logits(rows.whitened.rows) if isinstance(fitted.state, LogisticFit) else None


def _finite(x: np.ndarray) -> np.ndarray:
    if not np.isfinite(x).all():
        raise InputError("It maps some rows to values that are not finite")
    return x


def _transported(logits: np.ndarray | None, rows: TrainRows) -> FittedProbe | None:
    """Returns the probe with these logits in the coordinates of an invertible affine arm, as far as float64 allows.

    With the logits of the reference, the law says that it is optimal there, too. Whether it is, the certificate says,
    which depends on no start.
    """
    if logits is None:
        return None
    ones = np.ones((len(rows.x), 1))
    weights = np.linalg.lstsq(np.concatenate([rows.whitened.rows, ones], axis=1), logits, rcond=None)[0]
    return FittedProbe(lambda x: x, state=LogisticFit(weights, UNKNOWN))

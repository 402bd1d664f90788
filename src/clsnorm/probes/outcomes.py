"""What one probe gives on one arm, and the law that compares arms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from clsnorm.probes.choice import Choice
from clsnorm.probes.linear_probes import InvariantLogistic, UnregularizedLogistic
from clsnorm.probes.logistic_regression import CONVERGED, Certificate


@dataclass(frozen=True)
class ProbeOutcome:
    """One probe on one arm.

    Attributes:
        record: Plain values for the results.
        choice: Of the probe's option.
        right: On report, ``(draws, rows)``: bool, or for numbers the negative squared error; None if no optimum exists,
            so that there are no predictions.
        log_probabilities: On report, if the probe has them.
        logits: On train, of a logistic probe; if no optimum exists, of a direction that separates.
    """

    record: dict[str, Any]
    choice: Choice
    right: np.ndarray | None
    log_probabilities: np.ndarray | None = None
    logits: np.ndarray | None = None


def described(certificate: Certificate) -> dict[str, Any]:
    """Returns a certificate as plain values, with its gap."""
    return asdict(certificate) | {"gap": certificate.gap}


def law(arms: Mapping[str, Any], found: Mapping[str, Mapping[str, ProbeOutcome]]) -> dict[str, dict[str, Any]]:
    """Returns the largest difference of a log-probability on report between each invertible affine arm and the first.

    By probe and arm, for the probes that cannot change. It is None where one of the two fits has no optimum, or is not
    proven to be at it: there the law makes no statement.

    Args:
        arms: Records by arm, with ``invertible``.
        found: Outcomes by arm and probe; the first arm is the reference.
    """
    reference, *others = found
    differences: dict[str, dict[str, Any]] = {}
    for probe in (InvariantLogistic.name, UnregularizedLogistic.name):
        if probe in found[reference]:
            first = found[reference][probe]
            affine = [arm for arm in others if arms[arm]["invertible"]]
            differences[probe] = {arm: _largest_difference(first, found[arm][probe]) for arm in affine}
    return differences


def _largest_difference(first: ProbeOutcome, second: ProbeOutcome) -> float | None:
    if any(outcome.record["certificate"]["verdict"] != CONVERGED for outcome in (first, second)):
        return None
    assert first.log_probabilities is not None
    assert second.log_probabilities is not None
    shown = np.isfinite(first.log_probabilities)
    return float(np.abs(second.log_probabilities[shown] - first.log_probabilities[shown]).max())

"""Differences of two arms over seeds and examples, both random and crossed: variance components in closed form.

``d[s, i]`` is the difference for training seed ``s`` and report example ``i``. Model: ``d = mean + seed + example +
rest``, independent parts with variances ``v_s``, ``v_e`` and ``v_r`` (Searle, Casella and McCulloch, Variance
Components, 1992, chapter 4). The mean of an S x E table has the variance ``v_s / S + v_e / E + v_r / (S E)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clsnorm.report.inference import behrens_fisher

Array = np.ndarray


@dataclass(frozen=True)
class Crossed:
    """The analysis of variance of a table of differences. All arrays have the shape of the leading dimensions.

    Attributes:
        mean: Mean difference.
        seeds: S, at least 2.
        examples: E; 1 if a score does not decompose over examples.
        seed_square: Mean square of seeds, ``E sum_s (mean_s - mean)^2 / (S - 1)``; its expectation is
            ``v_r + E v_s``.
        example_square: That of examples; its expectation is ``v_r + S v_e``. 0 if ``examples`` is 1.
        rest_square: That of what remains; its expectation is ``v_r``. 0 if ``examples`` is 1.
    """

    mean: Array
    seeds: int
    examples: int
    seed_square: Array
    example_square: Array
    rest_square: Array

    @property
    def from_seeds(self) -> Array:
        """The part of the mean's variance that more seeds reduce, ``v_s / S + v_r / (S E)``, with S - 1 degrees."""
        return self.seed_square / (self.seeds * self.examples)

    @property
    def from_examples(self) -> Array:
        """The part that only more report examples reduce, ``v_e / E``; at least 0."""
        return np.maximum(self.example_square - self.rest_square, 0.0) / (self.seeds * self.examples)

    @property
    def standard_error(self) -> Array:
        return np.sqrt(self.from_seeds + self.from_examples)

    def components(self) -> dict[str, Array]:
        """Returns the unbiased estimates of ``v_s``, ``v_e`` and ``v_r``; the first two may be negative."""
        return {
            "seed": (self.seed_square - self.rest_square) / self.examples,
            "example": (self.example_square - self.rest_square) / self.seeds,
            "rest": self.rest_square,
        }

    def satterthwaite(self) -> Array:
        """Returns the degrees of freedom of Satterthwaite (1946) for the sum of the three mean squares.

        Not used for intervals: with 3 seeds they cover 92 % where 95 % are claimed, and a p of 0.001 is wrong 9 times
        too often (docs/report.md).
        """
        squares = (self.seed_square, self.example_square, self.rest_square)
        s, e = self.seeds - 1, max(self.examples - 1, 1)
        total = self.seed_square + self.example_square - self.rest_square
        parts = sum(square**2 / df for square, df in zip(squares, (s, e, s * e), strict=True))
        return total**2 / parts

    def interval(self, level: float = 0.95) -> tuple[Array, Array]:
        """Returns the ends of the two-sided interval of the mean difference, over new seeds and new examples."""
        half = behrens_fisher.quantile((1 + level) / 2, *self._parts)
        return self.mean - half, self.mean + half

    def p_value(self, *, above: float | None = None, below: float | None = None) -> Array:
        """Returns p for "the mean difference is 0", two-sided.

        Args:
            above: If given, one-sided, for "it is at most ``above``".
            below: If given, one-sided, for "it is at least ``below``".
        """
        if above is not None:
            return behrens_fisher.upper_tail(self.mean - above, *self._parts)
        if below is not None:
            return behrens_fisher.upper_tail(below - self.mean, *self._parts)
        return np.minimum(1.0, 2 * behrens_fisher.upper_tail(np.abs(self.mean), *self._parts))

    def equivalence_p(self, margin: float) -> Array:
        """Returns p of the two one-sided tests (Schuirmann, 1987): small if the difference is within the margin."""
        return np.maximum(self.p_value(above=-margin), self.p_value(below=margin))

    @property
    def _parts(self) -> tuple[Array, Array, int, int]:
        return self.from_seeds, self.from_examples, self.seeds - 1, self.examples - 1


def crossed(differences: Array) -> Crossed:
    """Returns the analysis of a table of differences.

    Args:
        differences: ``(..., S, E)`` with S at least 2; E may be 1, for scores that do not decompose.
    """
    d = np.asarray(differences, dtype=np.float64)
    s, e = d.shape[-2:]
    mean = d.mean((-2, -1))
    seed_square = e * d.mean(-1).var(-1, ddof=1)
    if e == 1:
        return Crossed(mean, s, 1, seed_square, np.zeros_like(mean), np.zeros_like(mean))
    columns = d.mean(-2)
    example_square = s * columns.var(-1, ddof=1)
    rest = d - d.mean(-1, keepdims=True) - columns[..., None, :] + mean[..., None, None]
    rest_square = (rest**2).sum((-2, -1)) / ((s - 1) * (e - 1))
    return Crossed(mean, s, e, seed_square, example_square, rest_square)

"""All statistics of a `Snapshot`, as data: name, formula, null, source. To add one: a function and an entry here."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from clsnorm.errors import InputError, did_you_mean
from clsnorm.statistics import numbers, sampled, shape, spectrum, structure
from clsnorm.statistics.accumulators.snapshot import SAMPLE, Snapshot
from clsnorm.statistics.geometry import centred_share, isoscore, participation_ratio
from clsnorm.statistics.numbers import Number, of


@dataclass(frozen=True)
class Statistic:
    """One number of a snapshot.

    Attributes:
        name: Its key, ``family/name``.
        unit: ``share`` (0 to 1), ``count``, ``ratio``, ``cosine``, ``norm`` or ``nats``.
        meaning: What it says, with its formula.
        source: Where it comes from.
        compute: From a snapshot to the number; NaN where it is undefined.
        null: What as many draws from an isotropic normal around zero show on average (for classes: what these rows show
            with labels at random); None where no closed form is known.
        alias: Its key in the logs of a run, where that is shorter than ``name``.
        conditional: Whether the null depends on the rows themselves, and not on their number alone.
    """

    name: str
    unit: str
    meaning: str
    source: str
    compute: Number
    null: Number | None = None
    alias: str = ""
    conditional: bool = False

    @property
    def key(self) -> str:
        """Its key in the logs of a run."""
        return self.alias or self.name

    def applies_to(self, snapshot: Snapshot) -> bool:
        """Whether it says something of such data: a number of classes needs two of them."""
        return snapshot.num_classes >= 2 or not self.name.startswith("classes/")

    def value(self, snapshot: Snapshot) -> float:
        """Returns the number; NaN if there are fewer than two rows, or one was not finite."""
        return self.compute(snapshot) if snapshot.count >= 2 and snapshot.not_finite == 0 else math.nan


@dataclass(frozen=True)
class Value:
    """A number with the value that noise would give; None where that is not known."""

    value: float
    null: float | None


def describe(snapshot: Snapshot) -> dict[str, Value]:
    """Returns every statistic of a snapshot by name.

    All are NaN if there are fewer than two rows or a row was not finite. Those of classes are left out if there are
    fewer than two classes.
    """
    found = {}
    for statistic in CATALOGUE:
        if statistic.applies_to(snapshot):
            null = statistic.null(snapshot) if statistic.null and snapshot.count >= 2 else None
            found[statistic.name] = Value(statistic.value(snapshot), null)
    return found


def find(name: str, *, argument: str) -> Statistic:
    """Returns the statistic of the catalogue with this name or alias.

    Args:
        name: Such as ``spectrum/isoscore`` or ``isoscore``.
        argument: Where the name was given, for the message.

    Raises:
        InputError: If there is none.
    """
    for statistic in CATALOGUE:
        if name in (statistic.name, statistic.key):
            return statistic
    known = [statistic.key for statistic in CATALOGUE]
    raise InputError(
        f"Expected argument `{argument}` to name statistics of the catalogue, but got {name!r}."
        f"{did_you_mean(name, known)} There are: {', '.join(known)}"
    )


ZHOU = "Zhou, Du and Ren, 2019 (arXiv:1911.03918): the claim"
ISOBN = "IsoBN, Zhou, Lin and Ren, 2021 (arXiv:2005.02178)"
COSINE = "Ethayarajh, 2019 (arXiv:1909.00512), who sampled pairs; here all of them, in closed form"
ROGUE = "Timkey and van Schijndel, 2021 (arXiv:2109.04404)"
ISO = "IsoScore, Rudman et al., 2022 (arXiv:2108.07344), which this closed form equals"
PAPYAN = "Papyan, Han and Donoho, 2020 (arXiv:2008.08186)"
OUTLIERS = "Kovaleva et al., 2021 (arXiv:2105.06990)"
OWN = "elementary"
SAMPLED = f"a sample of {SAMPLE:,} rows"
EIGEN, EIGEN_0, ENERGY_0 = numbers.eigenvalues, numbers.null_eigenvalues, numbers.null_energies


def _largest(number: int, noun: str) -> str:
    """Returns ``largest dimension``, ``3 largest dimensions``."""
    return f"largest {noun}" if number == 1 else f"{number} largest {noun}s"


def _along(place: str, meaning: str, share: Callable[[Tensor, Snapshot], float]) -> Statistic:
    """Returns a share of the scatter between classes. Its null: labels at random scatter as all rows do.

    There the averages over labels are taken above and below; that of the share itself is somewhat smaller where it is
    large.
    """
    return Statistic(f"classes/along_{place}", "share", meaning, OWN, lambda s: share(s.between.between, s),
                     lambda s: share(s.covariance, s), conditional=True)  # fmt: skip


CATALOGUE: tuple[Statistic, ...] = (
    Statistic("centre/centred_share", "share", "Share of the mean in the mean square, ||mu||² / E||h||².", ZHOU,
              lambda s: centred_share(s.moments), lambda s: 1 / s.count, alias="centred_share"),
    Statistic("centre/mean_to_norm", "ratio", "Norm of the mean over the mean norm, ||mu|| / E||h||.", ZHOU,
              numbers.mean_to_norm, lambda s: 1 / math.sqrt(s.count)),
    Statistic("centre/sign_constant", "share", "Dimensions whose mean is over two standard deviations from zero.", OWN,
              numbers.sign_constant, lambda s: 0.0),
    *(
        Statistic(f"energy/top_{k}", "share", f"Share of the {_largest(k, 'dimension')} in the mean square.", ZHOU,
                  of(shape.top_share, numbers.energy, k), of(shape.top_share, ENERGY_0, k),
                  alias="top_energy_share" if k == 5 else "")
        for k in (1, 3, 5, 10)
    ),
    Statistic("energy/top_percent", "share", "Share of the largest 1 % of the dimensions in the mean square.", ZHOU,
              lambda s: shape.top_share(numbers.energy(s), numbers.percent(s)),
              lambda s: shape.top_share(ENERGY_0(s), numbers.percent(s))),
    Statistic("energy/hoyer", "share", "Hoyer's sparseness of the mean squares: 0 all equal, 1 one alone.",
              "Hoyer, 2004", of(shape.hoyer, numbers.energy), of(shape.hoyer, ENERGY_0)),
    Statistic("spread/top_5", "share", "Share of the 5 largest dimensions in the variance.", OWN,
              lambda s: shape.top_share(s.moments.variance.cpu(), 5), of(shape.top_share, ENERGY_0, 5)),
    Statistic("spread/std_range", "ratio", "Largest over smallest standard deviation of a dimension.", ISOBN,
              numbers.std_range, lambda s: math.sqrt(float(ENERGY_0(s)[0] / ENERGY_0(s)[-1]))),
    Statistic("spread/std_variation", "ratio", "Coefficient of variation of the standard deviations.", ISOBN,
              numbers.std_variation, lambda s: 1 / math.sqrt(2 * s.count)),
    Statistic("spread/log_std_range", "nats", "Distance of the 1st and 99th percentile of log standard deviations.",
              ISOBN, numbers.log_std_range, numbers.null_log_std_range),
    Statistic("spread/dead", "count", "Dimensions that never change.", OWN, numbers.dead, lambda s: 0.0),
    Statistic("correlation/mean_absolute", "correlation", "Mean |r| over all pairs of dimensions.", ISOBN,
              lambda s: float(numbers.correlations(s).abs().mean()),
              lambda s: math.sqrt(2 / (math.pi * (s.count - 1)))),
    Statistic("correlation/mean_square", "share", "Mean r² over all pairs of dimensions.", ISOBN,
              lambda s: float(numbers.correlations(s).square().mean()), lambda s: 1 / (s.count - 1)),
    *(
        Statistic(f"spectrum/explained_{k}", "share",
                  f"Share of the {_largest(k, 'principal component')} in the variance.",
                  "as scikit-learn's PCA.explained_variance_ratio_", of(spectrum.explained, EIGEN, k),
                  of(spectrum.explained, EIGEN_0, k))
        for k in (1, 2, 3, 5, 10)
    ),
    Statistic("spectrum/participation_ratio", "count", "Directions that share the variance, tr(S)² / ||S||².",
              "Gao et al., 2017", lambda s: participation_ratio(s.moments),
              lambda s: s.dim * s.count / (s.dim + s.count)),
    Statistic("spectrum/participation_ratio_unbiased", "count", "The same, corrected for the number of rows.",
              "Srivastava, 2005, for the two traces", numbers.unbiased_participation_ratio, lambda s: float(s.dim)),
    Statistic("spectrum/isoscore", "share", "IsoScore, (participation ratio - 1) / (d - 1).", ISO,
              lambda s: isoscore(s.moments),
              lambda s: (s.dim * s.count / (s.dim + s.count) - 1) / (s.dim - 1) if s.dim > 1 else math.nan,
              alias="isoscore"),
    Statistic("spectrum/isoscore_star", "share",
              "IsoScore* with zeta 0.2: IsoScore of 0.8 S + 0.2 C0 with C0 = tr(S)/d I, so that no unit matters; the "
              "published function takes any C0, and by custom I.",
              "I-STAR, Rudman and Eickhoff, 2024 (arXiv:2305.19358)", numbers.isoscore_star,
              numbers.null_isoscore_star),
    Statistic("spectrum/effective_rank", "count", "exp of the entropy of the eigenvalues' shares.",
              "Roy and Vetterli, 2007", of(spectrum.effective_rank, EIGEN),
              of(spectrum.effective_rank, EIGEN_0), alias="effective_rank"),
    Statistic("spectrum/rankme", "count", "RankMe: the same of the singular values, not centred.",
              "Garrido et al., 2023 (arXiv:2210.02885)", lambda s: spectrum.rankme(s.second_moment_eigenvalues),
              of(spectrum.rankme, EIGEN_0)),
    Statistic("spectrum/stable_rank", "count", "tr(S) over the largest eigenvalue.", OWN,
              of(spectrum.stable_rank, EIGEN), of(spectrum.stable_rank, EIGEN_0)),
    Statistic("spectrum/condition", "ratio", "Largest over smallest eigenvalue of the covariance.", OWN,
              of(spectrum.condition_number, EIGEN), of(spectrum.condition_number, EIGEN_0)),
    Statistic("spectrum/condition_uncentred", "ratio", "The same of E[h hᵀ], the curvature of a linear head.", OWN,
              lambda s: spectrum.condition_number(s.second_moment_eigenvalues),
              of(spectrum.condition_number, EIGEN_0)),
    Statistic("spectrum/slope", "ratio",
              "Exponent of the eigenvalues' power law, by least squares on logarithms, the last "
              "tenth left out.", OWN,
              of(spectrum.slope, EIGEN), of(spectrum.slope, EIGEN_0)),
    Statistic("cosine/average", "cosine", "Mean cosine of two different examples.", COSINE,
              numbers.average_cosine, lambda s: 0.0, alias="average_cosine"),
    *(
        Statistic(f"cosine/rogue_{k}", "share", f"Part of the {_largest(k, 'dimension')} in the average cosine.", ROGUE,
                  of(numbers.rogue, numbers.whole, k))
        for k in (1, 2, 3)
    ),
    Statistic("isotropy/partition", "share", f"min Z / max Z of the partition function, on {SAMPLED}.",
              "Mu and Viswanath, 2018 (arXiv:1702.01417)", lambda s: sampled.partition_isotropy(s.sample.rows)),
    Statistic("isotropy/second_order", "share", "Its second-order form, in closed form; 0 where that is negative.",
              "Mu and Viswanath, 2018 (arXiv:1702.01417)", numbers.second_order_isotropy),
    Statistic("tails/kurtosis", "ratio", "Mean excess kurtosis of a dimension.", OWN,
              lambda s: float(numbers.kurtoses(s).nanmean()), lambda s: -6 / (s.count + 1)),
    Statistic("tails/kurtosis_max", "ratio", "Largest excess kurtosis of a dimension.", OWN,
              numbers.kurtosis_max),
    Statistic("tails/skewness", "ratio", "Mean absolute skewness of a dimension.", OWN,
              lambda s: float(numbers.skewness(s).abs().nanmean()), lambda s: math.sqrt(12 / (math.pi * s.count))),
    Statistic("tails/kurtosis_across", "ratio", "Mean excess kurtosis over the dimensions of one embedding.",
              "Composer's ActivationMonitor", numbers.kurtosis_across,
              lambda s: -6 / (s.dim + 1)),
    Statistic("outliers/mean", "count", "Dimensions whose mean is over three deviations off those of the others.",
              OUTLIERS, lambda s: float(len(shape.outliers(numbers.mean(s)))), lambda s: 0.0027 * s.dim),
    Statistic("outliers/variance", "count", "Dimensions with over five times the mean variance.",
              "Rudman et al., 2023 (arXiv:2310.17715)",
              lambda s: float((s.moments.variance > 5 * s.moments.variance.mean()).sum()), lambda s: 0.0),
    Statistic("norm/mean", "norm", "Mean norm.", OWN, lambda s: numbers.direction_sum(s, "norm") / s.count),
    Statistic("norm/mean_1", "norm", "Mean 1-norm: the most one Adam step of size 1 moves a logit.", OWN,
              lambda s: numbers.direction_sum(s, "norm_1") / s.count),
    Statistic("norm/variation", "ratio", "Coefficient of variation of the norm.", OWN, numbers.norm_variation,
              lambda s: 1 / math.sqrt(2 * s.dim)),
    *(
        Statistic(f"norm/p{percent:02d}", "norm", f"{percent} % of the norms are below it, exactly.", OWN,
                  of(numbers.norm_percentile, numbers.whole, percent))
        for percent in (1, 5, 50, 95, 99)
    ),
    Statistic("sample/uniformity", "nats", f"log E exp(-2 ||u - v||²) over pairs of {SAMPLED}.",
              "Wang and Isola, 2020 (arXiv:2005.10242)", lambda s: sampled.uniformity(s.sample.rows),
              numbers.null_uniformity),
    Statistic("sample/centred_cosine", "cosine", f"Mean cosine of two examples around the mean, on {SAMPLED}.", OWN,
              numbers.centred_cosine, numbers.null_centred_cosine),
    Statistic("sample/twonn", "count", f"Intrinsic dimension by two nearest neighbours, on {SAMPLED}.",
              "Facco et al., 2017", lambda s: sampled.twonn(s.sample.rows)),
    Statistic("classes/fisher_ratio", "ratio", "Variance between classes over variance within.", "Fisher, 1936",
              lambda s: s.between.fisher_ratio(),
              numbers.null_fisher_ratio),
    Statistic("classes/calinski_harabasz", "ratio", "The same over its degrees of freedom.",
              "Calinski and Harabasz, 1974", lambda s: s.between.calinski_harabasz(), lambda s: 1.0),
    Statistic("classes/separability", "ratio", "tr(S_W⁻¹ S_B) of discriminant analysis, S_W shrunk by 1 %.",
              "Rao, 1948", lambda s: s.between.separability(),
              lambda s: s.between.null_separability(), conditional=True),
    Statistic("classes/nc1", "ratio", "tr(S_W S_B⁺) / C: 0 if classes are points.", PAPYAN,
              lambda s: s.between.nc1()),
    Statistic("classes/nc2_norms", "ratio",
              "Variation of the class means' norms: 0 if they are equinorm; needs three classes.",
              PAPYAN,
              lambda s: s.between.nc2_norms()),
    Statistic("classes/nc2_angles", "cosine",
              "Mean |cos + 1/(C-1)| of class means: 0 if they form a simplex; needs three "
              "classes.", PAPYAN,
              lambda s: s.between.nc2_angles()),
    _along("mean", "Share of the variance between classes along the mean.",
           lambda scatter, s: structure.share_along(scatter, numbers.mean(s))),
    _along("first_component", "The same along the first principal component.",
           lambda scatter, s: structure.share_within(scatter, s.eigenvectors[:, :1])),
    _along("3_components", "The same in the span of the 3 largest ones.",
           lambda scatter, s: structure.share_within(scatter, s.eigenvectors[:, :3])),
    _along("outliers", "The same in the dimensions that outliers/mean counts.",
           lambda scatter, s: structure.share_of(scatter, shape.outliers(numbers.mean(s)))),
    Statistic("classes/alignment", "ratio", "E||u - v||² over pairs of one class: 0 if they are points.",
              "Wang and Isola, 2020 (arXiv:2005.10242)", lambda s: structure.alignment(s.classes),
              lambda s: 2 - 2 * numbers.average_cosine(s), conditional=True),
)  # fmt: skip

"""The kinds of figures of an analysis: one function each, from NumPy arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from clsnorm.pages import figure as plotting
from clsnorm.pages.numbers import UNDEFINED
from clsnorm.statistics.noise import isotropic_eigenvalues, isotropic_energies

Array = np.ndarray
GREY = "#9a9a9a"
FLAT = 1e-6  # a mean or spread below this share of the largest is zero to the precision of float32
ZERO = 1e-10  # eigenvalues below this share of the largest are zero to the precision of float32 embeddings


def draw_dimensions(moments: Mapping[str, tuple[Array, Array]], *, title: str) -> plotting.Drawn:
    """Draws the absolute mean and the standard deviation of the dimensions, each sorted, largest first, in two panels.

    If a few dimensions dominate, the left ends are far above the rest; if [CLS] is not centred, the means are above the
    standard deviations. Both panels share a logarithmic scale: on a linear one, an outlier a hundred times as large as
    the others would flatten them.

    Args:
        moments: Mean and standard deviation, both ``(d,)``, by label.
        title: Title of the figure; a second line is the subtitle.
    """
    with plotting.figure(size=(6.4, 2.7)) as (figure, left):
        left.remove()
        panels = figure.subplots(1, 2, sharey=True)
        for part, (axes, name) in enumerate(zip(panels, ("|mean|", "standard deviation"), strict=True)):
            for colour, (label, values) in zip(plotting.colours(len(moments)), moments.items(), strict=True):
                ordered = np.sort(np.abs(values[part]))[::-1]
                at = np.arange(1, len(ordered) + 1)
                shown = np.where(ordered > FLAT * ordered[0], ordered, np.nan)
                axes.plot(at, shown, color=colour, label=label)
            axes.set_yscale("log")
            axes.set_xscale("log")
            axes.set_xlabel("dimension, largest first")
            axes.set_ylabel(name)
        if len(moments) > 1:
            panels[0].legend()
        plotting.title(panels[0], title)
        return plotting.finish(figure)


def draw_energy(energies: Mapping[str, Array], *, count: int, title: str) -> plotting.Drawn:
    """Draws the cumulative share of the mean square over dimensions, largest first.

    Args:
        energies: Mean squares ``(d,)`` by label.
        count: Number of examples, for the null: independent normal dimensions of equal variance.
        title: Title of the figure; a second line is the subtitle.
    """
    with plotting.figure() as (figure, axes):
        dim = len(next(iter(energies.values())))
        at = np.arange(1, dim + 1)
        null = isotropic_energies(dim, count)
        axes.plot(at, np.cumsum(null) / null.sum(), color=GREY, linestyle="--", label="isotropic")
        for colour, (label, energy) in zip(plotting.colours(len(energies)), energies.items(), strict=True):
            ordered = np.sort(energy)[::-1]
            axes.plot(at, np.cumsum(ordered) / (ordered.sum() or np.nan), color=colour, label=label)
        axes.set_xscale("log")
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("number of dimensions, largest first")
        axes.set_ylabel("share of the mean square")
        axes.legend()
        plotting.title(axes, title)
        return plotting.finish(figure)


def draw_spectrum(eigenvalues: Mapping[str, Array], *, count: int, title: str) -> plotting.Drawn:
    """Draws eigenvalues of the covariance over their mean, largest first, both axes logarithmic.

    The dashed line is the expectation for ``count`` draws from an isotropic normal distribution around their mean:
    quantiles of the Marchenko-Pastur law.
    """
    with plotting.figure() as (figure, axes):
        dim = len(next(iter(eigenvalues.values())))
        at = np.arange(1, dim + 1)
        null = isotropic_eigenvalues(dim, count - 1)
        axes.plot(at, np.where(null > 0, null, np.nan), color=GREY, linestyle="--", label="isotropic")
        for colour, (label, values) in zip(plotting.colours(len(eigenvalues)), eigenvalues.items(), strict=True):
            ordered = np.sort(values)[::-1]
            seen = ordered > ZERO * ordered[0]
            axes.plot(at[seen], ordered[seen] / ordered.mean(), color=colour, label=label)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("principal component")
        axes.set_ylabel("eigenvalue over mean")
        axes.legend()
        plotting.title(axes, title)
        return plotting.finish(figure)


def draw_correlations(correlations: Mapping[str, Array], *, title: str) -> plotting.Drawn:
    """Draws correlation matrices side by side, with correlated dimensions next to each other.

    The order comes from average-linkage clustering of the first matrix with distance ``1 - |r|`` and optimal leaf
    ordering. All matrices share this order and the colours; the scale ends at the first one's 99.5th percentile of
    ``|r|``.

    Args:
        correlations: ``(d, d)`` by label.
        title: Title of the figure; a second line is the subtitle.
    """
    first = next(iter(correlations.values()))
    order = _clustered(first)
    most = max(0.1, float(np.quantile(np.abs(first[~np.eye(len(first), dtype=bool)]), 0.995)))
    with plotting.figure(size=(3.2 * len(correlations) + 0.9, 3.6)) as (figure, whole):
        whole.remove()
        panels = figure.subplots(1, len(correlations), squeeze=False)[0]
        for axes, (label, values) in zip(panels, correlations.items(), strict=True):
            shown = values[np.ix_(order, order)]
            image = axes.imshow(shown, cmap="RdBu_r", vmin=-most, vmax=most, interpolation="antialiased")
            axes.grid(visible=False)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_xlabel("dimension, clustered" + (f" ({label})" if len(correlations) > 1 else ""))
        panels[0].set_ylabel("dimension")
        figure.colorbar(image, ax=list(panels), shrink=0.8, label="correlation", extend="both")
        plotting.title(panels[0], title)
        return plotting.finish(figure)


def _clustered(correlation: Array) -> Array:
    from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
    from scipy.spatial.distance import squareform

    distance = np.clip(1 - np.abs(correlation), 0, None)
    np.fill_diagonal(distance, 0)
    flat = squareform(distance, checks=False)
    tree = linkage(flat, method="average")
    return np.asarray(leaves_list(optimal_leaf_ordering(tree, flat) if len(correlation) <= 512 else tree))


def draw_layers(
    series: Mapping[str, Sequence[float]], noise: Array, labels: Sequence[str], *, unit: str, title: str
) -> plotting.Drawn:
    """Draws a statistic over layers: one line for each of ``series``, and its null dashed with its interval in grey.

    Args:
        series: Values ``(L,)`` by label.
        noise: Mean, lower and upper end of the null, ``(3, L)``; NaN where unknown.
        labels: Of the layers.
        unit: Unit of the values.
        title: Title of the figure; a second line is the subtitle.
    """
    null, low, high = noise
    known = bool(np.isfinite(null).any())
    with plotting.figure() as (figure, axes):
        if known:
            axes.plot(range(len(labels)), null, color=GREY, linestyle="--", label="null", zorder=1)
            axes.fill_between(range(len(labels)), low, high, color=GREY, alpha=0.3, linewidth=0, zorder=0)
        for colour, (name, values) in zip(plotting.colours(len(series)), series.items(), strict=True):
            axes.plot(range(len(labels)), values, color=colour, label=_label(name, series), marker="o", markersize=2.5)
        axes.set_xticks(range(len(labels)), labels)
        axes.set_xlabel("layer")
        axes.set_ylabel(unit)
        if len(series) > 1 or known:
            axes.legend()
        plotting.title(axes, title)
        return plotting.finish(figure)


def _label(name: str, series: Mapping[str, Sequence[float]]) -> str:
    """Names a side only if there are two."""
    return name if len(series) > 1 else "[CLS]"


def draw_table(
    values: Array,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    unit: str,
    title: str,
    across: str = "layer",
    low: float | None = None,
) -> plotting.Drawn:
    """Draws a table as a heat map with the numbers in it; – if undefined.

    Args:
        values: ``(len(rows), len(columns))``.
        rows: Labels of the rows, such as data sets.
        columns: Labels of the columns, such as layers.
        unit: Unit of the numbers.
        title: Title of the figure; a second line is the subtitle.
        across: Label of the horizontal axis.
        low: Lowest value of the colour scale; None: the smallest number.
    """
    rows = [plotting.plain(row, longest=40) for row in rows]
    long_labels = 0.07 * max(0, max(map(len, rows)) - 20)  # inches
    high, wide = 0.28 * len(rows) + 1.1, max(plotting.SIZE[0], 0.52 * len(columns) + 1.8) + long_labels
    with plotting.figure(size=(wide, high)) as (figure, axes):
        image = axes.imshow(values, cmap="viridis", aspect="auto", vmin=low)
        axes.grid(visible=False)
        axes.set_xticks(range(len(columns)), columns)
        axes.set_yticks(range(len(rows)), rows)
        axes.set_xlabel(across)
        middle = np.nanmean([np.nanmin(values) if low is None else low, np.nanmax(values)])
        for (row, column), value in np.ndenumerate(values):
            ink = "#ffffff" if value < middle else "#000000"
            text = f"{value:.2g}" if np.isfinite(value) else UNDEFINED
            axes.text(column, row, text, ha="center", va="center", fontsize=6.5, color=ink)
        figure.colorbar(image, ax=axes, label=unit)
        plotting.title(axes, title)
        return plotting.finish(figure)

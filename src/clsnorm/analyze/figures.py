"""What the analysis draws: one function a figure, from arrays on the host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from clsnorm.pages import figure as plotting
from clsnorm.statistics.noise import isotropic_eigenvalues, isotropic_energies

Array = np.ndarray
GREY = "#9a9a9a"
FLAT = 1e-6  # a mean or spread below this share of the largest is zero to the precision of float32
ZERO = 1e-10  # eigenvalues below this share of the largest are zero to the precision of float32 embeddings


def draw_dimensions(moments: Mapping[str, tuple[Array, Array]], *, title: str) -> plotting.Drawn:
    """Draws size of the mean and standard deviation of each dimension, each sorted, largest first, in two panels.

    Where values concentrate on few dimensions, the left ends stand far above the rest; where [CLS] is not centred, the
    means lie above the standard deviations. Both panels have one logarithmic scale: a single outlier, a hundred times
    the others, would flatten them on a linear one.

    Args:
        moments: Mean and standard deviation, both ``(d,)``, by label.
        title: Of the figure.
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
        count: Examples behind them, for the null: independent normal dimensions of equal size.
        title: Of the figure.
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

    The dashed line is what ``count`` draws from an isotropic normal distribution show: quantiles of the
    Marchenko-Pastur law.
    """
    with plotting.figure() as (figure, axes):
        dim = len(next(iter(eigenvalues.values())))
        at = np.arange(1, dim + 1)
        null = isotropic_eigenvalues(dim, count)
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
    """Draws correlation matrices side by side, dimensions ordered so that like ones of the first stand together.

    Ordered by average-linkage clustering with distance ``1 - |r|``, with the order of leaves that brings neighbours
    closest. All have the order and the colours of the first; the scale ends at its 99.5th percentile of ``|r|``.

    Args:
        correlations: ``(d, d)`` by label.
        title: Of the figure.
    """
    first = next(iter(correlations.values()))
    order = _like_together(first)
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
            axes.set_xlabel("dimension, like ones together" + (f" ({label})" if len(correlations) > 1 else ""))
        panels[0].set_ylabel("dimension")
        figure.colorbar(image, ax=list(panels), shrink=0.8, label="correlation", extend="both")
        plotting.title(panels[0], title)
        return plotting.finish(figure)


def _like_together(correlation: Array) -> Array:
    from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
    from scipy.spatial.distance import squareform

    distance = np.clip(1 - np.abs(correlation), 0, None)
    np.fill_diagonal(distance, 0)
    flat = squareform(distance, checks=False)
    tree = linkage(flat, method="average")
    return np.asarray(leaves_list(optimal_leaf_ordering(tree, flat) if len(correlation) <= 512 else tree))


def draw_layers(
    series: Mapping[str, Sequence[float]], null: Sequence[float] | None, labels: Sequence[str], *, unit: str, title: str
) -> plotting.Drawn:
    """Draws numbers over layers: one line for each of ``series``, and a dashed one for what noise would show."""
    with plotting.figure() as (figure, axes):
        if null is not None:
            axes.plot(range(len(labels)), null, color=GREY, linestyle="--", label="noise", zorder=1)
        for colour, (name, values) in zip(plotting.colours(len(series)), series.items(), strict=True):
            axes.plot(range(len(labels)), values, color=colour, label=_label(name, series), marker="o", markersize=2.5)
        axes.set_xticks(range(len(labels)), labels)
        axes.set_xlabel("layer")
        axes.set_ylabel(unit)
        if len(series) > 1 or null is not None:
            axes.legend()
        plotting.title(axes, title)
        return plotting.finish(figure)


def _label(name: str, series: Mapping[str, Sequence[float]]) -> str:
    """One side is the embeddings themselves; two are told apart."""
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
    """Draws a table of numbers as a heat map with the numbers in it; – where one is undefined.

    Args:
        values: ``(len(rows), len(columns))``.
        rows: Such as data sets.
        columns: Such as layers.
        unit: Of the numbers.
        title: Of the figure.
        across: What the columns are.
        low: Where the colours start; None: at the smallest number.
    """
    high, wide = 0.28 * len(rows) + 1.1, max(plotting.SIZE[0], 0.52 * len(columns) + 1.8)
    with plotting.figure(size=(wide, high)) as (figure, axes):
        image = axes.imshow(values, cmap="viridis", aspect="auto", vmin=low)
        axes.grid(visible=False)
        axes.set_xticks(range(len(columns)), columns)
        axes.set_yticks(range(len(rows)), rows)
        axes.set_xlabel(across)
        middle = np.nanmean([np.nanmin(values) if low is None else low, np.nanmax(values)])
        for (row, column), value in np.ndenumerate(values):
            ink = "#ffffff" if value < middle else "#000000"
            text = f"{value:.2g}" if np.isfinite(value) else "–"
            axes.text(column, row, text, ha="center", va="center", fontsize=6.5, color=ink)
        figure.colorbar(image, ax=axes, label=unit)
        plotting.title(axes, title)
        return plotting.finish(figure)

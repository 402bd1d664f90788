"""The seven statistics that an analysis shows first, and how places are labelled."""

from __future__ import annotations

from clsnorm.statistics import CATALOGUE

TITLES = {  # the claim of the paper (a large mean, few large dimensions) and its nearest relatives
    "centre/centred_share": "Share of the mean in the mean square",
    "centre/centred_share_without_5": "The same without the 5 largest dimensions",
    "energy/top_5": "Share of the 5 largest dimensions",
    "correlation/mean_absolute": "Mean absolute correlation of two dimensions",
    "spectrum/isoscore": "IsoScore",
    "cosine/average": "Mean cosine of two texts",
    "classes/fisher_ratio": "Variance between classes over within",
}
HEADLINES = tuple(TITLES)
UNITS = {statistic.name: statistic.unit for statistic in CATALOGUE}
MEANINGS = {statistic.name: statistic.meaning for statistic in CATALOGUE}


def place_label(name: str) -> str:
    """Returns the label of a place on an axis: the number of a layer, else the name."""
    return str(int(name.removeprefix("layer"))) if name.startswith("layer") else name

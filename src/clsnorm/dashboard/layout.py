"""Which numbers stand together, as data: drawn on the page of a run and sent to W&B alike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True)
class Panel:
    """One line plot over optimizer steps.

    Attributes:
        title: What is shown.
        keys: Shell patterns of logged names; ``*`` takes any part.
        log: Whether the values are on a logarithmic scale.
        unit: Of the values.
    """

    title: str
    keys: tuple[str, ...]
    unit: str
    log: bool = False

    def among(self, names: Iterable[str]) -> list[str]:
        """Returns those of ``names`` that belong here, in the order of ``names``."""
        return [name for name in names if any(fnmatchcase(name, pattern) for pattern in self.keys)]


@dataclass(frozen=True)
class Section:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


PERCENTILES = ("median", "p95", "p99", "max")
ENDS = ("embeddings", "pooler", "normalizer", "head")


def _each(prefix: str, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(prefix + name for name in names)


SECTIONS = (
    Section(
        "Learning",
        (
            Panel("Training loss", ("train/loss",), "nats"),
            Panel("Loss on the select split", ("select/loss",), "nats"),
            Panel("Scores on the select split", ("select/[!l]*", "select/l[!o]*"), "metric"),
            Panel("Share of the most frequent answer", ("predictions/select/largest_share",), "share"),
        ),
    ),
    Section(
        "How biased [CLS] is",
        (
            Panel("The mean's share in the mean square", ("cls/select/[hz]/centred_share",), "share"),
            Panel("Share of the largest dimensions", ("cls/select/[hz]/top_energy_share",), "share"),
            Panel("Mean cosine of two texts", ("cls/select/[hz]/average_cosine",), "cosine"),
            Panel("IsoScore", ("cls/select/[hz]/isoscore",), "share"),
            Panel("Effective rank", ("cls/select/[hz]/effective_rank",), "count"),
            Panel("The mean's share in training batches", ("cls/train/[hz]/centred_share",), "share"),
            Panel("Drift since the calibration", ("cls/select/staleness/*",), "deviations or nats"),
        ),
    ),
    Section(
        "Gradients of single examples at [CLS]",
        (
            Panel("Norms before the normalizer", _each("grad/h*/", PERCENTILES), "norm", log=True),
            Panel("Norms after the normalizer", _each("grad/z/", PERCENTILES), "norm", log=True),
            Panel(
                "Gain of the normalizer and its bound",
                ("grad/gain", "grad/rms_gain", "grad/gain_bound"),
                "ratio",
                log=True,
            ),
            Panel("Agreement of two examples", ("grad/*/agreement",), "cosine"),
            Panel("Signal to noise", ("grad/*/signal_to_noise",), "ratio"),
            Panel("Share of the largest dimensions", ("grad/*/top_energy_share",), "share"),
            Panel("Dimensions that share the energy", ("grad/*/participation_ratio",), "count"),
            Panel("Overlap with large dimensions of [CLS]", ("grad/*/top_overlap", "grad/*/rank_correlation"), "share"),
        ),
    ),
    Section(
        "Gradients of the parameters",
        (
            Panel("Before and after clipping", ("grad/parameters/total", "grad/clipped/total"), "norm", log=True),
            Panel("Clipped to", ("grad/clip_coefficient",), "ratio", log=True),
            Panel("Embeddings and what follows [CLS]", _each("grad/parameters/", ENDS), "norm", log=True),
            Panel("Attention, by layer", ("grad/parameters/*/attention",), "norm", log=True),
            Panel("Feed-forward, by layer", ("grad/parameters/*/ffn",), "norm", log=True),
            Panel("First layer over last", ("grad/depth/bottom_to_top",), "ratio", log=True),
            Panel("Update over weight: the same", _each("grad/update_ratio/", ENDS), "ratio", log=True),
            Panel("Update over weight: attention", ("grad/update_ratio/*/attention",), "ratio", log=True),
        ),
    ),
)

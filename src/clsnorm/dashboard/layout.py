"""Which numbers stand together, as data: drawn on the page of a run and sent to W&B alike."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from clsnorm.dashboard.keys import PLACES, key_of


@dataclass(frozen=True)
class Panel:
    """One line plot over optimizer steps.

    Attributes:
        title: What is shown.
        keys: Shell patterns of logged names; ``*`` takes any part.
        unit: Of the values.
        log: Whether the values are on a logarithmic scale.
    """

    title: str
    keys: tuple[str, ...]
    unit: str
    log: bool = False

    @property
    def heading(self) -> str:
        """The title with the unit."""
        return f"{self.title} ({self.unit})"

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


def _cls(number: str) -> tuple[str, ...]:
    """A statistic of the select split, before training and at each validation, and what noise shows."""
    return (f"cls/start/[hz]/{number}", f"cls/select/[hz]/{number}", f"cls/noise/{number}")


SECTIONS = (
    Section(
        "Learning",
        (
            Panel("Training loss", ("train/loss",), "nats"),
            Panel("Loss on the select split", ("select/loss",), "nats"),
            Panel("Scores on the select split", ("select/[!l]*", "select/l[!o]*"), "score"),
            Panel("Share of the most frequent answer", ("predictions/select/largest_share",), "share"),
        ),
    ),
    Section(
        "How biased [CLS] is",
        (
            Panel("The mean's share in the mean square", _cls("centred_share"), "share"),
            Panel("Share of the largest dimensions", _cls("top_energy_share"), "share"),
            Panel("Mean cosine of two texts", _cls("average_cosine"), "cosine"),
            Panel("IsoScore", _cls("isoscore"), "share"),
            Panel("Effective rank", _cls("effective_rank"), "count"),
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


ONCE = re.compile(r"epoch|(cls/)?report.*")  # no curve: a count of epochs, and what is measured at the end alone
PLACE = re.compile(f"{PLACES}|h_of_sum")


def sections_for(names: Iterable[str]) -> tuple[Section, ...]:
    """Returns `SECTIONS`, and one more with a panel for each kind of those of ``names`` that have none there.

    Places ([CLS] before and after the normalizer, layers, the pooler) of one number share a panel.
    """
    names = list(names)
    shown = {name for section in SECTIONS for panel in section.panels for name in panel.among(names)}
    groups: dict[str, list[str]] = {}
    for name in names:
        if name not in shown and not ONCE.fullmatch(name):
            groups.setdefault(_kind(name), []).append(name)
    panels = []
    for kind, members in sorted(groups.items()):
        unit = _unit(members[0])
        panels.append(Panel(kind, tuple(members), unit, log=unit == "norm"))
    return (*SECTIONS, Section("Other numbers", tuple(panels))) if panels else SECTIONS


def _kind(name: str) -> str:
    name = name.replace("cls/start/", "cls/select/").replace("cls/noise/", "cls/select/h/")
    return "/".join("*" if PLACE.fullmatch(part) else part for part in name.split("/"))


def _unit(name: str) -> str:
    key = key_of(name)
    return "value" if key is None else key.unit

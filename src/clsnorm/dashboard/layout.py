"""Which numbers share a panel, and which panels a section: used by the page of a run and by the W&B workspace."""

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
        title: Heading without the unit.
        keys: Shell patterns of logged names; ``*`` matches any text.
        unit: Unit of the values.
        log: Whether the scale is logarithmic.
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
        """Returns the ``names`` that match ``keys``, in their order."""
        return [name for name in names if any(fnmatchcase(name, pattern) for pattern in self.keys)]


@dataclass(frozen=True)
class Section:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


PERCENTILES = ("median", "p95", "p99", "max")
ENDS = ("embeddings", "pooler", "normalizer", "head", "body")


def _each(prefix: str, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(prefix + name for name in names)


def _cls(number: str) -> tuple[str, ...]:
    """One statistic of the select split: before training, at each validation, and its value for noise."""
    return (f"cls/start/[hz]/{number}", f"cls/select/[hz]/{number}", f"cls/noise/{number}")


SECTIONS = (
    Section(
        "Learning",
        (
            Panel("Training loss", ("train/loss",), "nats"),
            Panel("Loss on the select split", ("select/loss",), "nats"),
            Panel("Scores on the select split", ("select/[!l]*", "select/l[!o]*"), "score"),
            Panel("Share of the most frequent prediction", ("predictions/select/largest_share",), "share"),
            Panel("Normalizer: training against evaluation", ("z/train_eval_gap",), "ratio"),
        ),
    ),
    Section(
        "Bias of [CLS]",
        (
            Panel("Share of the mean in the mean square", _cls("centred_share"), "share"),
            Panel("Share of the largest dimensions", _cls("top_energy_share"), "share"),
            Panel("Mean cosine of two texts", _cls("average_cosine"), "cosine"),
            Panel("IsoScore", _cls("isoscore"), "share"),
            Panel("Effective rank", _cls("effective_rank"), "count"),
            Panel("Share of the mean, training batches", ("cls/train/[hz]/centred_share",), "share"),
            Panel("Drift since calibration", ("cls/select/staleness/*",), "deviations or nats"),
        ),
    ),
    Section(
        "Gradients of single examples at [CLS]",
        (
            Panel("Norms before the normalizer", _each("grad/h*/", PERCENTILES), "norm", log=True),
            Panel("Norms after the normalizer", _each("grad/z/", (*PERCENTILES, "bound")), "norm", log=True),
            Panel("Norms below the encoder's last norm", _each("grad/below_norm*/", PERCENTILES), "norm", log=True),
            Panel("Norms at the head's weights", _each("grad/head_weight/", PERCENTILES), "norm", log=True),
            Panel("Norms at the head's bias", _each("grad/head_bias/", PERCENTILES), "norm", log=True),
            Panel("At [CLS] of each layer", ("grad/layer*/cls",), "norm", log=True),
            Panel("At [CLS] over other tokens", ("grad/layer*/cls_to_others",), "ratio", log=True),
            Panel(
                "Gain of the normalizer and its bound",
                ("grad/gain", "grad/rms_gain", "grad/gain_bound"),
                "ratio",
                log=True,
            ),
            Panel("Agreement of two examples", ("grad/*/agreement",), "cosine"),
            Panel("Signal to noise", ("grad/*/signal_to_noise",), "ratio"),
            Panel("Share of the largest dimensions", ("grad/*/top_energy_share",), "share"),
            Panel("Participation ratio", ("grad/*/participation_ratio",), "count"),
            Panel(
                "Overlap with the largest dimensions of [CLS]",
                ("grad/*/top_overlap", "grad/*/rank_correlation"),
                "share",
            ),
        ),
    ),
    Section(
        "Gradients of the parameters",
        (
            Panel("Before and after clipping", ("grad/parameters/total", "grad/clipped/total"), "norm", log=True),
            Panel("Clipping coefficient", ("grad/clip_coefficient",), "ratio", log=True),
            Panel("Embeddings and modules after [CLS]", _each("grad/parameters/", ENDS), "norm", log=True),
            Panel("Attention, by layer", ("grad/parameters/*/attention",), "norm", log=True),
            Panel("Feed-forward, by layer", ("grad/parameters/*/ffn",), "norm", log=True),
            Panel("First layer over last", ("grad/depth/bottom_to_top",), "ratio", log=True),
            Panel(
                "Update over weight: embeddings and modules after [CLS]",
                _each("grad/update_ratio/", ENDS),
                "ratio",
                log=True,
            ),
            Panel("Update over weight: attention", ("grad/update_ratio/*/attention",), "ratio", log=True),
        ),
    ),
    Section(
        "Sharpness",
        (
            Panel("Largest curvature", _each("sharpness/", ("gauss_newton", "hessian", "head")), "curvature", log=True),
            Panel("Over the threshold of stability", ("sharpness/edge",), "ratio", log=True),
            Panel("Learning rate times curvature", ("sharpness/rate_times",), "ratio", log=True),
        ),
    ),
)


ONCE = re.compile(r"epoch|(cls/)?report.*")  # not curves: epochs are counted, the rest is measured once, at the end
PLACE = re.compile(f"{PLACES}|h_of_sum")


def sections_for(names: Iterable[str]) -> tuple[Section, ...]:
    """Returns `SECTIONS`, plus a section with the ``names`` that no panel there shows.

    In the added section one number shares a panel over all places (``h``, ``z``, layers, the pooler).
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

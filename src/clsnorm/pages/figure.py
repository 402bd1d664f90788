"""How all figures look, and what a figure becomes; matplotlib is imported when something is drawn."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from clsnorm.errors import InputError
from clsnorm.files import replacing, write_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE = (4.6, 2.7)  # inches
PALETTE = ("#2166ac", "#d6604d", "#1b7837", "#762a83", "#b8860b", "#4d4d4d")  # told apart by the colour-blind, too
STYLE = {
    "font.family": "sans-serif",
    "font.size": 8.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "grid.linewidth": 0.4,
    "grid.color": "#e2e2e2",
    "axes.axisbelow": True,
    "lines.linewidth": 1.2,
    "legend.frameon": False,
    "legend.fontsize": 7.0,
    "svg.fonttype": "none",
    "svg.hashsalt": "clsnorm",  # the same figure is the same text
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
}


def require() -> None:
    """Checks that figures can be drawn, before the work whose end they are.

    Raises:
        InputError: If matplotlib or SciPy is not installed.
    """
    for package in ("matplotlib", "scipy"):
        if find_spec(package) is None:
            raise InputError(f"Figures need {package}, which is not installed. Run `pip install -e '.[figures]'`")


@contextlib.contextmanager
def figure(*, size: tuple[float, float] = SIZE) -> Iterator[tuple[Figure, Axes]]:
    """Gives a figure of ``size`` inches with one pair of axes, in the style of all of them.

    Raises:
        InputError: If matplotlib is not installed.
    """
    require()
    import matplotlib as mpl
    from matplotlib.figure import Figure as MatplotlibFigure

    with mpl.rc_context(STYLE):
        made = MatplotlibFigure(figsize=size, layout="constrained")
        yield made, made.add_subplot()


def title(axes: Axes, text: str) -> None:
    """Puts a title where all figures have it; a second line of ``text`` stands below it, smaller and grey."""
    first, _, rest = text.partition("\n")
    axes.set_title(first, loc="left", fontsize=9, fontweight="bold", pad=16 if rest else None)
    if rest:
        axes.annotate(rest, (0, 1), (0, 5), xycoords="axes fraction", textcoords="offset points", color="#666666")


class Drawn(NamedTuple):
    """A finished figure: as SVG text that can stand inside HTML, and as a PNG file's bytes."""

    svg: str
    png: bytes


def finish(made: Figure) -> Drawn:
    """Returns a figure in both forms; the same figure gives the same ones each time."""
    text, image = io.StringIO(), io.BytesIO()
    made.savefig(text, format="svg", metadata={"Date": None})
    made.savefig(image, format="png", dpi=200, metadata={"Software": None})
    return Drawn(text.getvalue()[text.getvalue().index("<svg") :], image.getvalue())


def write_drawn(path: Path, drawn: Drawn) -> None:
    """Writes a figure as ``path`` with the endings ``.svg`` and ``.png``."""
    write_text(path.with_name(f"{path.name}.svg"), drawn.svg)
    with replacing(path.with_name(f"{path.name}.png")) as draft:
        draft.write_bytes(drawn.png)


def colours(number: int) -> list[Any]:
    """Returns a palette for a few lines, or a dark-to-light scale for many, such as layers."""
    import matplotlib as mpl

    if number <= len(PALETTE):
        return list(PALETTE[:number])
    return [mpl.colormaps["viridis"](0.9 * index / (number - 1)) for index in range(number)]

"""The style of all figures, and their files. matplotlib is imported only when something is drawn."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from clsnorm.errors import InputError
from clsnorm.files import replacing, write_text
from clsnorm.pages.figure_points import as_shown, with_points

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE = (4.6, 2.7)  # inches
DPI = 200  # of PNG files
# At least 30 apart in CIELAB, with each of the three kinds of colour-blindness, too, and dark enough on white.
PALETTE = ("#06298a", "#b18b02", "#339be0", "#751504", "#ff597b", "#3b1430")
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
    "pdf.fonttype": 42,  # publishers refuse matplotlib's other kind
    "svg.hashsalt": "clsnorm",  # the same figure gives the same text
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
}


class Look(NamedTuple):
    """How a line is drawn, so that lines differ without colour, too."""

    colour: str
    dash: Any
    marker: str


DASHES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (2, 3)))
LINES = tuple(map(Look, PALETTE, DASHES, ("o", "s", "^", "D", "v", "P")))


def require() -> None:
    """Checks that figures can be drawn; call it before long work that ends with figures.

    Raises:
        InputError: If matplotlib or SciPy is not installed.
    """
    for package in ("matplotlib", "scipy"):
        if find_spec(package) is None:
            raise InputError(f"Figures need {package}, which is not installed. Run `pip install -e '.[figures]'`")


@contextlib.contextmanager
def figure(*, size: tuple[float, float] = SIZE) -> Iterator[tuple[Figure, Axes]]:
    """Yields a figure of ``size`` inches with one pair of axes, in the common style.

    Raises:
        InputError: If matplotlib is not installed.
    """
    require()
    import matplotlib as mpl
    from matplotlib.figure import Figure as MatplotlibFigure

    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # in PNG files; SVG stores text without glyphs
        new = MatplotlibFigure(figsize=size, layout="constrained")
        yield new, new.add_subplot()


def title(axes: Axes, text: str) -> None:
    """Sets the title, at the upper left; a second line of ``text`` goes below it, smaller and grey."""
    first, _, rest = plain(text, longest=70).partition("\n")
    axes.set_title(first, loc="left", fontsize=9, fontweight="bold", pad=16 if rest else None)
    if rest:
        line = axes.annotate(
            rest, (0, 1), (0, 5), xycoords="axes fraction", textcoords="offset points", color="#666666"
        )
        line.set_in_layout(False)  # a long one would leave no room for the axes


def plain(text: str, *, longest: int = 100) -> str:
    r"""Returns ``text`` so that matplotlib shows it as it is: between two dollar signs it would read formulas.

    Characters that cannot be shown, such as control characters, become question marks. A line is cut after ``longest``
    characters: the axes would have no room.

    Example:
        >>> plain("a$b$")
        'a\\$b\\$'
    """
    shown = "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)
    lines = (line if len(line) <= longest else f"{line[: longest - 1]}…" for line in shown.split("\n"))
    return "\n".join(lines).replace("$", r"\$")


class Drawn(NamedTuple):
    """A finished figure: its SVG text, the bytes of a PNG file and of a PDF file if there is one, and its title."""

    svg: str
    png: bytes
    pdf: bytes = b""
    title: str = ""


def finish(drawing: Figure, *, pdf: bool = False) -> Drawn:
    """Returns a figure in both formats, or all three; the same figure always gives the same bytes.

    It is laid out once, and each format draws it once; ``Figure.savefig`` would do both twice for each.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_pdf import FigureCanvasPdf
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    text, image, page = io.StringIO(), io.BytesIO(), io.BytesIO()
    drawing.set_dpi(DPI)
    if layout := drawing.get_layout_engine():
        layout.execute(drawing)
        drawing.set_layout_engine("none")
    FigureCanvasAgg(drawing).print_png(image, metadata={"Software": None})
    FigureCanvasSVG(drawing).print_svg(text, metadata={"Date": None})
    if pdf:
        nameless = {"CreationDate": None, "Producer": None, "Creator": None}
        FigureCanvasPdf(drawing).print_pdf(page, metadata=nameless)
    name = drawing.axes[0].get_title(loc="left") if drawing.axes else ""
    svg = with_points(text.getvalue()[text.getvalue().index("<svg") :], drawing)
    return Drawn(svg, image.getvalue(), page.getvalue(), as_shown(name))


def write_drawn(path: Path, drawn: Drawn) -> list[Path]:
    """Writes a figure to ``path`` plus ``.svg``, ``.png`` and, if it has one, ``.pdf``; returns the files."""
    files = {kind: path.with_name(f"{path.name}.{kind}") for kind in ("svg", "png", "pdf") if getattr(drawn, kind)}
    write_text(files["svg"], drawn.svg)
    for kind in files.keys() - {"svg"}:
        with replacing(files[kind]) as draft:
            draft.write_bytes(getattr(drawn, kind))
    return list(files.values())


def colours(number: int) -> list[Any]:
    """Returns a palette for a few lines, or a dark-to-light scale for many, such as layers."""
    import matplotlib as mpl

    if number <= len(PALETTE):
        return list(PALETTE[:number])
    return [mpl.colormaps["viridis"](0.9 * index / (number - 1)) for index in range(number)]

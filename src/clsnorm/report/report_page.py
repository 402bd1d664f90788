"""``report.html``: one file that fetches nothing, with tables to sort and to filter."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from clsnorm.pages.numbers import UNDEFINED, plural
from clsnorm.pages.rendering import write_html
from clsnorm.report.cells import interval, p_text, points, share_interval_text, signed
from clsnorm.report.curve_figures import CAPTIONS
from clsnorm.report.markdown import CLAIMS, estimands, sentences, setup_rows
from clsnorm.report.sections import ReportSection, sections

TEMPLATE = "report/templates/report.html.jinja"
CALIBRATION = Path(__file__).parent / "templates" / "calibration.json"
MARKS = {"better": "▲", "worse": "▼", "equivalent": "≈", "undecided": "?"}  # colour alone says nothing to some
SEEDS = ("3", "5", "10", "20")
Cell = dict[str, Any]
DEFAULTS: Cell = {"number": False, "verdict": "", "mark": "", "links": []}


def write_report_page(path: Path, facts: Mapping[str, Any], figures: Mapping[str, str] | None = None) -> Path:
    """Writes the page and returns its path.

    Args:
        path: Of the file.
        facts: Of `clsnorm.report.collected_facts.collected`, with the runs named from the file's folder.
        figures: SVG texts by the key of their section, or ``verdicts``.

    Raises:
        DiskError: If it cannot be written.
    """
    comparisons, finished = len(facts["family"]), facts["states"].get("finished", 0)
    return write_html(
        path,
        TEMPLATE,
        title=f"Comparison with {facts['baseline']}",
        subtitle=f"{plural(comparisons, 'comparison')}, {plural(finished, 'finished run')}",
        baseline=facts["baseline"],
        margin=f"{facts['margin']:g}",
        estimands=[text.replace("`", "").replace("*", "") for text in estimands(facts)],
        figures=figures or {},
        captions=CAPTIONS,
        verdicts=_verdicts(facts["verdicts"], linked=facts["linked"]),
        sentences=sentences(facts),
        states=facts["states"],
        notes=facts["notes"],
        unfinished=facts["unfinished"],
        setup=_setup(facts["setup"]),
        scores=_scores(facts["arms"]),
        about_claims=CLAIMS.replace("*", ""),
        claims=facts["claims"],
        sections=[(section, _plain(section, linked=facts["linked"])) for section in sections(facts)],
        rates=_rates(facts["equal_rates"]),
        calibration=_calibration(),
    )


def _text(text: str) -> Cell:
    return {"text": text, "value": None}


def _number(text: str, value: float | None) -> Cell:
    """A cell that sorts by its value; undefined ones come last."""
    return {"text": text, "value": "" if value is None else repr(float(value)), "number": True}


def _table(heads: Sequence[str], rows: list[list[Cell]]) -> dict[str, Any] | None:
    if not rows:
        return None
    rows = [[DEFAULTS | cell for cell in row] for row in rows]
    pairs = zip(heads, rows[0], strict=True)
    return {"heads": [(name, "number" if cell["number"] else "") for name, cell in pairs], "rows": rows}


def _verdicts(lines: Sequence[Mapping[str, Any]], *, linked: bool) -> dict[str, Any] | None:
    heads = ["data", "arm", "verdict", "difference", "95 % interval", "p, adjusted", "p of equivalence", "runs"]
    rows = []
    for line in lines:
        word = line["verdict"].partition(" ")[0]
        verdict = {"text": line["verdict"], "value": None, "verdict": word, "mark": MARKS[word]}
        pairs = [[_link(run, linked) for run in pair] for pair in line.get("runs", [])]
        rows.append(
            [
                _text(line["task"] or "all"),
                _text(line["arm"]),
                verdict,
                _number(signed(line["difference"]), line["difference"]),
                _number(interval(line), line["low"]),
                _number(p_text(line["p_adjusted"]), line["p_adjusted"]),
                _number(p_text(line["p_equivalence_adjusted"]), line["p_equivalence_adjusted"]),
                _linked(pairs),
            ]
        )
    return _table(heads, rows)


def _link(run: str, linked: bool) -> dict[str, str]:
    return {"text": Path(run).name, "href": quote(run.replace("\\", "/")) + "/" if linked else ""}


def _setup(lines: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    heads, rows = setup_rows(lines)
    return _table(heads, [[_text(cell) for cell in row] for row in rows])


def _scores(lines: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    names = ("mean", "sd", "median", "least", "best", "seconds", "peak_memory_mb")
    heads = ["data", "arm", "lr", "runs", "failed", "failure rate, 95 %", *names[:5], "seconds", "MB"]
    rows = [
        [
            _text(line["task"]),
            _text(line["arm"]),
            _number(f"{line['optimizer.lr'] or 0:g}", line["optimizer.lr"]),
            _number(str(line["runs"]), line["runs"]),
            _number(str(line["failed"]), line["failed"]),
            _number(share_interval_text(line), line["failure_low"]),
            *(_number(points(line[name]), line[name]) for name in names),
        ]
        for line in lines
    ]
    return _table(heads, rows)


def _rates(lines: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    rows = [
        [
            _text(line["task"]),
            _text(line["arm"]),
            _text(line["protocol"]),
            _number(signed(line["difference"]), line["difference"]),
            _number(interval(line), line["low"]),
            _number(p_text(line["p"]), line["p"]),
        ]
        for line in lines
    ]
    return _table(["data", "arm", "rate", "difference", "95 % interval", "p"], rows)


def _plain(section: ReportSection, *, linked: bool) -> dict[str, Any] | None:
    """A table of texts and then numbers that sort as they are shown, with links to the runs of each row."""
    cells = [
        [*map(_text, row[: section.texts]), *({**_text(cell), "number": True} for cell in row[section.texts :])]
        for row in section.rows
    ]
    if not section.runs:
        return _table(section.heads, cells)
    links = [[[_link(run, linked)] for run in runs] for runs in section.runs]
    return _table([*section.heads, "runs"], [[*row, _linked(own)] for row, own in zip(cells, links, strict=True)])


def _linked(links: list[list[dict[str, str]]]) -> Cell:
    return {**_text("" if links else UNDEFINED), "links": links}


def _calibration() -> dict[str, Any] | None:
    """The measured table, which tools/report_calibration.py has stored."""
    if not CALIBRATION.exists():
        return None
    rows = []
    for line in json.loads(CALIBRATION.read_text(encoding="utf-8")):
        values = [line.get(seeds) for seeds in SEEDS]
        shown = [_number(UNDEFINED if value is None else f"{100 * value:.1f} %", value) for value in values]
        rows.append([*(_text(line[key]) for key in ("promise", "method", "world")), *shown])
    return _table(["promise", "method", "data", *(f"{seeds} seeds" for seeds in SEEDS)], rows)

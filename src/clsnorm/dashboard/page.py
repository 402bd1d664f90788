"""The page of a run: everything it logged, in one HTML file that needs no network and no account."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clsnorm.dashboard.figures import Series, draw
from clsnorm.dashboard.layout import Section, sections_for
from clsnorm.files import write_text
from clsnorm.run_folder import RunFolder

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; background: #fff; margin: 2rem auto; max-width: 1080px;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p.sub { color: #666; margin-top: 0; } code { font-size: .9em; }
table { border-collapse: collapse; } td, th { padding: .2rem .9rem .2rem 0; text-align: left; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; } tr { border-bottom: 1px solid #eee; }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(330px, 1fr)); gap: 1rem; }
.panels svg { width: 100%; height: auto; } details { margin-top: 2rem; } .warn { color: #b2182b; }
"""


def write_page(folder: Path) -> Path:
    """Writes ``dashboard.html`` into a run's folder and returns its path.

    Raises:
        InputError: If the folder holds no run.
    """
    run = RunFolder(folder)
    results, series, events = run.require_results(), run.read_series(), run.read_events()
    steps = [int(row["step"]) for row in events]
    sections = "".join(_section(section, series, steps) for section in sections_for(series))
    title = f"{results['normalizer']} on {results['data']}"
    text = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style></head><body>
<h1>{html.escape(title)}</h1>
<p class="sub">{html.escape(f"{results['model']}, seed {results['seed']}, {results['steps']} steps")}</p>
{_headline(results)}
{sections}
{_events(events)}
{_all_numbers(results)}
</body></html>
"""
    path = folder / "dashboard.html"
    write_text(path, text)
    return path


def _section(section: Section, series: Mapping[str, Series], events: list[int]) -> str:
    """The section's panels for which something was logged; nothing if there is none."""
    panels = [(panel, {name: series[name] for name in panel.among(series)}) for panel in section.panels]
    drawn = "".join(f"<div>{draw(panel, found, events=events)}</div>" for panel, found in panels if found)
    return f'<h2>{html.escape(section.title)}</h2><div class="panels">{drawn}</div>' if drawn else ""


def _headline(results: dict[str, Any]) -> str:
    metrics, monitor = results["metrics"], results["monitor"]
    rows = [
        (f"report {monitor}", _number(metrics.get(f"report/{monitor}"))),
        (f"select {monitor} (best after {results['selected_step']} steps)", _number(metrics.get(f"select/{monitor}"))),
        ("majority class", _number(results["majority"])),
        ("training examples", f"{results['train_examples']:,}"),
        ("training examples per second", _number(results["examples_per_second"])),
    ]
    body = "".join(f'<tr><td>{html.escape(k)}</td><td class="number">{v}</td></tr>' for k, v in rows)
    state = "collapsed" if results["collapsed"] else ""
    state = {"diverged": "diverged", "aborted": f"was ended by {results['aborted_by']}"}.get(results["status"], state)
    return f"<table>{body}</table>" + (f'<p class="warn">This run {state}.</p>' if state else "")


def _events(rows: list[dict[str, str]]) -> str:
    if not rows:
        return "<h2>Events</h2><p>None.</p>"
    lines = [_row("th", list(rows[0])), *(_row("td", list(row.values())) for row in rows)]
    return f"<h2>Events</h2><p>A dotted line stands at the step of each.</p><table>{''.join(lines)}</table>"


def _row(tag: str, cells: list[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _all_numbers(results: dict[str, Any]) -> str:
    rows = "".join(
        f'<tr><td><code>{html.escape(name)}</code></td><td class="number">{_number(value)}</td></tr>'
        for name, value in sorted(results["metrics"].items())
    )
    return f"<details><summary>All numbers of results.json</summary><table>{rows}</table></details>"


def _number(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "–" if value is None else str(value)
    return f"{value:.4g}" if abs(value) < 1e-3 or abs(value) >= 1e4 else f"{value:.4f}"

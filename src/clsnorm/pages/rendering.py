"""From a template and plain values to one HTML file that fetches nothing."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from clsnorm.files import write_text
from clsnorm.pages.numbers import count, number, plural

HEADING = re.compile(r'<h2 id="([^"]+)">(.*?)</h2>', re.DOTALL)


def render(template: str, **values: Any) -> str:
    """Returns a page as HTML. All text is escaped; only figures, marked ``safe`` in a template, are not.

    Args:
        template: Path inside the package, such as ``dashboard/templates/run.html.jinja``. A page extends
            ``pages/templates/base.html.jinja``, which lists its ``<h2 id="...">`` as contents, and may use the macros
            of ``pages/templates/parts.html.jinja``.
        values: What the template names.

    Raises:
        jinja2.UndefinedError: If the template names a value that is not given.
    """
    return _environment().get_template(template).render(**values)


def write_html(path: Path, template: str, **values: Any) -> Path:
    """Writes the page that `render` returns to ``path``, whole or not at all, and returns ``path``."""
    write_text(path, render(template, **values))
    return path


def _headings(body: str) -> list[tuple[str, Markup]]:
    """Returns id and text of each second-level heading that has an id: the contents of a page."""
    return [(found[1], Markup(found[2])) for found in HEADING.finditer(body)]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("clsnorm", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(number=number, count=count, plural=plural, headings=_headings)
    return environment

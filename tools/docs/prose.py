"""The prose of generated pages: Markdown templates in ``templates``, filled with tables."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_ENVIRONMENT = Environment(  # Markdown in this repository, from its own files: nothing to escape
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=StrictUndefined,
    keep_trailing_newline=True,
)


def fill(template: str, **values: object) -> str:
    """Returns ``templates/{template}.md.jinja`` with ``values`` filled in."""
    return _ENVIRONMENT.get_template(f"{template}.md.jinja").render(**values)

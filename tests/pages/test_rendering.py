"""The base template, escaping, and that pages need no torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from clsnorm.pages.figure import figure, finish, title
from clsnorm.pages.rendering import render

BASE = "pages/templates/base.html.jinja"
PACKAGE = Path(__file__).parents[2] / "src" / "clsnorm"


def test_text_comes_out_escaped_and_the_style_sheet_is_inside() -> None:
    page = render(BASE, title="<script>alert(1)</script>", subtitle="a & b")
    assert page.count("<script") == 1, "its own"
    assert page.count("&lt;script&gt;") == 2  # title and heading
    assert "a &amp; b" in page
    assert (PACKAGE / "pages/templates/style.css").read_text().strip() in page


def test_a_missing_value_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="subtitle"):
        render(BASE, title="x")


def test_figures_show_text_as_it_is() -> None:
    with figure() as (drawing, axes):
        title(axes, "<script>$\\x$</script>\nfor $5")
        svg = finish(drawing).svg
    assert "<script" not in svg
    assert "&lt;script&gt;$\\x$" in svg


def test_each_template_extends_the_base_and_adds_no_style() -> None:
    templates = [path for path in PACKAGE.glob("*/templates/*.html.jinja") if path.parents[1].name != "pages"]
    assert templates
    for path in templates:
        text = path.read_text(encoding="utf-8")
        assert text.startswith('{% extends "pages/templates/base.html.jinja" %}'), path
        assert "<style" not in text, path
        assert "style=" not in text, path


def test_pages_import_no_torch() -> None:
    code = "import sys, clsnorm.pages.rendering, clsnorm.pages.figure; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

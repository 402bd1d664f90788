"""Pages in headless Chromium: what they log, what they fetch, and what an accessibility checker (axe) says of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")  # Debian: chromium
HEIGHT = 900


@dataclass
class OpenPage:
    """A page in a window.

    Attributes:
        page: Playwright's.
        errors: Lines of the console that are errors or warnings, and exceptions.
        requests: Addresses that were asked for beside the page itself.
    """

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def violations(self) -> list[str]:
        """Returns what axe finds: the rule, what is wrong, and the first element."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response["violations"]
        return [f"{rule['id']}: {rule['help']}: {rule['nodes'][0]['html'][:200]}" for rule in found]

    def overflow(self) -> int:
        """Returns by how many pixels the page is wider than its window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))

    def empty_figures(self) -> list[str]:
        """Returns the figures that draw nothing: no size, or no shape in them."""
        script = """[...document.querySelectorAll("svg, img")].filter((figure) => {
            const box = figure.getBoundingClientRect();
            const drawn = figure.tagName === "IMG" ? figure.naturalWidth : figure.querySelector("path, rect, use");
            return !figure.closest("details:not([open])") && (box.width < 20 || box.height < 20 || !drawn);
        }).map((figure) => figure.outerHTML.slice(0, 200))"""
        return list(self.page.evaluate(script))


Open = Callable[..., AbstractContextManager[OpenPage]]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless Chromium, if this machine has one."""
    sync_api = pytest.importorskip("playwright.sync_api")
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip("needs Chromium (Debian: chromium)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Any) -> Open:
    """Opens a file: ``with open_page(path, width=800, scheme="dark") as opened``."""

    @contextmanager
    def open_page(path: Path, *, width: int = 1400, scheme: str = "light") -> Iterator[OpenPage]:
        context = chromium.new_context(viewport={"width": width, "height": HEIGHT}, color_scheme=scheme)
        opened = OpenPage(context.new_page())
        address = path.resolve().as_uri()
        opened.page.on("console", lambda line: opened.errors.append(line.text) if line.type != "log" else None)
        opened.page.on("pageerror", lambda error: opened.errors.append(str(error)))
        opened.page.on("request", lambda asked: opened.requests.append(asked.url) if asked.url != address else None)
        opened.page.goto(address)
        yield opened
        context.close()

    return open_page

"""A page in a real browser, with all that it complains of and asks for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from launcher.report.video import BROWSERS, OPTIONS


@contextmanager
def browser() -> Iterator[Any]:
    """Headless Chromium; the test is skipped where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"needs a Chromium, called one of {', '.join(BROWSERS)}")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=list(OPTIONS))
        yield started
        started.close()


class Page:
    """A page opened from a file; `before`: JavaScript that runs before its own.

    `complaints`: its errors, those of the console too; `requests`: whatever it asks for beyond the file.
    """

    def __init__(
        self, chromium: Any, path: Path, width: int = 800, height: int = 700, before: str = "", **options: Any
    ) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        self.page = context.new_page()
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append(f"dialog {dialog.message}"), dialog.dismiss()))
        self.page.on("console", self._heard)
        self.page.on("request", self._asked)
        self.page.add_init_script(before)
        self.page.goto(path.absolute().as_uri())

    def _heard(self, message: Any) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def _asked(self, request: Any) -> None:
        if not request.is_navigation_request() and request.url.split(":")[0] not in ("data", "blob"):
            self.requests.append(request.url)

    def run(self, code: str) -> Any:
        """What an expression of JavaScript comes to."""
        return self.page.evaluate(code)

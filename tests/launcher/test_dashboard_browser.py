"""The dashboard in a real browser while a real run goes on: it follows, says how it ended, and nothing gets in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from islands import files
from launcher.dashboard import places
from launcher.dashboard.server import Dashboard
from tests.launcher.browser import browser
from tests.launcher.launches import ROOT
from tests.launcher.made_reports import archipelago, hostile, searched

PHONE = {"viewport": {"width": 390, "height": 800}, "is_mobile": True}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as found:
        yield found


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Dashboard]:
    with Dashboard(places.beside(tmp_path / "runs")) as dashboard:
        dashboard.start()
        yield dashboard


class Open:
    """An open page with all that it complains of and asks of others."""

    def __init__(self, chromium: Any, served: Dashboard, path: str, **options: Any) -> None:
        self.wrong: list[str] = []
        self._url = served.url
        self.page = chromium.new_context(**options).new_page()
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.wrong.append(dialog.message), dialog.dismiss()))
        self.page.on("console", self._heard)
        self.page.on("request", self._asked)
        self.page.goto(served.url.rstrip("/") + path)
        self.until("document.documentElement.dataset.state === 'live'")

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning") and "GL Driver Message" not in message.text:
            self.wrong.append(message.text)

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self._url, "data:", "blob:")):
            self.wrong.append(request.url)

    def __call__(self, expression: str) -> Any:
        return self.page.evaluate(expression)

    def until(self, expression: str, within: float = 60.0) -> None:
        """Wait until it is true: asked from here, since the page's policy forbids to evaluate text within it."""
        deadline = time.monotonic() + within
        while not self(expression):
            assert time.monotonic() < deadline, (expression, self("document.body.innerText"), self.wrong)
            self.page.wait_for_timeout(100)

    def text(self, selector: str) -> str:
        return str(self(f"document.querySelector({selector!r}).textContent"))


def launched(folder: Path, *more: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "launcher", "launch", "-c", "quick", "--islands", "2", *map(str, more)]
    environment = dict(os.environ, PYTHONPATH=str(ROOT), TMPDIR=str(folder))
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True)


DONE_OF_FIRST = "Number(document.querySelector('#islands + .scroll tbody td:nth-child(3)').textContent.split(' ')[0])"
POINTS = "document.querySelector('[data-chart=fitness]')?.data?.reduce((n, t) => n + t.x.length, 0) ?? 0"


def test_the_page_follows_a_real_run_says_when_it_ends_and_replays_its_champion(
    chromium: Any, served: Dashboard, tmp_path: Path
) -> None:
    over = Open(chromium, served, "/")
    assert "No run lies in" in over("document.body.innerText")
    with launched(tmp_path, "-p", 30, "-g", 100_000, "--migrate-every", 5, "--out", "runs/mine", "--no-pin") as launch:
        try:
            over.until("document.querySelector('#runs td.works')?.textContent === 'RUNNING'", 280)
            seen = Open(chromium, served, "/run/mine")
            seen.until(f"{DONE_OF_FIRST} > 20")
            done = seen(DONE_OF_FIRST)
            seen.until(f"{DONE_OF_FIRST} > {done}")
            seen("document.getElementById('charts').scrollIntoView()")
            seen.until(f"{POINTS} > 0")
            points = seen(f"[{POINTS}, document.documentElement.dataset.charts]")
            seen.until(f"document.documentElement.dataset.charts !== {points[1]!r}")
            assert seen.text("#told").startswith("Running: 2 islands")
        finally:
            subprocess.run(
                [sys.executable, "-m", "launcher", "stop", "runs/mine"], cwd=tmp_path, check=False,
                env=dict(os.environ, PYTHONPATH=str(ROOT)), capture_output=True,
            )  # fmt: skip
            launch.communicate(timeout=120)
    seen.until("document.getElementById('told').textContent.startsWith('Stopped after ')")
    assert "evolab resume" in seen.text("#told")
    seen.page.click("#record")
    seen.until("!document.getElementById('recorded').textContent.startsWith('Recording')", 120)
    assert seen.text("#recorded").startswith("Recorded at")
    frame = seen.page.frames[-1]
    frame.wait_for_selector(".evolab-replay canvas", timeout=60_000)
    assert (seen.wrong, over.wrong) == ([], [])


def test_the_page_says_that_a_run_has_finished(chromium: Any, served: Dashboard, tmp_path: Path) -> None:
    made = archipelago(tmp_path / "runs" / "mine", 2, 30, unfinished=True)
    seen = Open(chromium, served, "/run/mine")
    for island in made.islands():
        files.write_json(island.result, {"generations": 30, "seconds": 75.0, "champion": None})
    seen.until("document.getElementById('told').textContent.startsWith('Finished after 1:15')")
    assert seen.wrong == []


def test_texts_from_files_do_no_harm(chromium: Any, served: Dashboard, tmp_path: Path) -> None:
    hostile(archipelago(tmp_path / "runs" / "a", 2, 30))
    study = searched(tmp_path / "studies" / "a", attack="</td><script>alert(3)</script><img src=x onerror=alert(4)>")
    shutil.move(study.path, study.path.with_name("<img src=x onerror=alert(5)>"))
    over = Open(chromium, served, "/")
    pages = [over]
    for place in ("#runs", "#studies"):
        over.until(f"document.querySelector('{place} tbody a') !== null")
        pages.append(Open(chromium, served, over(f"document.querySelector('{place} tbody a').getAttribute('href')")))
        pages[-1].until("Number(document.documentElement.dataset.charts) > 0")
        pages[-1].page.wait_for_timeout(300)
    for seen in pages:
        assert seen("document.querySelectorAll('img, [onerror]').length") == 0
        assert "<img src=x" in seen("document.body.innerText")
        assert seen.wrong == []
    assert "alert(4)" in pages[-1]("document.body.innerText")


def test_a_page_whose_dashboard_ends_says_as_of_when_and_goes_on_with_the_next_one(
    chromium: Any, tmp_path: Path
) -> None:
    archipelago(tmp_path / "runs" / "mine", 2, 5)
    with Dashboard(places.beside(tmp_path / "runs")) as first:
        first.start()
        seen = Open(chromium, first, "/run/mine")
    seen.until("document.documentElement.dataset.state === 'lost'")
    assert "does not answer" in seen.text("#stale") and "as of " in seen.text("#stale")
    with Dashboard(places.beside(tmp_path / "runs"), first.port) as second:
        second.start()
        seen.until("document.documentElement.dataset.state === 'live'")
        assert seen("document.getElementById('stale').hidden")


def test_zoom_and_choice_stay_when_a_chart_is_drawn_again(chromium: Any, served: Dashboard, tmp_path: Path) -> None:
    made = archipelago(tmp_path / "runs" / "mine", 2, 30, unfinished=True)
    seen = Open(chromium, served, "/run/mine")
    seen.until(f"{POINTS} > 0")
    seen.page.select_option("#charts select", "best so far")
    seen("Plotly.relayout(document.querySelector('[data-chart=fitness]'), {'xaxis.range': [3, 9]}).then(() => true)")
    before = seen("document.documentElement.dataset.charts")
    files.JsonLines(made.islands()[0].metrics, durable=False).append({"generation": 30, "best": 99.0})
    files.write_json(made.islands()[0].result, {"generations": 31, "seconds": 1.0, "champion": None})
    seen.until(f"document.documentElement.dataset.charts !== {before!r}")
    seen.until("document.querySelector('[data-chart=fitness]').data.some(t => t.y.includes(99))")
    assert seen("document.querySelector('#charts select').value") == "best so far"
    assert seen("document.querySelector('[data-chart=fitness]').layout.xaxis.range.map(Math.round)") == [3, 9]
    assert seen.wrong == []


@pytest.mark.parametrize("options", [PHONE, {"color_scheme": "dark"}], ids=["phone", "dark"])
def test_pages_fit_a_phone_and_the_dark_scheme(
    chromium: Any, served: Dashboard, tmp_path: Path, options: dict[str, Any]
) -> None:
    archipelago(tmp_path / "runs" / "many", 20, 40)
    searched(tmp_path / "studies" / "s", objectives=("fitness", "diversity"))
    for path in ("/", "/run/many", "/study/s"):
        seen = Open(chromium, served, path, **options)
        if path != "/":
            seen("document.getElementById('charts').scrollIntoView()")
            seen.until("document.documentElement.dataset.drawn === 'yes'")
        wide = options.get("viewport", {"width": 1280})["width"]
        assert seen("document.documentElement.scrollWidth") <= wide
        if "color_scheme" in options:
            assert seen("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
        assert seen.wrong == []


def test_the_page_can_be_used_with_the_keyboard_and_says_what_its_parts_are(
    chromium: Any, served: Dashboard, tmp_path: Path
) -> None:
    archipelago(tmp_path / "runs" / "mine", 2, 30)
    seen = Open(chromium, served, "/run/mine")
    seen.until(f"{POINTS} > 0")
    seen.page.focus("#charts select")
    seen.page.keyboard.press("ArrowDown")
    seen.until("document.querySelector('#charts select').selectedIndex === 1")
    nameless = """[...document.querySelectorAll('button, select, a, [role=img], [tabindex]')].filter((node) =>
        !node.textContent.trim() && !node.getAttribute('aria-label') && !node.labels?.length).length"""
    assert seen(nameless) == 0
    assert seen("document.querySelectorAll('td.state').length") == 2
    assert seen.wrong == []

"""Reports in a real browser, opened from files: nothing is asked of a network, nothing breaks, nothing gets in."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from launcher import report
from tests.launcher.browser import Page
from tests.launcher.browser import browser as started_browser
from tests.launcher.made_reports import archipelago, hostile, searched

NOTEBOOK = Path(__file__).parents[2] / "scripts" / "report.ipynb"
PHONE = {"viewport": {"width": 390, "height": 800}, "is_mobile": True}
DRAWN = "document.documentElement.dataset.drawn === 'yes'"


@dataclass
class Seen:
    """A page, and what went wrong in it."""

    page: Any
    wrong: list[str] = field(default_factory=list)

    def __call__(self, expression: str) -> Any:
        return self.page.evaluate(expression)

    def until(self, expression: str) -> None:
        """Wait until it is true: asked from here, since the page's policy forbids to evaluate text within it."""
        deadline = time.monotonic() + 60
        while not self(expression):
            assert time.monotonic() < deadline, expression
            self.page.wait_for_timeout(50)

    def heard(self, message: Any) -> None:
        if "GL Driver Message" not in message.text:  # of the software that draws in place of a graphics card
            self.wrong.append(f"console: {message.text}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with started_browser() as chromium:
        yield chromium


@pytest.fixture
def look(browser: Any) -> Callable[..., Any]:
    """Opens a file; complains at the end about errors, warnings, dialogs and requests."""

    @contextmanager
    def opened(path: Path, **options: Any) -> Iterator[Seen]:
        context = browser.new_context(**options)
        seen = Seen(context.new_page())
        seen.page.on("console", seen.heard)
        seen.page.on("pageerror", lambda error: seen.wrong.append(f"error: {error}"))
        seen.page.on("dialog", lambda dialog: (seen.wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        seen.page.on("request", lambda request: seen.wrong.append(request.url[:200]))
        seen.page.goto(path.absolute().as_uri())
        seen.until(DRAWN)
        yield seen
        context.close()
        assert seen.wrong == [path.absolute().as_uri()]

    return opened


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report that a real archipelago writes when it ends."""
    out = tmp_path_factory.mktemp("real") / "run"
    command = [sys.executable, "-m", "launcher", "launch", "-c", "quick", "-p", "20", "-g", "7", "--islands", "2"]
    command += ["--migrate-every", "2", "--report", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280, cwd=out.parent)
    assert done.returncode == 0, done.stderr
    assert f"report: {out / 'report.html'}" in done.stdout
    return out / "report.html"


def points(chart: str) -> str:
    return f"document.querySelector('[data-chart={chart}]').data.reduce((n, t) => n + t.x.length, 0)"


def test_a_real_runs_report_opens_from_a_file_and_its_charts_have_their_data(
    look: Callable[..., Any], real: Path
) -> None:
    with look(real) as seen:
        for chart in ("fitness", "champions", "species", "structure", "diversity", "migrants", "use", "phases"):
            assert seen(points(chart)) > 0, chart
            assert seen(f"document.querySelectorAll('[data-chart={chart}] .main-svg').length") > 0
        assert seen("document.querySelectorAll('svg.network .wire').length") > 0
        assert seen("document.querySelectorAll('svg.network .output text')[0].textContent") == "muscle_0"
        assert seen("document.querySelectorAll('svg.side .ball').length") > 4


def test_the_species_of_a_real_run_are_streams_that_fill_the_population(look: Callable[..., Any], real: Path) -> None:
    with look(real) as seen:
        plot = "document.querySelector('[data-chart=species]')"
        assert seen(f"{plot}.querySelectorAll('.scatterlayer .fills path').length") > 0
        assert seen(f"Math.max(...{plot}.calcdata.flat().map(point => point.y))") == 20
        choices = "[...document.querySelectorAll('[data-chooses=species] option')].map(each => each.textContent)"
        assert seen(choices) == ["sizes on island-000", "sizes on island-001", "how many"]


def test_every_axis_has_a_title(look: Callable[..., Any], real: Path) -> None:
    with look(real) as seen:
        bare = """[...document.querySelectorAll('.plot')].filter(plot =>
            !plot.layout.xaxis.title.text || (!plot.layout.yaxis.title.text && plot.layout.yaxis.type !== 'category')
        ).map(plot => plot.dataset.chart)"""
        assert seen(bare) == []


def test_another_view_is_drawn_when_it_is_chosen_with_the_keyboard(look: Callable[..., Any], real: Path) -> None:
    with look(real) as seen:
        before = seen("document.querySelector('[data-chart=structure]').layout.yaxis.title.text")
        seen.page.focus("[data-chooses=structure]")
        seen.page.keyboard.press("ArrowDown")
        seen.until(f"document.querySelector('[data-chart=structure]').layout.yaxis.title.text !== {before!r}")


def test_the_notebook_goes_from_a_run_to_the_reports_charts_in_ten_lines(
    look: Callable[..., Any], real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs").mkdir()
    shutil.copytree(real.parent, tmp_path / "runs" / "run")
    monkeypatch.chdir(tmp_path)
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert sum(len(lines.splitlines()) for lines in code) <= 10
    shown: list[Any] = []
    names: dict[str, Any] = {"display": shown.append}
    for lines in code:
        exec(lines, names)  # what a notebook does
    page = tmp_path / "notebook.html"
    page.write_text("<!doctype html><html data-drawn=yes><body>" + "".join(each._repr_html_() for each in shown))
    with look(page) as seen:
        drawn = "[...document.querySelectorAll('iframe')].filter(frame => frame.contentDocument"
        drawn += "?.documentElement.dataset.drawn).length"
        seen.until(f"{drawn} === {len(shown)}")
        heights = "[...document.querySelectorAll('iframe')].map(frame => [frame.title, frame.height - "
        heights += "frame.contentDocument.documentElement.scrollHeight])"
        assert [title for title, room in seen(heights) if room < 0] == []
    assert {chart.name for chart in shown} >= {"fitness", "champions", "species", "migrants", "phases"}
    assert names["frame"]["run"].nunique() == 1


def test_on_a_phone_no_page_scrolls_sideways(look: Callable[..., Any], real: Path, tmp_path: Path) -> None:
    study = searched(tmp_path / "study", objectives=("fitness", "diversity"))
    many = archipelago(tmp_path / "many", 20, 40)
    paths = [Path(report.write([str(made.path)])["path"]) for made in (study, many)]
    for path in (real, *paths):
        with look(path, **PHONE) as seen:
            assert seen("document.documentElement.scrollWidth") <= 390


def test_the_dark_scheme_changes_page_and_charts(look: Callable[..., Any], real: Path) -> None:
    looks = []
    for scheme in ("light", "dark"):
        with look(real, color_scheme=scheme) as seen:
            paper = seen("getComputedStyle(document.body).backgroundColor")
            text = seen("getComputedStyle(document.querySelector('[data-chart=fitness] .xtick text')).fill")
            looks.append((paper, text))
    assert looks[0][0] == "rgb(255, 255, 255)"
    assert looks[0][0] != looks[1][0] and looks[0][1] != looks[1][1]


def test_the_charts_follow_when_the_scheme_changes_and_print_is_light(look: Callable[..., Any], real: Path) -> None:
    colour = "document.querySelector('[data-chart=fitness]').layout.font.color"
    with look(real, color_scheme="light") as seen:
        light = seen(colour)
        seen.page.emulate_media(color_scheme="dark")
        seen.until(f"{colour} !== {light!r}")
        seen.page.emulate_media(color_scheme="dark", media="print")
        seen("dispatchEvent(new Event('beforeprint'))")
        seen.until(f"{colour} === {light!r}")


def test_a_study_opens_with_its_charts_and_overlapping_trials_are_seen(
    look: Callable[..., Any], tmp_path: Path
) -> None:
    study = searched(tmp_path / "study", objectives=("fitness", "diversity"))
    with look(Path(report.write([str(study.path)])["path"])) as seen:
        for chart in ("history", "importance", "parallel", "slices", "pareto", "gantt", "cost"):
            assert seen(points(chart)) > 0, chart
        assert seen("document.querySelector('[data-chart=gantt]').closest('figure').innerText").count(
            "2 trials at once"
        )


def test_a_run_called_like_an_attack_does_no_harm(look: Callable[..., Any], tmp_path: Path) -> None:
    made = hostile(archipelago(tmp_path / "a", 2, 30))
    with look(Path(report.write([str(made.path)])["path"])) as seen:
        assert seen("document.querySelectorAll('img, [onerror]').length") == 0
        assert "<img src=x" in seen("document.querySelector('h1').textContent")
        box = seen.page.locator("[data-chart=migrants] .points path").first.bounding_box()
        seen.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        assert "<img" in seen("document.querySelector('[data-chart=migrants]').textContent")


def test_a_study_with_attacks_in_its_files_does_no_harm(look: Callable[..., Any], tmp_path: Path) -> None:
    study = searched(tmp_path / "study", attack="</td><script>alert(3)</script><img src=x onerror=alert(4)>")
    with look(Path(report.write([str(study.path)])["path"])) as seen:
        assert seen("document.querySelectorAll('img').length") == 0
        assert "alert(4)" in seen("document.querySelector('main').textContent")


def test_a_comparison_draws_its_distributions_and_links_to_reports(look: Callable[..., Any], tmp_path: Path) -> None:
    one, other = (archipelago(tmp_path / name, 3, 30) for name in ("one", "other"))
    report.write([str(one.path)])
    with look(Path(report.write([str(one.path), str(other.path)], tmp_path / "both.html")["path"])) as seen:
        for chart in ("distributions", "curves"):
            assert seen(points(chart)) > 0, chart
        links = "[...document.querySelectorAll('main a')].map(link => link.getAttribute('href'))"
        assert seen(links) == ["one/report.html"]


def test_folders_of_attacks_and_of_nothing_are_sensible_pages(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    hostile(archipelago(tmp_path / "runs" / "a", 2, 30))
    for name, text in (("empty", "Nothing here yet"), ("runs", "1 run,")):
        page = Page(browser, Path(report.write([str(tmp_path / name)], tmp_path / f"{name}.html")["path"]))
        assert text in page.run("document.querySelector('main').textContent")
        assert page.run("document.querySelectorAll('img, [onerror]').length") == 0
        assert (page.complaints, page.requests) == ([], [])

"""The replay in a real browser: it plays, pauses, scrubs and orbits, and shows what was recorded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from islands import recording
from islands.config import Config
from islands.errors import ConfigError
from islands.loading import override
from islands.rundir import RunDir
from launcher import recordings
from launcher.report import replays, video
from tests.islands.evolving import after, evolve, make_run, tiny
from tests.islands.tasks.plain_parts import configured, grown
from tests.launcher.browser import Page, browser
from tests.launcher.launches import evolab

NO_WEBGL = """
const get = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
  return kind.startsWith("webgl") ? null : get.call(this, kind, ...more);
};
"""
HOSTILE = "<img src=x onerror=alert(1)>"
SMALL = ("population=16", "generations=2", "speciation.target=3")


def evolved(path: Path, *assignments: str, names: tuple[str, ...] = ("island-000",), **how: Any) -> RunDir:
    plain = any(each.startswith("task.name=") for each in assignments)
    config = override(Config(), [*SMALL, *assignments]) if plain else tiny(*SMALL, *assignments)
    run = make_run(path, config, names, range(1, len(names) + 1))
    evolve(run, **how)
    return run


def written(path: Path) -> list[dict[str, Any]]:
    """The recordings that a page holds."""
    text = path.read_text().split('<script type="application/json">')[1].split("</script>")[0]
    made: list[dict[str, Any]] = json.loads(text)
    return made


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("replays")


@pytest.fixture(scope="module")
def creatures(home: Path) -> tuple[RunDir, list[dict[str, Any]]]:
    """A run with a hostile name, its replay written, and what was recorded."""
    names = ("island-000", "island-001")
    run = evolved(home / "run", "task.duration=4", "mode=hybrid", names=names)
    run = RunDir(run.path.rename(home / HOSTILE))
    replays.page(run)
    return run, written(run.path / replays.NAME)


@pytest.fixture(scope="module")
def carts(home: Path) -> RunDir:
    run = evolved(home / "carts", "task.name=cartpole")
    replays.page(run)
    return run


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as started:
        yield started


def opened(chromium: Any, run: RunDir, **options: Any) -> Page:
    """The replay, at rest at its beginning."""
    options = {"reduced_motion": "reduce", **options}
    page = Page(chromium, run.path / replays.NAME, **options)
    page.page.wait_for_function("window.__replay && window.__replay.panels.every((panel) => panel.film)")
    page.run("window.__replay.ready")
    at_rest(page)
    return page


def at_rest(page: Page) -> None:
    page.page.wait_for_function("!window.__replay.dirty && !window.__replay.playing")


def pictures(page: Page) -> list[bytes]:
    at_rest(page)
    return [canvas.screenshot() for canvas in page.page.query_selector_all("canvas")]


def seek(page: Page, seconds: float) -> None:
    page.run(f"window.__replay.seek({seconds})")
    at_rest(page)


def clean(page: Page) -> None:
    assert page.complaints == [] and page.requests == []
    page.page.context.close()


def test_what_is_shown_is_the_recording_from_the_first_frame_to_the_last(
    chromium: Any, creatures: tuple[RunDir, list[dict[str, Any]]]
) -> None:
    run, made = creatures
    page = opened(chromium, run)
    assert [one["what"] for one in made] == ["champion", "first", "last", "champion"]
    for frame in (0, 17, 120):
        seek(page, frame / 30)
        for shown, told in zip(page.run("window.__replay.state()")["panels"], made[:2], strict=True):
            frames, mass = recording.unpack(told), np.array(told["mass"])
            np.testing.assert_allclose(shown["row"], frames[frame], atol=1e-9)
            centre = (frames[frame].reshape(-1, 3) * mass[:, None]).sum(axis=0) / mass.sum()
            np.testing.assert_allclose(shown["centre"], centre, atol=1e-6)
            assert (shown["title"], shown["fitness"], shown["solid"]) == (told["title"], told["fitness"], True)
            if frame == 120:  # the engine's own displacement, to the unit of positions
                start = frames[0].reshape(-1, 3)
                went = np.array(shown["centre"]) - (start * mass[:, None]).sum(axis=0) / mass.sum()
                np.testing.assert_allclose(went[[0, 2]], told["went"], atol=recording.UNIT)
    stated = float(f"{made[0]['fitness']:.4g}")
    assert f"Fitness of this episode: {stated:g}." in page.page.inner_text(".rp-about")
    clean(page)


def test_it_plays_pauses_and_scrubs_and_nothing_moves_while_it_rests(
    chromium: Any, creatures: tuple[RunDir, list[dict[str, Any]]]
) -> None:
    page = opened(chromium, creatures[0])
    first = pictures(page)
    assert pictures(page) == first
    page.page.click(".rp-play")
    page.page.wait_for_function("window.__replay.time > 0.5 && window.__replay.playing")
    page.page.click(".rp-play")
    paused = pictures(page)
    time = page.run("window.__replay.time")
    assert 0.5 < time < 4 and paused[0] != first[0] and paused[1] != first[1]
    assert pictures(page) == paused and page.run("window.__replay.time") == time
    page.page.locator("input[type=range]").fill("0")
    assert pictures(page) == first and page.run("window.__replay.time") == 0
    page.page.select_option("select[aria-label=speed]", "4")
    page.page.click(".rp-play")
    page.page.wait_for_function("window.__replay.time === window.__replay.seconds")  # and it stops by itself
    at_rest(page)
    assert "4.0 / 4.0 s" in page.page.inner_text(".rp-clock")
    clean(page)


def test_dragging_orbits_one_picture_and_leaves_the_other_and_the_time_alone(
    chromium: Any, creatures: tuple[RunDir, list[dict[str, Any]]]
) -> None:
    page = opened(chromium, creatures[0])
    before = pictures(page)
    box = page.page.query_selector("canvas").bounding_box()
    page.page.mouse.move(box["x"] + 200, box["y"] + 150)
    page.page.mouse.down()
    page.page.mouse.move(box["x"] + 300, box["y"] + 170, steps=4)
    page.page.mouse.up()
    page.run("document.activeElement.blur()")  # the focus has a frame
    turned = pictures(page)
    assert turned[0] != before[0] and turned[1] == before[1] and page.run("window.__replay.time") == 0
    page.page.select_option("select[aria-label=camera]", "above")
    over = pictures(page)
    assert over[0] != turned[0] and over[1] != turned[1]
    clean(page)


def test_the_keys_do_what_the_page_says(chromium: Any, creatures: tuple[RunDir, list[dict[str, Any]]]) -> None:
    page = opened(chromium, creatures[0])
    page.page.focus("canvas")
    for key, time in (
        ("ArrowRight", 1.0),
        (".", 1 + 1 / 30),
        (",", 1.0),
        ("End", 4.0),
        ("ArrowLeft", 3.0),
        ("Home", 0.0),
    ):
        page.page.keyboard.press(key)
        assert page.run("window.__replay.time") == pytest.approx(time)
    page.page.keyboard.press("+")
    assert page.run("window.__replay.speed") == 2
    still = pictures(page)
    page.page.keyboard.press("Shift+ArrowLeft")
    assert pictures(page)[0] != still[0]
    page.page.keyboard.press("0")
    assert pictures(page)[0] == still[0]
    page.page.keyboard.press(" ")
    assert page.run("window.__replay.playing")
    page.page.keyboard.press(" ")
    assert not page.run("window.__replay.playing")
    clean(page)


def test_whoever_is_chosen_is_shown_and_nobody_leaves_one_picture(
    chromium: Any, creatures: tuple[RunDir, list[dict[str, Any]]]
) -> None:
    run, made = creatures
    page = opened(chromium, run)
    left, right = page.page.query_selector_all(".rp-panel > select")
    assert left.inner_text().splitlines() == [one["title"] for one in made]
    left.select_option("3")
    page.page.wait_for_function("window.__replay.state().panels[0].island === 'island-001'")
    right.select_option("")
    page.page.wait_for_function("window.__replay.state().panels.length === 1")
    assert page.run("window.__replay.state().panels[0].title") == made[3]["title"]
    assert len(pictures(page)) == 1
    clean(page)


def test_a_hostile_name_does_no_harm_and_a_phone_needs_no_scrolling_to_the_side(
    chromium: Any, creatures: tuple[RunDir, list[dict[str, Any]]]
) -> None:
    page = opened(chromium, creatures[0], width=390, height=800)
    assert HOSTILE in page.page.inner_text("h1") and page.page.query_selector("img") is None
    assert page.run("document.documentElement.scrollWidth") <= 390
    clean(page)


def test_it_plays_by_itself_unless_less_motion_is_wanted(
    chromium: Any, creatures: tuple[RunDir, list[dict[str, Any]]]
) -> None:
    page = Page(chromium, creatures[0].path / replays.NAME, color_scheme="dark")
    page.page.wait_for_function("window.__replay && window.__replay.time > 0.2")
    clean(page)
    page = opened(chromium, creatures[0])
    assert page.run("[window.__replay.time, window.__replay.playing]") == [0, False]
    clean(page)


def test_without_webgl_the_creature_is_seen_from_above(
    chromium: Any, creatures: tuple[RunDir, list[dict[str, Any]]]
) -> None:
    page = opened(chromium, creatures[0], before=NO_WEBGL)
    assert "no WebGL" in page.page.inner_text(".rp-about")
    assert not page.run("window.__replay.state().panels[0].solid")
    before = pictures(page)
    seek(page, 2.0)
    assert pictures(page)[0] != before[0]
    clean(page)


def test_a_cart_is_drawn_flat_and_the_page_is_small(chromium: Any, carts: RunDir) -> None:
    assert (carts.path / replays.NAME).stat().st_size < 60_000  # without what draws in 3-D
    page = opened(chromium, carts)
    before = pictures(page)
    seek(page, 0.3)
    shown = page.run("window.__replay.state()")["panels"][0]
    frames = recording.unpack(written(carts.path / replays.NAME)[0])
    expected = frames[7] + (frames[8] - frames[7]) * 0.5  # 0.3 s is 15 steps: between frames 7 and 8
    np.testing.assert_allclose(shown["row"], expected, atol=1e-9)
    assert shown["kind"] == "cart" and pictures(page)[0] != before[0]
    clean(page)


@pytest.mark.parametrize("task", recording.MOTIONS)
def test_every_task_with_motion_has_a_drawing_that_moves(chromium: Any, tmp_path: Path, task: str) -> None:
    made, genomes = grown(configured(task), 1)
    who = {"title": "somebody", "island": "island-000", "what": "first", "generation": 0, "scored": 0.0, "episodes": 1}
    one = who | recording.record(task, made, genomes, 0, np.uint64(1))
    (tmp_path / replays.NAME).write_text(f"<!doctype html><title>drawn</title>{replays.drawn([one])}")
    page = Page(chromium, tmp_path / replays.NAME, reduced_motion="reduce")
    page.page.wait_for_function("window.__replay && window.__replay.panels[0].film")
    before = pictures(page)
    page.run("window.__replay.seek(window.__replay.seconds)")
    assert pictures(page)[0] != before[0]
    clean(page)


def test_a_run_that_was_stopped_shows_its_best_so_far(home: Path) -> None:
    run = evolved(home / "half", "task.duration=1", halted=after(1))
    wanted = recordings.chosen(run)
    assert [one["what"] for one in wanted] == ["last", "first"] and "so far" in wanted[0]["title"]
    made, notes = replays.gathered(run)
    assert [one["generation"] for one in made] == [1, 0] or [one["generation"] for one in made] == [0, 0]
    assert notes == []


def test_what_cannot_be_shown_is_said_on_the_page(home: Path) -> None:
    names = tuple(f"island-{k:03}" for k in range(3))
    run = evolved(home / "damaged", "task.duration=1", names=names)
    leader = recordings.chosen(run)[0]["island"]
    run.island(leader).champion.write_bytes(b"nothing")
    made, notes = replays.gathered(run, most=2)
    assert len(made) == 3 and "got another genome" in notes[0] and notes[1] == "1 more island not shown."
    assert "got another genome" in replays.drawn(made, notes)


def test_a_run_with_nothing_to_see_is_refused_in_one_line_and_has_no_fragment(home: Path) -> None:
    tables = evolved(home / "xor", "task.name=xor")
    empty = make_run(home / "empty", tiny())
    for run, words in ((tables, "something to see"), (empty, "a generation to show")):
        assert replays.fragment(run) == ""
        ran = evolab(home, "replay-page", run.path)
        assert ran.returncode == 2 and words in ran.stderr and len(ran.stderr.splitlines()) == 1


def test_the_command_says_where_the_page_is(home: Path, creatures: tuple[RunDir, list[dict[str, Any]]]) -> None:
    ran = evolab(home, "replay-page", creatures[0].path, "--out", home / "shown.html", "--json")
    told = json.loads(ran.stdout)
    assert told["path"] == str(home / "shown.html") and told["recordings"] == 4
    assert told["bytes"] == (home / "shown.html").stat().st_size < 1_000_000
    assert "expected a file in a folder" in evolab(home, "replay-page", creatures[0].path, "--out", "no/x.html").stderr


@pytest.mark.parametrize("ending", [pytest.param(".gif", marks=pytest.mark.soak), ".mp4"])
def test_a_video_has_the_frames_of_the_whole_episode(home: Path, carts: RunDir, ending: str) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("needs ffmpeg")
    path = home / f"shown{ending}"
    ran = evolab(home, "replay-video", carts.path, "--out", path, "--fps", "2", "--json")
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["frames"] == round(2 * told["seconds"]) + 1 and told["bytes"] == path.stat().st_size > 1000
    assert path.read_bytes()[:3] == b"GIF" or path.read_bytes()[4:8] == b"ftyp"


def test_without_ffmpeg_one_line_says_what_to_install(carts: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigError, match="expected ffmpeg, got none on the PATH; install it"):
        video.video(carts)
    with pytest.raises(ConfigError, match=r"ends in \.mp4 or \.gif"):
        video.video(carts, Path("x.avi"))


def test_the_list_of_tasks_with_something_to_see_is_the_recorders() -> None:
    assert {"pellets", *recording.MOTIONS} == recordings.SEEN

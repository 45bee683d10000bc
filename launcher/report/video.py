"""`evolab replay-video`: the replay's page, photographed frame by frame in headless Chromium and joined by ffmpeg."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from islands import files
from islands.errors import ConfigError, EvolabError
from islands.rundir import RunDir
from launcher.report import replays
from launcher.terminal import counted

NAME = "replay.mp4"
"""What a video is called in a run's directory."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
OPTIONS = ("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
WIDTH, HEIGHT = 960, 540
FORMS: dict[str, Sequence[str]] = {
    ".mp4": ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-movflags", "+faststart"),
    ".gif": ("-filter_complex", "split[a][b];[a]palettegen=max_colors=96[p];[b][p]paletteuse", "-loop", "0"),
}
"""ffmpeg's options by the file's ending."""
_STAGE = """
html, body { margin: 0; padding: 10px; max-width: none; background: #ffffff; }
h1, body > p, .rp-controls, .rp-legend, .rp-help, details { display: none !important; }
"""


def video(run: RunDir, out: Path | None = None, rate: int = 15) -> dict[str, Any]:
    """Write the replay that the page begins with, `rate` frames a second; the keys of `evolab replay-video --json`."""
    path = out or run.path / NAME
    if path.suffix not in FORMS or not path.absolute().parent.is_dir():
        expected = f"a file that ends in {' or '.join(FORMS)}, in a folder that exists"
        raise ConfigError("--out", expected=expected, got=f"{path}")
    ffmpeg, browser = _needs("ffmpeg"), _needs(*BROWSERS)
    if importlib.util.find_spec("playwright") is None:
        raise ConfigError("a video", expected="playwright", got="none", do="pip install 'evolution-lab[video]'")
    content = replays.content(run)[0].decode()
    with tempfile.TemporaryDirectory(prefix="evolab-video-") as folder, _opened(browser, content) as page:
        made = Path(folder) / path.name
        seconds = float(page.evaluate("window.__replay.seconds"))
        frames = max(1, round(seconds * rate)) + 1
        _join(ffmpeg, made, rate, _photographs(page, frames, rate))
        data = files.read(made)
    files.replace_atomically(path, data)
    return {"path": str(path.absolute()), "bytes": len(data), "frames": frames, "seconds": seconds}


def _needs(*names: str) -> str:
    """The path of a program that goes by one of these names."""
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        do = f"install it, as in `apt install {names[0]}`; or look at the page of `evolab replay-page`"
        raise ConfigError("a video", expected=names[0], got="none on the PATH", do=do)
    return found


@contextmanager
def _opened(browser: str, content: str) -> Iterator[Any]:
    """The page in a browser, at rest at its beginning."""
    from playwright.sync_api import Error, sync_playwright

    try:
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=browser, args=list(OPTIONS))
            page = chromium.new_context(viewport={"width": WIDTH, "height": HEIGHT}, reduced_motion="reduce").new_page()
            page.set_content(content)
            page.add_style_tag(content=_STAGE)
            page.wait_for_function("window.__replay && window.__replay.shown")
            yield page
            chromium.close()
    except Error as error:
        raise EvolabError(f"{browser}", expected="a page", got=(str(error).splitlines() or ["nothing"])[0]) from error


def _photographs(page: Any, frames: int, rate: int) -> Iterator[bytes]:
    with counted("frame", frames) as tell:
        for number in range(frames):
            page.evaluate(f"(window.__replay.seek({number / rate}), window.__replay.draw())")
            yield page.screenshot()
            tell(number + 1)


def _join(ffmpeg: str, path: Path, rate: int, pictures: Iterator[bytes]) -> None:
    command = [ffmpeg, "-loglevel", "error", "-y", "-f", "image2pipe", "-framerate", str(rate), "-c:v", "png"]
    command += ["-i", "-"]
    with subprocess.Popen(
        [*command, *FORMS[path.suffix], str(path)], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None and process.stderr is not None
        try:
            for picture in pictures:
                process.stdin.write(picture)
            process.stdin.close()
        except BrokenPipeError:  # it says why below
            pass
        said = process.stderr.read().decode(errors="replace").strip()
    if process.returncode:
        raise EvolabError("ffmpeg", expected=f"a {path.suffix}", got=(said.splitlines() or ["no reason"])[-1])

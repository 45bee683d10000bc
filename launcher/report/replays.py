"""The replay of a run's creatures (or carts, pendulums, …) as a piece of a page, and as a page of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from islands import files
from islands.errors import ConfigError
from islands.rundir import RunDir
from launcher import recordings
from launcher.report.templating import asset, environment, script_data

NAME = "replay.html"
"""What the page is called in a run's directory."""
SCRIPTS = ("three/three.min.js", "replay/film.js", "replay/creature.js", "replay/flat.js", "replay/panel.js",
           "replay/player.js")  # fmt: skip
_CREATURE = "creature"


def fragment(run: RunDir) -> str:
    """HTML with its scripts and its data inlined, safe as it is; "": there is nothing to replay."""
    return drawn(*gathered(run))


def gathered(run: RunDir, most: int = recordings.MOST) -> tuple[list[dict[str, Any]], list[str]]:
    """The run's recordings, and what there is to say about those that are missing; none where a task has no motion."""
    if not recordings.can_be_seen(run):
        return [], []
    wanted = recordings.chosen(run, most)
    made = recordings.made(run, wanted)
    notes = [f"Not shown: {one['title']}. {one['error']}" for one in made if "error" in one]
    left = len(run.islands()) - len({one["island"] for one in wanted})
    if left and wanted:
        notes.append(f"{left} more island{'' if left == 1 else 's'} not shown.")
    return [one for one in made if "error" not in one], notes


def drawn(made: Sequence[dict[str, Any]], notes: Sequence[str] = ()) -> str:
    """Recordings as HTML; "" where there are neither any nor anything to say."""
    if not made:
        return str(environment().from_string(_NOTES).render(notes=notes)) if notes else ""
    creatures = any(one["kind"] == _CREATURE for one in made)
    scripts = [name for name in SCRIPTS if creatures or not name.startswith("three/")]
    content = environment().get_template("replay.html").render(
        recordings=made, notes=notes, data=script_data(made), styles=asset("replay/replay.css"),
        precision="1 mm" if creatures else "1 part in 65,000 of each number's largest",
        scripts=[asset(name) for name in scripts],
    )  # fmt: skip
    return str(content)


def page(run: RunDir, out: Path | None = None) -> dict[str, Any]:
    """Write the replay as a page of its own; the keys of `evolab replay-page --json`."""
    path = out or run.path / NAME
    if not path.absolute().parent.is_dir():
        raise ConfigError("--out", expected="a file in a folder that exists", got=str(path))
    data, made, notes = content(run)
    files.replace_atomically(path, data)
    return {"path": str(path.absolute()), "bytes": len(data), "recordings": len(made), "notes": notes}


def content(run: RunDir, most: int = recordings.MOST) -> tuple[bytes, list[dict[str, Any]], list[str]]:
    """The page, what it shows and what it says of the rest; a ConfigError where there is nothing to show."""
    made, notes = gathered(run, most)
    if not made:
        if not recordings.can_be_seen(run):
            expected, got = "a task with something to see, such as pellets or cartpole", recordings.task_of(run)
            raise ConfigError(f"run {run.path}", expected=expected, got=got)
        raise ConfigError(f"run {run.path}", expected="an island with a generation to show", got=_none(notes))
    about = f"Task {recordings.task_of(run)}. What moves here are recorded episodes of the evaluation itself."
    template = environment().get_template("replay_page.html")
    return template.render(name=run.name, about=about, replay=Markup(drawn(made, notes))).encode(), made, notes


_NOTES = """<section class="evolab-replay">{% for note in notes %}<p>{{ note }}</p>{% endfor %}</section>"""


def _none(notes: Sequence[str]) -> str:
    return " ".join(notes) or "none yet"

"""Reports as files: what is gathered, how large it gets, what is refused."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from islands.errors import ConfigError
from islands.rundir import RunDir
from islands.wiring import Heard, Neuron, Output, Wiring
from launcher import report
from launcher.report import body_drawing, migration_data, network_drawing, run_data, study_data, templating
from tests.launcher.made_reports import HOSTILE, archipelago, hostile, searched
from tests.launcher.made_runs import finished

Evolab = Callable[..., tuple[int, str, str]]


def charts_in(path: Path) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="charts">(.*?)</script>', path.read_text(), re.DOTALL)
    return {chart["name"]: chart for chart in json.loads(found[1])} if found else {}


def written(*names: object, **options: Any) -> Path:
    return Path(report.write([str(name) for name in names], **options)["path"])


def text_of(path: Path) -> str:
    """What a reader of the page sees, tags and scripts aside."""
    pieces: list[str] = []

    class Reader(HTMLParser):
        def handle_data(self, data: str) -> None:
            if self.lasttag not in ("script", "style"):
                pieces.append(data)

    Reader().feed(path.read_text())
    return " ".join(" ".join(pieces).split())


def test_twenty_islands_of_150_generations_stay_below_five_megabytes(tmp_path: Path) -> None:
    made = archipelago(tmp_path / "a", 20, 150)
    told = report.write([str(made.path)])
    assert told["bytes"] < 5_000_000
    assert told["bytes"] == made.report.stat().st_size


def test_a_line_never_has_more_than_500_points_and_many_islands_have_fewer(tmp_path: Path) -> None:
    charts = charts_in(written(archipelago(tmp_path / "a", 2, 1700).path))
    lengths = [len(trace["x"]) for view in charts["fitness"]["views"] for trace in view["traces"]]
    assert max(lengths) <= 500
    assert run_data.most_points(128) == 187


def test_thinning_keeps_the_highest_best_and_the_last_generation(tmp_path: Path) -> None:
    made = archipelago(tmp_path / "a", 1, 1700)
    (island,) = run_data.gather(made).islands
    assert max(value or 0.0 for value in island.series["best"]) == max(island.best_at.values())
    assert island.x[-1] == 1699


def test_the_page_says_what_the_run_was_and_how_it_went_in_five_lines(tmp_path: Path) -> None:
    page_ = written(archipelago(tmp_path / "a", 3, 30).path)
    story = re.search(r'<ol class="story">(.*?)</ol>', page_.read_text(), re.DOTALL)
    assert story is not None and story[1].count("<li>") == 5
    assert "12 ± 1 (mean ± 95 %) on 64 fresh episodes" in text_of(page_)


def test_a_run_of_another_command_with_one_population_has_a_page(tmp_path: Path) -> None:
    page_ = written(finished(tmp_path / "a", [3.0]).path)
    assert {"fitness", "champions", "species"} <= set(charts_in(page_))
    assert "migrants" in text_of(page_)


def test_a_run_that_was_killed_has_a_page_that_says_so(tmp_path: Path) -> None:
    made = archipelago(tmp_path / "a", 2, 15, unfinished=True)
    page_ = written(made.path)
    assert "It has not finished" in text_of(page_)
    assert "None has been judged yet" in text_of(page_)
    assert len(charts_in(page_)["fitness"]["views"][0]["traces"]) == 5


def test_a_run_without_a_generation_has_a_page_without_charts(tmp_path: Path) -> None:
    page_ = written(archipelago(tmp_path / "a", 2, 0, unfinished=True).path)
    assert "No generation has been recorded yet" in text_of(page_)
    assert charts_in(page_) == {}


def test_damaged_lines_cost_themselves_alone(tmp_path: Path) -> None:
    made = archipelago(tmp_path / "a", 2, 25)
    first = made.islands()[0]
    for path in (first.metrics, first.migrations):
        path.write_bytes(b'{"generation": \n[]\n{"generation": "x"}\n' + path.read_bytes() + b'{"torn')
    assert [len(island.best_at) for island in run_data.gather(made).islands] == [25, 25]


def test_what_is_no_run_is_refused_in_one_line(evolab: Evolab, folder: Path) -> None:
    code, out, err = evolab("report", "nothing")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "'nothing'" in err


def test_a_folder_is_a_page_of_its_runs_and_studies_and_one_that_is_damaged_hides_no_other(folder: Path) -> None:
    made = finished(folder / "runs" / "good", [1.0, 2.0])
    archipelago(folder / "runs" / "killed", 2, 5, unfinished=True)
    finished(folder / "runs" / "bad", [1.0]).config.write_text("{")
    finished(folder / "runs" / "worse", [1.0]).plan.write_text("{")
    searched(folder / "runs" / "search", trials=4)
    report.write(["runs"])
    text = text_of(folder / "report.html")
    assert "4 runs and 1 study" in text and "2 ± 1" in text and "PENDING" in text
    assert text.count("cannot be read") == 1
    report.write(["runs/good"])
    report.write(["runs"])
    assert f'href="runs/{made.name}/report.html"' in (folder / "report.html").read_text()


def test_an_empty_folder_is_a_page_that_says_so(evolab: Evolab, folder: Path) -> None:
    (folder / "empty").mkdir()
    code, out, _ = evolab("report", "empty", "--json")
    assert (code, json.loads(out)["kind"], list((folder / "empty").iterdir())) == (0, "folder", [])
    assert "Nothing here yet" in text_of(folder / "report.html")


def test_the_command_says_where_the_page_is_and_out_names_another_file(evolab: Evolab, folder: Path) -> None:
    made = finished(folder / "runs" / "a", [1.0, 2.0])
    code, out, _ = evolab("report", "a")
    assert (code, out.split()[1]) == (0, str(made.report.absolute()))
    code, out, _ = evolab("report", "a", "--out", "page.html", "--json")
    assert (code, json.loads(out)["path"]) == (0, str(folder / "page.html"))
    assert evolab("report", "a", "--out", "no/such/page.html")[0] == 2


def test_texts_from_files_never_become_tags(tmp_path: Path) -> None:
    made = hostile(archipelago(tmp_path / "a", 2, 30))
    tags: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: Any) -> None:
            tags.append(tag)

    path = written(made.path)
    Reader().feed(path.read_text())
    assert "img" not in tags
    assert tags.count("script") == 4
    assert HOSTILE in text_of(path)


def test_json_in_a_script_cannot_end_it() -> None:
    text = str(templating.script_data(["</script>", "<!--", "&amp;", "\u2028"]))
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == ["</script>", "<!--", "&amp;", "\u2028"]


def test_nothing_that_is_inlined_ends_its_own_element() -> None:
    for path in (templating.HERE / "assets").iterdir():
        if path.suffix in (".js", ".css"):
            assert not re.search(r"</(script|style)|<!--", path.read_text(), re.IGNORECASE)


def test_only_migrations_that_can_have_reached_the_champion_are_its_family(tmp_path: Path) -> None:
    passages = [
        migration_data.Passage("a", 20, "b", 1, sent=10, admitted=1),
        migration_data.Passage("b", 8, "c", 1, sent=5, admitted=1),
        migration_data.Passage("b", 12, "d", 1, sent=5, admitted=1),  # after b had sent
        migration_data.Passage("c", 9, "a", 1, sent=9, admitted=1),  # after c had sent
        migration_data.Passage("a", 4, "d", 2, sent=3, refused=2),
    ]
    found = migration_data.reaching(migration_data.Migrations(passages), "a", 30)
    assert [(passage.source, passage.receiver) for passage in found] == [("c", "b"), ("b", "a")]


def test_migrants_are_counted_by_pair_with_the_reasons_of_refusal(tmp_path: Path) -> None:
    made = archipelago(tmp_path / "a", 3, 35)
    found = migration_data.read_migrations(made, [island.name for island in made.islands()])
    assert found.counts()["island-000", "island-001"] == (3, 3)
    assert found.reasons["island-000", "island-001"] == {"duplicate": 3}
    assert {passage.sent for passage in found.passages} == {10, 20, 30}
    assert any("sent by island-002" in text for text in migration_data.sightings(found, f"{2:064}"))


def test_a_network_is_drawn_in_layers_with_its_signs_and_what_it_remembers() -> None:
    neurons = (
        Neuron("hidden_0", "tanh", 0.5, (Heard(0, 2.0), Heard(2, -1.0, True))),
        Neuron("output_0", "tanh", 0.0, (Heard(2, -0.5), Heard(0, 1.0))),
    )
    drawing = network_drawing.draw(Wiring(("x", "unheard"), neurons, (Output("output_0", 1), Output("idle", None))))
    at = {spot.name: spot for spot in drawing.spots}
    assert at["x"].x < at["hidden_0"].x < at["output_0"].x == at["idle"].x
    assert (at["unheard"].quiet, at["idle"].quiet, at["x"].quiet) == (True, True, False)
    assert sorted((wire.excites, wire.before) for wire in drawing.wires) == [
        (False, False), (False, True), (True, False), (True, False),
    ]  # fmt: skip
    assert max(wire.width for wire in drawing.wires if wire.excites) == max(wire.width for wire in drawing.wires)


def test_of_a_large_network_the_heaviest_connections_are_drawn() -> None:
    heard = tuple(Heard(i, float(i)) for i in range(2000))
    drawing = network_drawing.draw(
        Wiring(tuple(map(str, range(2000))), (Neuron("o", "tanh", 0.0, heard),), (Output("o", 0),))
    )
    assert (len(drawing.wires), drawing.left_out) == (network_drawing.MOST_CONNECTIONS, 1400)
    assert len(drawing.spots) == 601


def test_a_body_is_drawn_from_the_side_and_from_above_on_one_scale() -> None:
    nodes = [
        {"name": f"node_{i}", "diameter": 0.5, "friction": 0.5, "position": [2.0 * i, 1.0 + i, 3.0 * i]} for i in (0, 1)
    ]
    muscle = {"name": "muscle_0", "ends": ["node_0", "node_1"], "rest": 1.0, "stiffness": 9.0, "damping": 1.0}
    side, above = body_drawing.draw({"nodes": nodes, "muscles": [muscle]})
    assert side.metre == above.metre
    assert side.muscles[0].x2 - side.muscles[0].x1 == pytest.approx(2 * side.metre)
    assert above.muscles[0].y1 - above.muscles[0].y2 == pytest.approx(3 * side.metre)
    assert side.ground is not None and side.ground > max(ball.y for ball in side.balls)


def test_a_study_has_its_charts_and_every_trial_its_row(tmp_path: Path) -> None:
    study = searched(tmp_path / "study", objectives=("fitness", "diversity"))
    path = written(study.path)
    assert set(charts_in(path)) == {"history", "importance", "parallel", "slices", "pareto", "gantt", "cost"}
    assert "12 trials: 9 complete, 2 pruned, 1 failed" in text_of(path)
    assert path.read_text().count("<tr><td>") >= 12


def test_trials_link_to_their_runs_reports_once_these_are_written(tmp_path: Path) -> None:
    study = searched(tmp_path / "study")
    assert 'href="trials/' not in written(study.path).read_text()
    told = report.write([str(study.path)], with_runs=True)
    links = re.findall(r'href="(trials/[^"]+)"', Path(told["path"]).read_text())
    assert len(links) == len(told["runs"]) == 9
    assert all((study.path / link).is_file() for link in links)


def test_a_study_without_trials_has_a_page(tmp_path: Path) -> None:
    path = written(searched(tmp_path / "study", trials=0).path)
    assert "0 trials: none yet" in text_of(path)


def test_trials_that_ran_together_lie_above_each_other(tmp_path: Path) -> None:
    study = searched(tmp_path / "study")
    found = study_data.stays(study.trials(), time.time())
    assert {stay.lane for stay in found} == {"core 0", "core 1"}
    lanes = charts_in(written(study.path))["gantt"]["views"][0]["layout"]["yaxis"]["categoryarray"]
    assert lanes == ["core 0", "core 1"]


def test_trials_without_cores_share_as_few_places_as_they_need(tmp_path: Path) -> None:
    trials = searched(tmp_path / "study").trials()
    for trial in trials:
        trial.cpus, trial.workers[0]["cpus"] = None, None
    assert {stay.lane for stay in study_data.stays(trials, 0.0)} == {"place 1", "place 2"}


def test_several_runs_are_compared_with_the_verdict_in_words(evolab: Evolab, folder: Path) -> None:
    finished(folder / "runs" / "good", [11.0, 12.0, 13.0, 12.5])
    finished(folder / "runs" / "bad", [1.0, 2.0, 1.5, 2.5])
    code, out, _ = evolab("report", "bad", "good", "--json")
    assert (code, json.loads(out)["kind"]) == (0, "comparison")
    assert "good is better than bad by more than noise" in text_of(folder / "report.html")


def test_studies_are_compared_by_their_best_trials(folder: Path) -> None:
    searched(folder / "studies" / "one"), searched(folder / "studies" / "two")
    path = written("one", "two")
    assert {"distributions", "trials"} == set(charts_in(path))
    assert "no test possible" in text_of(path)


def test_a_run_without_a_result_is_not_compared(tmp_path: Path) -> None:
    one, two = finished(tmp_path / "one", [1.0]), archipelago(tmp_path / "two", 1, 5, unfinished=True)
    with pytest.raises(ConfigError, match="a finished run"):
        report.write([str(one.path), str(two.path)])


def test_a_report_that_fails_is_no_failure_of_the_run(tmp_path: Path) -> None:
    assert report.said_of_run(RunDir(tmp_path / "gone")).startswith("no report: ")


def test_the_line_of_leaps_goes_back_by_arrivals_that_beat_everybody_there() -> None:
    passages = [
        migration_data.Passage("b", 5, "c", 1, sent=5, admitted=1, best=9.0),
        migration_data.Passage("a", 10, "b", 1, sent=8, admitted=1, best=20.0),
        migration_data.Passage("a", 20, "c", 2, sent=20, admitted=1, best=1.0),  # no leap
        migration_data.Passage("b", 9, "a", 1, sent=9, admitted=1, best=99.0),  # after b had sent
    ]
    best_at = {name: dict.fromkeys(range(30), 5.0) for name in "abc"}
    found = migration_data.line_of_leaps(migration_data.Migrations(passages), "a", 29, best_at)
    assert [(passage.source, passage.receiver) for passage in found] == [("b", "a"), ("c", "b")]


def test_a_line_of_leaps_ends_where_islands_took_from_each_other_at_once() -> None:
    passages = [
        migration_data.Passage("a", 10, "b", 1, sent=10, admitted=1, best=9.0),
        migration_data.Passage("b", 10, "a", 1, sent=10, admitted=1, best=9.0),
    ]
    best_at = {name: {10: 5.0} for name in "ab"}
    found = migration_data.line_of_leaps(migration_data.Migrations(passages), "a", 29, best_at)
    assert len(found) == 2


def test_a_line_of_leaps_ends_where_islands_that_were_ahead_had_sent_it_in_a_circle() -> None:
    passages = [
        migration_data.Passage("a", 10, "b", 1, sent=14, admitted=1, best=9.0),
        migration_data.Passage("b", 14, "c", 1, sent=12, admitted=1, best=9.0),
        migration_data.Passage("c", 12, "a", 1, sent=16, admitted=1, best=9.0),
    ]
    best_at = {name: dict.fromkeys(range(30), 5.0) for name in "abc"}
    found = migration_data.line_of_leaps(migration_data.Migrations(passages), "a", 11, best_at)
    assert [(passage.source, passage.receiver) for passage in found] == [("b", "a"), ("c", "b"), ("a", "c")]

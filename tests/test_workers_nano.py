"""nano through the engine: films of its own world, asked and measured; other footage, with a warning."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import nano
from footage import ConfigError, TimeSpan
from nano.world import World, WorldConfig
from workers.bench_merge import MergeRun, run_merge
from workers.bench_minute import MinuteRun, minute_of, run_minute
from workers.cli import app
from workers.demo_film import write_film
from workers.demo_world import run_world_demo
from workers.engine import Library, open_library
from workers.eval_films import NANO_ASK, NANO_INDEX, film, open_nano
from workers.eval_marks import mark
from workers.eval_methods import Examined, cut_out, given, last, ours, planned, retrieval_only, uniform
from workers.eval_needle import NeedleRun, run_needle
from workers.eval_world import WorldRun, run_moments
from workers.models import is_world

SMALL = WorldConfig(seed=21, duration_s=240.0, events_per_hour=150)


@pytest.fixture(scope="module")
def examined(tmp_path_factory: pytest.TempPathFactory) -> Examined:
    folder = tmp_path_factory.mktemp("nano")
    library = open_nano(folder / "library", alone=True)
    return Examined(library, film(library, SMALL, folder, per_kind=2))


def test_the_checkpoints_are_small_and_belong_together() -> None:
    size = sum(path.stat().st_size for path in nano.TOWER.parent.rglob("*") if path.is_file())
    assert size < 40e6
    config = json.loads((nano.VLM / "config.json").read_text())
    assert config["model_type"] == "smolvlm"
    assert config["footage"]["carriers"].startswith("siglip-nano-tower-128@1-")


def test_answers_about_an_unseen_world_are_right_as_often_as_the_card_says(examined: Examined) -> None:
    marks = [mark(q, "footage", examined.library.ask(q.text, recording=examined.film.recording_id)) for q in examined.film.questions]
    right = [m for m in marks if m.right]
    assert len(right) >= 0.75 * len(marks), [(m.question.text, m.question.answer, m.reply) for m in marks if not m.right]
    assert sum(m.cited for m in right) >= 0.9 * len(right)


def test_given_the_right_frames_it_does_better_than_with_the_last_ones(examined: Examined) -> None:
    from footage.questions import Question

    scores: dict[str, int] = {}
    for name, method in {"given": given(64), "given 1": given(1), "last": last(4), "uniform": uniform(4)}.items():
        marks = [mark(q, name, method(examined, Question(q.text), q.spans)) for q in examined.film.questions]
        scores[name] = sum(m.right for m in marks)
    assert scores["given"] >= scores["given 1"]
    assert scores["given"] > scores["last"]
    assert scores["given"] > scores["uniform"]


def test_cutting_the_evidence_out_takes_the_answer_with_it(examined: Examined) -> None:
    from footage.questions import Question

    questions = [q for q in examined.film.questions if q.kind in ("colour", "direction", "when") and q.spans]
    kept = [ours(examined, Question(q.text), q.spans).found for q in questions]
    cut = [cut_out(examined, Question(q.text), q.spans).found for q in questions]
    assert sum(kept) > sum(cut)
    assert planned(4)(examined, Question(questions[0].text), ()).model.endswith("at 4")
    assert retrieval_only(examined, Question(questions[0].text), ()).model == "none"


def test_other_footage_gets_a_warning_and_its_own_world_none(tmp_path: Path, examined: Examined) -> None:
    harbour = write_film(tmp_path / "harbour.mp4")
    assert not is_world(harbour)
    assert is_world(examined.film.path)
    assert examined.library.ask("Is there a red circle?").warnings == ()
    with open_library(str(tmp_path / "library"), index=NANO_INDEX, ask=NANO_ASK) as library:
        library.index(harbour)
        answer = library.ask("When is the picture blue?")
    assert len(answer.warnings) == 1
    assert "only its own drawn world" in answer.warnings[0]
    assert "harbour.mp4" in answer.warnings[0]
    shown = CliRunner().invoke(app, ["ask", "When is the picture blue?", "-l", str(tmp_path / "library")])
    assert "warning: nano knows only" in shown.stderr
    assert "warning" not in shown.stdout


def test_a_library_of_another_encoder_is_refused_with_the_way_out(tmp_path: Path) -> None:
    library = open_library(str(tmp_path / "library"), index={"ocr": "off"}, ask={"model": "nano"})
    library.index("synthetic:red=5,blue=5")
    with pytest.raises(ConfigError, match="reads carriers of encoder siglip-nano") as caught:
        library.ask("Is there a red circle?")
    assert "--encoder nano" in caught.value.hint


def test_a_folder_called_nano_does_not_hide_the_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nano").mkdir()
    monkeypatch.chdir(tmp_path)
    with open_library("library", index=NANO_INDEX, ask=NANO_ASK) as library:
        library.index(World.make(WorldConfig(3, "test", 60.0)).write(tmp_path / "film.mp4"))
    done = CliRunner().invoke(app, ["ask", "Is there a red circle?", "-l", "library", "--selector", "aks", "--json"])
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["plan"]["selector"] == "aks"


def test_auto_answers_with_nano_where_nano_wrote(examined: Examined) -> None:
    settings = examined.library.settings.model_copy(update={"ask": examined.library.settings.ask.model_copy(update={"model": "auto"})})
    with Library(settings) as library:
        assert library.answerer.id.startswith("nano@")


def test_the_demo_scores_itself_and_can_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from workers import demo_world as demo

    said: list[dict[str, Any]] = []
    run_world_demo(tmp_path / "demo", said.append, config=SMALL)
    assert said[-1]["score"]["asked"] == len(said) - 1 >= 8
    assert said[-1]["score"]["right"] == sum(row["right"] for row in said[:-1])
    assert (tmp_path / "demo" / "citations.png").stat().st_size > 3000
    wrong = demo.mark
    monkeypatch.setattr(demo, "mark", lambda q, m, a: wrong(q, m, a) if q.kind == "when" else _wrong(wrong(q, m, a)))
    assert not run_world_demo(tmp_path / "demo", said.append, config=SMALL)


def _wrong(marked: Any) -> Any:
    return replace(marked, right=False)


def test_a_needle_is_looked_for_at_every_depth(tmp_path: Path) -> None:
    report = run_needle(NeedleRun(tmp_path, (0.05,)))
    assert {row["depth"] for row in report.rows} == {0.0, 0.25, 0.5, 0.75, 1.0}
    assert report.heat is not None
    assert report.heat[0].shape == (5, 1)
    written = report.write(tmp_path / "out")
    assert "footage" in written.read_text()
    assert (tmp_path / "out" / "eval-needle.png").exists()
    facts = json.loads((tmp_path / "out" / "eval-needle.json").read_text())
    assert facts["config"]["seed"] == "900"
    assert len(facts["answers"]) == len(report.rows)


def test_the_ways_to_shorten_a_frame_are_read_at_the_same_tokens(tmp_path: Path, examined: Examined) -> None:
    few = replace(examined.film, questions=[q for q in examined.film.questions if q.kind in ("colour", "shape", "when")])
    run = MergeRun(WorldRun(tmp_path), frames=20)
    report = run_merge(run, ("details", "pool", "strided"), (16, 1), examined=[replace(examined, film=few)])
    assert len(report.rows) == len(few.questions) * (1 + 3 * 2)
    macs = {(r["method"], r["tokens"]): r["prefill_macs"] for r in report.rows}
    assert macs["pool", 1] < macs["pool", 16] < macs["all tokens", 64]
    lost = {row["method"]: row for name, rows in report.tables if name.startswith("what is lost") for row in rows}
    assert float(lost["details"]["error, 1 tokens"]) > float(lost["details"]["error, 16 tokens"])
    assert float(lost["details"]["error, 16 tokens"]) < float(lost["strided"]["error, 16 tokens"])


def test_a_minute_through_the_defaults_costs_a_little_of_what_all_of_it_costs(tmp_path: Path) -> None:
    report = run_minute(MinuteRun(tmp_path, 1, 1, 90.0, first_seed=21))
    of = {name: [r for r in report.rows if r["method"] == name] for name in dict.fromkeys(r["method"] for r in report.rows)}
    whole, shorter, few, _, defaults = of.values()
    assert "defaults: chosen frames, 24 tokens" in of
    assert 0.2 < spent_on(shorter) / spent_on(whole) < 0.5
    assert spent_on(defaults) < 0.1 * spent_on(whole)
    assert sum(r["right"] for r in defaults) > sum(r["right"] for r in few)


def spent_on(rows: list[dict[str, Any]]) -> float:
    return sum(r["prefill_macs"] for r in rows)


def test_a_minute_lies_around_the_truth_and_inside_the_film(examined: Examined) -> None:
    assert minute_of(examined, "", [(100.0, 104.0)]) == TimeSpan(72.0, 132.0)
    assert minute_of(examined, "", [(2.0, 4.0)]) == TimeSpan(0.0, 60.0)
    assert minute_of(examined, "", [(230.0, 239.0)]) == TimeSpan(180.0, 240.0)
    assert minute_of(examined, "", [(2.0, 4.0), (100.0, 104.0)]) is None


def test_more_frames_find_more_moments(tmp_path: Path) -> None:
    report = run_moments(WorldRun(tmp_path, 1, 2, 300.0))
    recall = {(r["method"], r["frames"]): [] for r in report.rows}
    for row in report.rows:
        recall[row["method"], row["frames"]].append(row["recall"])
    mean = {key: sum(values) / len(values) for key, values in recall.items()}
    assert mean["peaks", 64] >= mean["peaks", 4]
    assert mean["peaks", 8] > mean["uniform", 8]

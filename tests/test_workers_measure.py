"""The demo, the bench and the eval: they check themselves against truth that is known, and can fail."""

import json
from pathlib import Path

import numpy as np
import pytest
from films import write

from footage.errors import ConfigError
from footage.questions import Moment
from footage.recordings import TextRow
from footage.timespan import TimeSpan
from workers.bench_decode import run_bench
from workers.bench_film import FILMS, make, number_of, pictures
from workers.demo import run_demo
from workers.engine import open_library
from workers.evaluate import Case, contains, read_cases, run_questions, score


def test_the_demo_answers_all_three_to_the_frame(tmp_path: Path) -> None:
    said: list[dict] = []
    assert run_demo(tmp_path / "demo", said.append)
    assert said[-1]["score"] == {"asked": 3, "right": 3, "cited": 3}
    assert said[0]["citation"] == "00:00:12.360-00:00:20.200"
    assert (tmp_path / "demo" / "citations.png").stat().st_size > 5000
    assert (tmp_path / "demo" / "citation.mp4").exists()


def test_the_demo_fails_when_an_answer_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from workers import demo

    wrong = demo.Asked("When is the picture blue?", TimeSpan(50, 59.44), "00:00:46.880")
    monkeypatch.setattr(demo, "QUESTIONS", (wrong,))
    monkeypatch.setenv("FOOTAGE_INDEX__OCR", "off")
    said: list[dict] = []
    assert not run_demo(tmp_path / "demo", said.append)
    assert said[-1]["score"] == {"asked": 1, "right": 1, "cited": 0}


def test_bench_films_tell_every_frame_from_its_neighbour(tmp_path: Path) -> None:
    for n, picture in enumerate(pictures(FILMS[0].halved(), 40)):
        assert number_of(picture, 640) == n
        assert number_of(np.ascontiguousarray(picture[::2, ::2]), 640) == n


def test_bench_decode_compares_every_method_and_checks_every_frame(tmp_path: Path) -> None:
    film = make(FILMS[0].halved(), tmp_path, 2)
    said: list[dict] = []
    assert run_bench([film], quick=True, repeats=1, emit=said.append)
    assert [row["method"] for row in said[:-1]] == ["ffmpeg command line", "pyav (default)", "pyav-sequential", "decord", "pyav key frames"]
    assert all(row["exact"] in ("all", "key") for row in said[:-1])
    assert {bar["name"].split(",")[0] for bar in said[-1]["bars"]} == {"sampled decode", "every sampled frame exact"}


CASE = Case("c", "v.mp4", "which sign?", "ALPHA 7", (TimeSpan(10, 20), TimeSpan(40, 50)))


def moment(start: float, end: float) -> Moment:
    return Moment("r", TimeSpan(start, end), 0.5, "ocr", "t")


def test_a_moment_is_recalled_by_its_overlap_with_any_true_interval() -> None:
    rows = [TextRow("r", TimeSpan(10, 20), "ocr", "alpha7")]
    right = score(CASE, [moment(0, 5), moment(41, 50)], ["", "Alpha-7!"], rows)
    assert right.recalled == (True, True)
    assert right.is_quoted
    assert right.first_iou == 0
    half = score(CASE, [moment(10, 14)], ["other"], rows)
    assert half.recalled == (True, False)
    assert half.first_iou == pytest.approx(0.4)
    assert "other text ranked higher" in half.why_missed
    assert "not read" in score(CASE, [], [], []).why_missed


def test_an_answer_of_several_parts_must_be_there_whole() -> None:
    assert contains("buysomecheese | feed the cat", "buy some cheese, feed the cat")
    assert not contains("buy some cheese", "buy some cheese and feed the cat")


def test_questions_are_asked_through_the_library_next_to_uniform_sampling(tmp_path: Path) -> None:
    film = write(tmp_path / "v.mp4", frames=300, options={"preset": "ultrafast", "g": "20"})
    film.with_suffix(".srt").write_text("1\n00:00:12,000 --> 00:00:15,000\nThe lighthouse is dark.\n")
    question = {
        "id": "q",
        "video": "v.mp4",
        "kind": "text",
        "question": "When is the lighthouse dark?",
        "answer": "lighthouse",
        "intervals": [[12, 15]],
    }
    (tmp_path / "q.json").write_text(json.dumps({"questions": [question, {**question, "id": "p", "kind": "other"}]}))
    said: list[dict] = []
    with open_library(str(tmp_path / "lib"), index={"ocr": "off", "jobs": 1}) as library:
        summary = run_questions(library, tmp_path / "q.json", tmp_path, kinds=["text"], moments=5, out=tmp_path / "r.md", emit=said.append)
    assert summary["questions"] == 1
    assert summary["footage"] == {"recall_iou_0.3": 1.0, "recall_iou_0.5": 1.0, "first_iou": 1.0, "quoted": 1.0}
    assert summary["uniform"]["recall_iou_0.5"] == 1.0  # a fifth of 30 s, 12 to 18, is half right
    assert "| footage | 100% | 100% | 1.00 | 100% |" in (tmp_path / "r.md").read_text()


def test_a_file_that_holds_no_questions_is_refused(tmp_path: Path) -> None:
    (tmp_path / "q.json").write_text('{"asks": []}')
    with pytest.raises(ConfigError, match="no question file"):
        read_cases(tmp_path / "q.json", [])

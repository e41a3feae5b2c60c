"""The field's sets through the same ask() that users call: a small set in its real layout, indexed, asked and scored."""

import json
import math
from pathlib import Path

import pytest

from footage import ConfigError
from workers.demo_film import write_film
from workers.engine import Library, open_library
from workers.eval_sets import run_set


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return open_library(str(tmp_path / "library"), index={"ocr": "off"})


def test_grounding_is_scored_on_what_is_cited(tmp_path: Path, library: Library) -> None:
    (tmp_path / "set" / "Charades_v1_480").mkdir(parents=True)
    write_film(tmp_path / "set" / "Charades_v1_480" / "3MSZA.mp4")
    lines = ["3MSZA 46.88 59.44##When is the picture blue?", "3MSZA 0.0 12.36##When is the picture blue?", "AWAY1 1 2##a door"]
    (tmp_path / "set" / "charades_sta_test.txt").write_text("\n".join(lines) + "\n")
    report = run_set(library, "charades-sta", tmp_path / "set")
    assert report.config["videos missing"] == 1
    [(title, [row])] = report.tables
    assert title == "charades-sta: grounding"
    assert row["R@1, IoU >= 0.7"].value == 0.5
    assert math.isclose(row["mean IoU"].value, 0.5, abs_tol=0.01)
    assert "46.880" in report.rows[0]["reply"]


def test_choices_that_nobody_picked_are_wrong_and_said_to_be(tmp_path: Path, library: Library) -> None:
    (tmp_path / "set" / "data").mkdir(parents=True)
    write_film(tmp_path / "set" / "data" / "abc.mp4")
    row = {"video_id": "001", "duration": "short", "domain": "Art", "sub_category": "Film", "videoID": "abc", "question_id": "001-1",
           "url": "x", "task_type": "Perception", "question": "When is the picture blue?", "options": ["A. Early.", "B. Late."],
           "answer": "A"}  # fmt: skip
    (tmp_path / "set" / "test.jsonl").write_text(json.dumps(row) + "\n")
    report = run_set(library, "video-mme", tmp_path / "set", limit=5)
    [(_, rows)] = report.tables
    assert [r["questions"] for r in rows] == ["all", "duration: short", "domain: Art", "sub_category: Film", "task_type: Perception"]
    assert (rows[0]["right"].value, rows[0]["refused"], rows[0]["not understood"]) == (0.0, 0, 1)


def test_an_unknown_set_and_a_wrong_folder_are_refused(tmp_path: Path, library: Library) -> None:
    with pytest.raises(ConfigError, match="no-such-set"):
        run_set(library, "no-such-set", tmp_path)
    with pytest.raises(ConfigError):
        run_set(library, "mlvu", tmp_path)

"""The speed scoreboard: the same questions for every length, shapes of published sizes, and no time that is held to a clock."""

import json
from pathlib import Path

import pytest
import torch
from test_qa_families import published
from typer.testing import CliRunner

from footage.errors import ConfigError
from qa.families.family import shape_of
from workers.bench_qa import QaRun, run_qa
from workers.bench_size import FULL, HELD, HOURS, SizeRun, made_view, pieces, run_size
from workers.cli import app
from workers.random_models import FRAME, configuration, make_tokenizer

SMALL = SizeRun("tiny", frames=32, carriers=12, overview=8, new=3, repeats=1)


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    return [dict(row) for row in run_size(SMALL).rows]


def test_a_size_reads_full_tokens_the_default_plan_and_as_many_carriers_of_every_memory(rows: list[dict]) -> None:
    assert [(row["case"], row["hours"]) for row in rows] == [
        (FULL, pytest.approx(SMALL.frames / 3600)), ("default plan", 1.0), *(("12 carriers", hours) for hours in HOURS)
    ]  # fmt: skip
    full, plan, *carriers = rows
    assert full["visual"] == SMALL.frames * FRAME["tiny"]
    assert all(4 <= row["visual"] - HELD * 12 <= 8 for row in carriers)
    assert 4 <= plan["visual"] - HELD * 20 <= 8
    assert all(row["ttft_s"] > 0 and not row["rate"] <= 0 and row["peak_mb"] > 0 and row["new"] > 1 for row in rows)


def test_predicted_work_grows_with_tokens_and_is_told_against_full_tokens(rows: list[dict]) -> None:
    ordered = sorted(rows, key=lambda row: row["visual"] + row["text"])
    for name in ("macs", "decode_macs", "kv_mb"):
        assert [row[name] for row in ordered] == sorted(row[name] for row in rows)
    for row in rows:
        assert row["predicted"] == pytest.approx(rows[0]["macs"] / row["macs"])
        assert row["TTFT against full"] == pytest.approx(rows[0]["ttft_s"] / row["ttft_s"])


def test_full_tokens_are_read_as_far_as_positions_go() -> None:
    config = configuration("tiny")
    frames = 3600
    while frames * (FRAME["tiny"] + 8) > config.text_config.max_position_embeddings:
        frames //= 2
    assert 0 < frames < 3600
    view = made_view(frames, FRAME["tiny"], 8)
    shown = [carrier for piece in pieces(view.load(range(frames))) for carrier in piece.shown]
    assert [carrier.anchor_s for carrier in shown] == view.anchors_s.tolist()


@pytest.mark.parametrize(("size", "name"), [("2b", "smolvlm"), ("7b", "qwen2_5_vl")])
def test_sizes_are_the_published_ones(size: str, name: str) -> None:
    ours, theirs = configuration(size), published(name)
    assert shape_of(ours.text_config) == shape_of(theirs.text_config)
    assert ours.text_config.vocab_size == theirs.text_config.vocab_size


def test_a_large_size_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="made and run on a GPU") as caught:
        run_size(SizeRun("7b"))
    assert "--size tiny" in caught.value.hint
    done = CliRunner().invoke(app, ["bench", "qa", "--size", "70b"])
    assert isinstance(done.exception, ConfigError)
    assert "tiny, 2b, 7b" in done.exception.hint


def test_clock_words_take_a_few_tokens() -> None:
    tokenizer = make_tokenizer()
    assert len(tokenizer(" 1:02:05", add_special_tokens=False)["input_ids"]) <= 8
    assert len(tokenizer("<image>", add_special_tokens=False)["input_ids"]) == 1


def test_first_and_second_questions_and_everything_are_timed_for_both_models(tmp_path: Path) -> None:
    report = run_qa(QaRun(tmp_path, (0.05,), questions=2, sample=1))
    report.write(tmp_path / "out")
    facts = json.loads((tmp_path / "out" / "bench-qa.json").read_text())
    assert [(row["model"], row["order"]) for row in facts["answers"]] == [
        (model, order) for model in ("nano", "random") for order in (*2 * ("opened", "first", "second"), "everything")
    ]
    assert all(row["ttft_s"] > 0 for row in facts["answers"])
    opened, first, second, _, _, again, whole = facts["answers"][7:]
    assert opened["reused"] == first["reused"] == 0 < second["reused"]
    assert again["reused"] > 0
    assert second["macs"] < first["macs"] < whole["macs"]
    assert first["question"] == again["question"] != second["question"]
    assert {bar["name"].split(":")[0] for bar in facts["bars"]} == {"nano", "random weights, 8 layers of 256"}
    assert "everything read" in (tmp_path / "out" / "bench-qa.md").read_text()

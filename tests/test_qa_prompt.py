"""Evidence as a prompt: the same words as in nano's training, never beyond the budget, replies that can only point at rows."""

from dataclasses import replace

import numpy as np
import pytest

from footage import Carrier, TextRow, TimeSpan
from footage.arrays import halved
from footage.carriers import detailed
from footage.nested import nested
from footage.questions import Evidence
from nano.prompt import row_words
from qa.answerers.prompt import NOT_THERE, Row, evenly, fitted, pointed, rows_of, spelled, spoken, written


def carrier(start_s: float, tokens: int = 64, value: float = 1.0) -> Carrier:
    span = TimeSpan(start_s, start_s + 1)
    return Carrier("rec", (span,), start_s + 0.5, 1.0, np.full((tokens, 4), value, np.float16), np.array([1, 0], np.float32))


def seen(start_s: float, frames: int, recording_id: str = "rec") -> Evidence:
    shown = tuple(carrier(start_s + n) for n in range(frames))
    return Evidence(recording_id, TimeSpan(start_s, start_s + frames), 1.0, shown[0], "", shown)


def row(place: int, frames: int, tokens: int = 64, start_s: float = 0.0) -> Row:
    return Row(place, TimeSpan(start_s, start_s + frames), tuple(np.full((tokens, 4), float(n)) for n in range(frames)))


def test_a_row_is_written_as_nano_was_taught() -> None:
    ours = written([row(1, 2, 4, 65.0), row(2, 1, 16, 3725.0)], "<image>")
    taught = row_words(1, 65.0, 67.0, [4, 4]) + " " + row_words(2, 3725.0, 3726.0, [16])
    assert ours == taught


def test_rows_stand_in_time_order_and_remember_their_place_in_the_evidence() -> None:
    rows = rows_of([seen(50.0, 2), seen(10.0, 9), Evidence("rec", TimeSpan(30, 31), 1.0, TextRow("rec", TimeSpan(30, 31), "ocr", "EXIT"))])
    assert [(r.place, r.span.start_s) for r in rows] == [(2, 10.0), (3, 30.0), (1, 50.0)]
    assert [len(row.frames) for row in rows] == [9, 0, 2]
    assert [len(row.frames) for row in fitted(rows, 1000)] == [4, 0, 2]
    assert rows[1].text == "EXIT"


def test_what_does_not_fit_becomes_coarser_then_fewer() -> None:
    rows = [row(1, 4), row(2, 4)]
    assert fitted(rows, 512) == rows
    assert [len(f) for r in fitted(rows, 511) for f in r.frames] == [16] * 8
    assert [len(f) for r in fitted(rows, 40) for f in r.frames] == [4] * 8
    assert [len(r.frames) for r in fitted(rows, 20)] == [2, 2]
    assert [[len(f) for f in r.frames] for r in fitted(rows, 3)] == [[1], [1]]
    assert [r.place for r in fitted(rows, 1)] == [1]


@pytest.mark.parametrize("tokens", [1, 3, 7, 13, 16, 48, 64])
@pytest.mark.parametrize("budget", [1, 2, 5, 30, 1000])
def test_the_budget_is_never_exceeded_whatever_the_tokens(tokens: int, budget: int) -> None:
    assert sum(r.tokens for r in fitted([row(n, 3, tokens) for n in range(1, 6)], budget)) <= budget


def test_halving_averages_squares_of_the_grid() -> None:
    grid = np.arange(16, dtype=float).reshape(16, 1)
    np.testing.assert_allclose(halved(grid).ravel(), [2.5, 4.5, 10.5, 12.5])


def test_a_row_with_details_has_details_alone_and_loses_the_last_of_them() -> None:
    rng = np.random.default_rng(0)
    whole, other = (replace(carrier(at_s), tokens=rng.normal(size=(64, 4)).astype(np.float16)) for at_s in (0.0, 1.0))
    few = detailed(other, 16)
    [made] = rows_of([Evidence("rec", TimeSpan(0, 2), 1.0, whole, "", (whole, few))])
    assert made.is_nested
    assert [len(f) for f in made.frames] == [64, 16]
    np.testing.assert_array_equal(made.frames[0][:16], nested(whole.tokens, 16))
    [short] = fitted([made], 40)
    np.testing.assert_array_equal(short.frames[0], made.frames[0][:16])
    np.testing.assert_array_equal(short.frames[1], few.tokens)
    assert [len(f) for f in fitted([made], 8)[0].frames] == [4, 4]


def test_evenly_takes_from_the_middle_of_equal_parts() -> None:
    assert evenly(range(10), 2) == [2, 7]
    assert evenly(range(3), 8) == [0, 1, 2]


def test_a_reply_can_only_point_at_rows_and_times_come_from_them() -> None:
    rows = [row(3, 2, start_s=65.0), row(1, 1, start_s=200.0)]
    assert spoken("[2] red", rows) == "red [1] 3:20-3:21"
    assert spoken("[9] red", rows) == "red"
    assert [r.place for r in pointed("[2][1][2][7]", rows)] == [1, 3]
    assert spoken("none", rows) == NOT_THERE == spoken("", rows)
    assert spoken("red circle none", rows) == NOT_THERE
    assert spoken("red circle no", rows) == "red circle no"
    assert spoken("star [2] star red", rows) == "star red [1] 3:20-3:21"
    assert spoken("star [2]", rows) == "star [1] 3:20-3:21"
    assert spoken("[1][2]", rows, counts=True) == "2 times: [3] 1:05-1:07, [1] 3:20-3:21"
    assert spoken("[1]", rows) == "[3] 1:05-1:07"


def test_what_is_worked_out_aloud_is_not_the_answer() -> None:
    rows = [row(3, 2, start_s=65.0), row(1, 1, start_s=200.0)]
    assert spoken("star red [2]", rows, aloud=True) == "[1] 3:20-3:21"
    assert spoken("star blue ; no", rows, aloud=True) == "no"
    assert spoken("star blue ; none", rows, aloud=True) == NOT_THERE == spoken("star ; none", rows, aloud=True)
    assert spoken("star red [1] red star b t red star g t ; right", rows, aloud=True) == "right [3] 1:05-1:07"
    assert spoken("sign [1] c e c S d U e N", rows, aloud=True) == "SUN [3] 1:05-1:07"
    assert spelled("sign c e c S d U e N [1]") == "SUN"
    assert spelled("star red b t") == spelled("") == ""

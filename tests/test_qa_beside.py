"""Questions with before and after: a moment with what is seen next to it, inside the same budget."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from views import make_query, make_view

from footage import Budget, TimeSpan
from footage.questions import Moment
from frame_select.registry import selector
from qa.beside import BESIDE_S, MOVING_S, widened, with_moments, with_neighbours
from qa.parse import parse

VIEW = make_view([[0, 1]] * 20 + [[1, 0]] * 2 + [[0, 1]] * 18)
FOUND = Moment("rec", TimeSpan(20.0, 22.0), 1.0, "image")


@pytest.mark.parametrize(
    ("text", "side"),
    [
        ("What comes after the red circle?", "after"),
        ("Who speaks BEFORE the bell rings?", "before"),
        ("What happens after a goal?", "after"),
        ("When does she look after 10 minutes?", ""),
        ("What is the before-and-after picture?", ""),
    ],
)
def test_the_side_is_read_from_the_question(text: str, side: str) -> None:
    assert parse(text).beside == side


def test_a_moment_grows_on_the_side_that_was_asked_about_and_never_past_what_was_seen() -> None:
    assert widened([FOUND], "after", VIEW)[0].span == TimeSpan(20.0, 22.0 + BESIDE_S)
    assert widened([FOUND], "before", VIEW)[0].span == TimeSpan(20.0 - BESIDE_S, 22.0)
    early, late = (Moment("rec", TimeSpan(a, b), 1.0, "image") for a, b in ((1.0, 2.0), (39.0, 40.0)))
    assert widened([early], "before", VIEW)[0].span == TimeSpan(0.0, 2.0)
    assert widened([late], "after", VIEW)[0].span == late.span


def test_a_direction_is_told_from_some_seconds_and_other_questions_keep_their_moments() -> None:
    moves, still = parse("Which way does the red star move?"), parse("What colour is the star?")
    short, long, early = (Moment("rec", TimeSpan(a, b), 1.0, "image") for a, b in ((20.0, 21.0), (20.0, 29.0), (0.0, 1.0)))
    assert [m.span for m in with_neighbours([short, long, early], moves, VIEW)] == [TimeSpan(18.5, 22.5), long.span, TimeSpan(0.0, 2.5)]
    assert with_neighbours([short], still, VIEW) == [short]
    assert with_neighbours([short], moves, VIEW)[0].span.duration_s == MOVING_S


@given(st.integers(0, 700), st.integers(0, 32), st.integers(1, 12))
def test_the_budget_holds_and_matches_stay(tokens: int, start: int, length: int) -> None:
    budget = Budget(tokens)
    plan = selector("top-k").select(make_query([1, 0]), VIEW, budget)
    more = with_moments(plan, [Moment("rec", TimeSpan(start, start + length), 1.0, "image")], VIEW, budget)
    assert more.tokens == sum(pick.tokens for pick in more.picks) <= tokens
    rows = [pick.row for pick in more.picks]
    assert rows == sorted(set(rows))
    if tokens >= 16 * 20:  # room for both
        assert {20, 21, *range(start, min(40, start + length))} <= set(rows)

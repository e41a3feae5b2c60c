"""An overview: few windows of absolute time, one row each, the same whatever is asked."""

from collections.abc import Sequence

import numpy as np
import pytest
from contracts_select import views
from hypothesis import given, settings
from hypothesis import strategies as st
from views import make_view

from footage import MemoryView
from frame_select.overview import overview


def one_by_one(view: MemoryView, count: int) -> tuple[int, list[int]]:
    """The definition, row by row: how long windows are, and who stands for each."""
    for width_s in (2**n for n in range(41)):
        best: dict[tuple[int, int], tuple[float, int]] = {}
        for row, (which, at_s) in enumerate(zip(view.which.tolist(), view.anchors_s.tolist(), strict=True)):
            window = int(at_s // width_s)
            candidate = (round(abs(at_s - (window + 0.5) * width_s), 6), row)
            best[which, window] = min(best.get((which, window), candidate), candidate)
        if len(best) <= count:
            return width_s, [row for _, (_, row) in sorted(best.items())]
    return 0, []


@settings(deadline=None)
@given(views(), st.integers(0, 50))
def test_it_is_its_definition(view: MemoryView, count: int) -> None:
    picks = overview(view, count)
    assert [pick.row for pick in picks] == one_by_one(view, count)[1]
    assert len(picks) <= count
    for pick in picks:
        assert (pick.tokens, pick.why) == (1, "overview")
        assert (pick.recording_id, pick.span) == (view.recording_of(pick.row), view.span(pick.row))


def seconds(count: int) -> MemoryView:
    return make_view(np.tile([1.0, 0.0], (count, 1)))


def anchors(view: MemoryView, rows: Sequence[int]) -> list[float]:
    return [float(view.anchors_s[row]) for row in rows]


@pytest.mark.parametrize("count", [1, 2, 5, 16])
def test_while_footage_grows_only_the_last_window_changes_until_windows_double(count: int) -> None:
    weights = np.random.default_rng(0).choice([0.3, 1.0, 5.0, 40.0], 90).tolist()
    grown = [make_view(np.tile([1.0, 0.0], (n, 1)), weights_s=weights[:n]) for n in range(1, 91)]
    widths = [one_by_one(view, count)[0] for view in grown]
    assert widths == sorted(widths)
    for was, then, before, after in zip(widths, widths[1:], grown, grown[1:], strict=False):
        old, new = ([pick.row for pick in overview(view, count)] for view in (before, after))
        assert was != then or (new[: len(old) - 1] == old[:-1] and len(new) - len(old) in (0, 1))


@pytest.mark.parametrize(("rows", "count", "width_s"), [(8, 8, 1), (9, 8, 2), (16, 8, 2), (17, 8, 4), (600, 128, 8), (3600, 128, 32)])
def test_windows_are_as_short_as_the_count_allows(rows: int, count: int, width_s: int) -> None:
    view = seconds(rows)
    picks = [pick.row for pick in overview(view, count)]
    assert len(picks) == -(-rows // width_s)
    assert {int(at_s // width_s) for at_s in anchors(view, picks)} == set(range(len(picks)))
    if width_s > 1:
        assert all(at_s % width_s == width_s / 2 - 0.5 for at_s in anchors(view, picks[:-1]))  # of two as near, the earlier


def test_every_recording_has_its_own_windows_and_none_is_left_out() -> None:
    view = make_view([[1, 0]] * 9, recordings=list("aaabbbccc"))
    assert [pick.recording_id for pick in overview(view, 6)] == list("aabbcc")
    assert [pick.recording_id for pick in overview(view, 5)] == list("abc")
    assert overview(view, 2) == ()
    assert overview(make_view([]), 4) == ()

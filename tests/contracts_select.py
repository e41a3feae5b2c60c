"""What every selector and every gate promises; run each implementation through these."""

from collections.abc import Callable

import numpy as np
import pytest
from contracts_encode import clip_of, noise
from hypothesis import given, settings
from hypothesis import strategies as st
from views import make_query, make_view

from footage import Budget, EncoderMismatch, MemoryView, Plan, TimeSpan
from footage.protocols import Gate, Selector

WHYS = {"match", "neighbour", "coverage"}


@st.composite
def views(draw: st.DrawFn) -> MemoryView:
    """Up to 40 rows of up to 3 recordings, some of them equal, some long."""
    N = draw(st.integers(0, 40))
    embeds = draw(st.lists(st.sampled_from([[1, 0], [0, 1], [0.6, 0.8], [0, 0], [-1, 0]]), min_size=N, max_size=N))
    weights = draw(st.lists(st.sampled_from([0.04, 1.0, 1.0, 30.0, 3600.0]), min_size=N, max_size=N))
    owners = sorted(draw(st.lists(st.sampled_from("abc"), min_size=N, max_size=N)))
    return make_view(embeds, weights_s=weights, recordings=owners)


@st.composite
def budgets(draw: st.DrawFn) -> Budget:
    return Budget(draw(st.integers(0, 800)), draw(st.integers(0, 5)), draw(st.sampled_from([0, 1, 64, 300])), 512)


def check_plan(plan: Plan, view: MemoryView, budget: Budget, cost: int, extents: dict[str, TimeSpan] | None) -> None:
    """Law 4: plans are honest. As many rows as the tokens pay, in time order, each once; decoding where allowed."""
    spent_again = len(plan.redecodes) * budget.tokens_per_redecode
    assert plan.tokens == sum(pick.tokens for pick in plan.picks) + spent_again <= budget.tokens
    assert len(plan.picks) == len(view) or budget.tokens - plan.tokens < cost
    assert len(plan.picks) >= min(len(view), (budget.tokens - spent_again) // cost)
    rows = [pick.row for pick in plan.picks]
    assert rows == sorted(set(rows))
    for pick in plan.picks:
        assert (pick.recording_id, pick.span) == (view.recording_of(pick.row), view.span(pick.row))
        assert pick.why in WHYS
        assert 1 <= pick.tokens <= cost
    assert len(plan.redecodes) <= budget.redecodes
    assert len(set(plan.redecodes)) == len(plan.redecodes)
    for again in plan.redecodes:
        assert again.time_s in (extents or {})[again.recording_id]
        assert again.max_side_px == budget.max_side_px
    order = [(view.recording_ids.index(again.recording_id), again.time_s) for again in plan.redecodes]
    assert order == sorted(order)
    assert plan.view_version == view.version
    assert plan.overview == ()  # it knows no question, and is chosen elsewhere


def check_selector(selector: Selector, *, cost: int) -> None:
    """Exact in its budget, deterministic, total, chronological; re-decodes within extents. `cost`: tokens of one row."""
    extents = {"a": TimeSpan(0.0, 1e6), "b": TimeSpan(1.0, 35.0)}

    @settings(deadline=None)
    @given(views(), budgets(), st.sampled_from([[1, 0], [0, 0], [0.8, 0.6]]), st.sampled_from([None, extents]))
    def holds(view: MemoryView, budget: Budget, embed: list[float], extents: dict[str, TimeSpan] | None) -> None:
        plan = selector.select(make_query(embed), view, budget, extents=extents)
        check_plan(plan, view, budget, cost, extents)
        assert plan.selector == selector.name
        assert selector.select(make_query(embed), view, budget, extents=extents) == plan
        assert isinstance(plan.to_json()["picks"], tuple | list)

    holds()
    query, one = make_query([1, 0]), make_view([[1, 0]])
    assert selector.select(query, make_view([]), Budget(1000, 3), extents=extents).picks == ()
    assert [pick.row for pick in selector.select(query, one, Budget(cost)).picks] == [0]
    assert selector.select(query, one, Budget(cost - 1)).picks == ()
    with pytest.raises(EncoderMismatch) as caught:
        selector.select(make_query([1, 0], encoder_id="other@1"), one, Budget(100))
    assert "color@1" in caught.value.hint
    with pytest.raises(ValueError, match="row 1 of the view has no finite embed"):
        selector.select(query, make_view([[1, 0], [np.nan, 0]]), Budget(100))
    with pytest.raises(ValueError, match="width"):
        selector.select(make_query([1, 0, 0]), one, Budget(100))


def check_gate(make: Callable[[], Gate], *, keeps_first: bool = True) -> None:
    """(T,) bools that Clip.take accepts, the same every time; the first frame of a segment is always kept."""
    for pixels in (noise(6, 36, 64), noise(1, 36, 64).repeat(6, axis=0), noise(5, 1, 1), noise(3, 500, 3)):
        gate, again = make(), make()
        for start_s in (0.0, 10.0):
            clip = clip_of(pixels, start_s=start_s)
            keep = gate.keep(clip)
            assert keep.shape == (len(clip),)
            assert keep.dtype == bool
            assert np.array_equal(again.keep(clip), keep)
            if start_s == 0.0 or keeps_first:
                kept = clip.take(keep)
                assert kept.span == clip.span

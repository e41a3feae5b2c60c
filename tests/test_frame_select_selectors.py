from dataclasses import replace

import numpy as np
import pytest
from contracts_select import check_plan, check_selector
from hypothesis import given, settings
from hypothesis import strategies as st
from views import make_query, make_view

from footage import Budget, ConfigError, TimeSpan
from frame_select.methods.top_k import TopK
from frame_select.registry import SELECTORS, selector
from frame_select.scores import relevance
from frame_select.selector import CurveSelector
from frame_select.spread import spread
from frame_select.uniform import UniformSelector

RED, BLUE = [1.0, 0.0], [0.0, 1.0]
QUERY = make_query(RED)


def rows_of(plan, why=None):
    return [pick.row for pick in plan.picks if why in (None, pick.why)]


def scored(*scores):
    """A view whose rows score exactly so against QUERY."""
    return make_view([[s, (1 - s * s) ** 0.5] for s in scores])


@pytest.mark.parametrize(
    "made",
    [
        *(selector(name) for name in SELECTORS),
        selector("top-k", coverage=0.0, neighbours=0),
        selector("top-k", coverage=1.0),
        selector("top-k", coverage=0.5, neighbours=3),
        selector("peaks", coverage=0.3),
        selector("f2c", coverage=0.3),
    ],
    ids=str,
)
def test_it_keeps_the_contract_of_a_selector(made):
    check_selector(made, cost=16)


def test_scores_are_cosines():
    np.testing.assert_allclose(relevance(QUERY, scored(0.5, 1.0, 0.0)), [0.5, 1.0, 0.0], atol=1e-6)


def test_uniform_takes_the_middles_of_equal_parts_of_the_time():
    assert rows_of(UniformSelector().select(QUERY, make_view([RED] * 12), Budget(48))) == [2, 6, 10]


def test_uniform_counts_seconds_and_not_rows():
    view = make_view([RED] * 6, weights_s=[1, 1, 1, 1, 4, 4])  # parts of 6 s, middles at 3 s and 9 s
    assert rows_of(UniformSelector().select(QUERY, view, Budget(32))) == [3, 5]


def test_a_long_row_is_taken_once_and_the_rest_of_the_budget_goes_to_the_others():
    assert spread(np.array([1.0, 100.0, 1.0, 1.0]), 3).tolist() == [0, 1, 3]


@settings(deadline=None)
@given(st.lists(st.floats(0.04, 1e4), max_size=60), st.integers(0, 70))
def test_spreading_takes_exactly_as_many_rows_as_asked_for_or_all(weights, count):
    rows = spread(np.array(weights), count)
    assert len(rows) == len(set(rows.tolist())) == min(count, len(weights))
    assert np.all(np.diff(rows) > 0)


def test_all_recordings_are_covered():
    view = make_view([RED] * 30, recordings=["a"] * 10 + ["b"] * 10 + ["c"] * 10)
    plan = UniformSelector().select(QUERY, view, Budget(48))
    assert [pick.recording_id for pick in plan.picks] == ["a", "b", "c"]


def test_top_k_takes_the_best_rows_with_their_neighbours_and_covers_the_rest():
    scores = [0.1] * 40
    scores[20] = 0.9
    plan = selector("top-k").select(QUERY, scored(*scores), Budget(8 * 16))
    assert rows_of(plan, "match") == [0, 1, 20]  # after 20 and its neighbours come equals, the earlier first
    assert rows_of(plan, "neighbour") == [2, 19, 21]
    assert rows_of(plan, "coverage") == [10, 30]  # 2 of 8: the middles of the two halves


def test_equal_scores_go_to_the_earlier_row():
    plan = selector("top-k", coverage=0.0, neighbours=0).select(QUERY, scored(0.2, 0.9, 0.9, 0.9, 0.1), Budget(32))
    assert rows_of(plan) == [1, 2]


def test_neighbours_stay_within_their_recording():
    view = make_view([BLUE, BLUE, RED, BLUE], recordings=["a", "a", "b", "b"])
    plan = selector("top-k", coverage=0.0).select(QUERY, view, Budget(32))
    assert rows_of(plan) == [2, 3]


def test_a_match_outranks_the_neighbours_of_a_worse_match():
    plan = selector("top-k", coverage=0.0).select(QUERY, scored(0.9, 0.1, 0.1, 0.1, 0.8, 0.1), Budget(48))
    assert rows_of(plan, "match") == [0, 4]
    assert rows_of(plan, "neighbour") == [1]


def test_scores_that_are_all_alike_are_answered_evenly():
    even = rows_of(UniformSelector().select(QUERY, make_view([RED] * 12), Budget(48)))
    for query in (QUERY, make_query([0, 0])):
        plan = selector("top-k").select(query, make_view([RED] * 12), Budget(48))
        assert (rows_of(plan, "coverage"), plan.selector) == (even, "top-k")


def test_the_best_matches_are_decoded_again_where_the_source_is():
    view, budget = scored(0.1, 0.9, 0.2, 0.8, 0.7), Budget(160, redecodes=2, tokens_per_redecode=32, max_side_px=512)
    plan = selector("top-k").select(QUERY, view, budget, extents={"rec": TimeSpan(2.0, 5.0)})  # row 1 lies before it
    assert [(again.recording_id, again.time_s) for again in plan.redecodes] == [("rec", 3.5), ("rec", 4.5)]
    assert plan.tokens == 2 * 32 + 5 * 16
    assert selector("top-k").select(QUERY, view, budget).redecodes == ()
    assert selector("top-k").select(QUERY, view, budget, extents={"other": TimeSpan(0.0, 9.0)}).redecodes == ()


def test_decoding_again_takes_at_most_half_of_the_tokens():
    budget = Budget(100, redecodes=9, tokens_per_redecode=20)
    plan = selector("top-k").select(QUERY, scored(*[i / 20 for i in range(20)]), budget, extents={"rec": TimeSpan(0, 99)})
    assert len(plan.redecodes) == 2
    assert len(plan.picks) == 3  # (100 - 40) // 16


def test_uniform_spreads_what_it_decodes_again():
    budget = Budget(1000, redecodes=2, tokens_per_redecode=10)
    plan = UniformSelector().select(QUERY, make_view([RED] * 8), budget, extents={"rec": TimeSpan(0, 99)})
    assert [again.time_s for again in plan.redecodes] == [2.5, 6.5]


def in_parts(*parts, whole=RED):
    return replace(make_query(whole), parts=np.array(parts, np.float32).reshape(len(parts), -1 if parts else 2))


def test_rows_are_scored_by_the_whole_question_and_by_its_best_part():
    view = make_view([RED, BLUE, [0.6, 0.8], [0.0, 0.0]])
    np.testing.assert_allclose(relevance(in_parts(RED, BLUE), view), [(1 + 1) / 2, (0 + 1) / 2, (0.6 + 0.8) / 2, 0], atol=1e-6)


@pytest.mark.parametrize("parts", [[], [BLUE], [BLUE, [0, 0]], [[0, 0], [0, 0]]], ids=str)
@pytest.mark.parametrize("name", SELECTORS)
def test_one_part_that_says_something_is_no_part_at_all(name, parts):
    rows = np.random.default_rng(0).normal(size=(60, 2))
    view, budget = make_view(rows / np.linalg.norm(rows, axis=1, keepdims=True)), Budget(160)
    assert selector(name).select(in_parts(*parts), view, budget) == selector(name).select(QUERY, view, budget)
    assert np.array_equal(relevance(in_parts(*parts), view), relevance(QUERY, view))


@pytest.mark.parametrize(
    ("name", "count"),
    [("peaks", 4), ("mmr", 4), ("f2c", 4), ("q-frame", 4), ("mdp3", 8), ("bolt", 8), ("quota", 8), ("top-k", 33), ("adaq", 33)],
)
def test_a_question_in_two_parts_finds_rows_of_both_within_its_budget(name, count):
    first, second, *_ = np.eye(24, dtype=np.float32)
    rows = np.random.default_rng(1).normal(size=(200, 24)).astype(np.float32) * 0.05
    rows[40:44], rows[150:154] = rows[40:44] + 0.7 * first, rows[150:154] + 0.7 * second
    view, budget = make_view(rows / np.linalg.norm(rows, axis=1, keepdims=True)), Budget(count * 16 + 7)
    found = []
    for query in (make_query(first), in_parts(first, second, whole=first)):  # the whole is all about what it names first
        plan = selector(name).select(query, view, budget)
        check_plan(plan, view, budget, 16, None)
        matched = {*rows_of(plan, "match"), *rows_of(plan, "neighbour")}
        found.append((bool(matched & {40, 41, 42, 43}), bool(matched & {150, 151, 152, 153})))
    assert found == [(True, False), (True, True)]


@pytest.mark.parametrize("weight_s", [0.04, 1.0, 60.0, 3600.0])
@pytest.mark.parametrize("name", [name for name in SELECTORS if name != "uniform"])
def test_no_match_drowns_in_one_that_stands_for_longer(name, weight_s):
    rows = np.random.default_rng(3).normal(size=(200, 24)) * 0.05 + np.eye(24)[2]
    rows[[50, 140]] += 0.6 * np.eye(24)[0]
    view = make_view(rows / np.linalg.norm(rows, axis=1, keepdims=True), weights_s=[weight_s if n == 140 else 1.0 for n in range(200)])
    plan = selector(name).select(make_query(np.eye(24)[0]), view, Budget(33 * 16))
    assert {50, 140} <= set(rows_of(plan, "match"))


@pytest.mark.parametrize("name", [name for name in SELECTORS if name != "uniform"])
def test_any_selector_can_keep_a_share_for_the_whole_timeline(name):
    scores = np.full(200, 0.1)
    scores[20:60] = 0.9
    plan = selector(name, coverage=0.25).select(QUERY, scored(*scores), Budget(32 * 16))
    thirds = np.searchsorted([67, 134], rows_of(plan))
    assert np.bincount(thirds, minlength=3).min() >= 2
    check_plan(plan, scored(*scores), Budget(32 * 16), 16, None)


def test_parts_as_wide_as_the_whole_and_finite_are_taken():
    with pytest.raises(ValueError, match="parts must be finite"):
        in_parts([1, 0, 0])
    with pytest.raises(ValueError, match="parts must be finite"):
        in_parts([np.nan, 0])


def test_selectors_are_known_by_name():
    assert selector("uniform", tokens_per_carrier=4) == UniformSelector(4)
    assert selector("top-k", coverage=0.5) == CurveSelector(TopK(), 0.5)


def test_a_wrong_name_or_option_says_what_is_known():
    with pytest.raises(ConfigError, match="known: adaq, aks, bolt, f2c, mdp3, mmr, peaks, q-frame, quota, top-k, uniform") as caught:
        selector("topk")
    assert caught.value.hint == "did you mean top-k?"
    with pytest.raises(ConfigError) as caught:
        selector("top-k", covrage=0.5)
    assert caught.value.hint == "it takes coverage, neighbours, tokens_per_carrier"
    with pytest.raises(ConfigError, match="coverage must lie in"):
        selector("top-k", coverage=1.5)

"""Each method on vectors worked out by hand, against trying everything, and on planted events (V5, V8, V10)."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from views import make_query, make_view

from footage import Budget
from footage.arrays import AnyArray
from frame_select.curve import Curve
from frame_select.methods.aks import Aks
from frame_select.methods.clips import F2C, peaks, thinned, window
from frame_select.methods.diverse import Mdp3, Mmr, grown
from frame_select.methods.peaks import Peaks, outstanding
from frame_select.methods.sampling import AdaQ, Bolt, systematic
from frame_select.methods.tiers import filled
from frame_select.registry import SELECTORS, selector
from frame_select.scores import relevance
from workers.bench_curves import CASES, plant
from workers.bench_select import SelectRun, found, run_select


def curve(scores: AnyArray, embeds: AnyArray | None = None) -> Curve:
    N = len(scores)
    embeds = np.eye(N, max(N, 2)) if embeds is None else embeds
    return Curve(np.asarray(scores, float), embeds, np.ones(N), np.zeros(N, int))


def rows(method: object, scores: AnyArray, count: int) -> list[int]:
    return sorted(chosen.row for chosen in method.choose(curve(scores), count))  # type: ignore[attr-defined]


def test_systematic_sampling_of_equal_weights_takes_the_middles() -> None:
    assert systematic(np.ones(100), 8).tolist() == [6, 18, 31, 43, 56, 68, 81, 93]


@pytest.mark.parametrize("seed", range(20))
def test_systematic_sampling_takes_exactly_as_many_as_asked_for(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.random(40) ** rng.integers(1, 30) * (rng.random(40) < 0.8)
    for count in (1, 7, 39):
        assert len(systematic(weights, count)) == min(count, int((weights > 0).sum()))
    assert 3 in systematic(np.array([0.01, 0.01, 0.01, 50.0, 0.01]), 2)


def test_bolt_samples_a_plateau_at_its_quantiles() -> None:
    scores = np.full(100, 0.1)
    scores[40:50] = 1.1
    assert rows(Bolt(), scores, 8) == list(range(41, 49))


def test_adaq_is_sharp_for_a_needle_and_broad_for_noise() -> None:
    rng = np.random.default_rng(0)
    needle = rng.uniform(0, 0.1, 600)
    needle[300] = 1.0
    assert AdaQ().temperature(curve(needle)) == pytest.approx(0.0012, rel=0.2)
    assert AdaQ().temperature(curve(rng.uniform(0, 1, 600))) == pytest.approx(0.041, abs=0.003)
    assert 300 in rows(AdaQ(), needle, 8)
    assert len(rows(AdaQ(), rng.uniform(0, 1, 600), 8)) == 8


def test_aks_halves_until_something_stands_out() -> None:
    scores = np.zeros(64)
    scores[[3, 40, 41]] = 1.0
    assert 3 in rows(Aks(), scores, 32)
    assert len({row // 2 for row in rows(Aks(threshold=2.0), np.random.default_rng(0).random(64), 32)}) == 32  # halved five times: one each


def test_peaks_of_a_curve_lie_between_valleys() -> None:
    assert peaks(np.array([0.0, 1, 0, 2, 2, 0, 3])).tolist() == [1, 3, 6]
    assert peaks(np.array([3.0, 2, 1])).tolist() == [0]
    assert peaks(np.ones(4)).tolist() == [0]
    many = np.random.default_rng(1).random(300)
    assert len(thinned(peaks(many), curve(many), 10)) <= 10
    assert window(0, 4, 10) == [0, 1, 2, 3]
    assert window(9, 4, 10) == [6, 7, 8, 9]


def test_f2c_takes_the_best_length_of_all() -> None:
    rng = np.random.default_rng(2)
    embeds = rng.normal(size=(50, 8))
    embeds /= np.linalg.norm(embeds, axis=1, keepdims=True)
    one = curve(rng.random(50), embeds)
    method = F2C()
    for anchor, length in zip(range(50), method.lengths(one, np.arange(50)), strict=True):
        worth = [method.worth(one, anchor, n) for n in range(1, 5)]
        assert worth[length - 1] == pytest.approx(max(worth))


def test_mdp3_shares_out_among_segments_as_well_as_any_allocation() -> None:
    for seed in range(12):
        rng = np.random.default_rng(seed)
        embeds = rng.normal(size=(9, 5))
        embeds /= np.linalg.norm(embeds, axis=1, keepdims=True)
        one = Curve(embeds[:, 0], embeds, np.ones(9), np.zeros(9, int))
        method = Mdp3(segment=3, condition=False)
        values = [grown(np.array([-1]), np.arange(b, b + 3), embeds, method.gains(one), 3)[0][0] for b in (0, 3, 6)]
        best = max(sum(v[n] for v, n in zip(values, counts, strict=True)) for counts in product(range(4), repeat=3) if sum(counts) == 4)
        chosen = sorted(c.row for c in method.choose(one, 4))
        counts = [sum(row // 3 == part for row in chosen) for part in range(3)]
        assert sum(v[n] for v, n in zip(values, counts, strict=True)) == pytest.approx(best)


def test_alike_rows_are_not_taken_twice_before_others_are_seen() -> None:
    embeds = np.repeat(np.eye(3, 4), [5, 5, 5], axis=0)
    scores = np.repeat([0.9, 0.8, 0.7], 5) + np.linspace(0, 0.001, 15)
    for method in (Mmr(0.5), Peaks(looks=1.0)):
        assert {c.row // 5 for c in method.choose(curve(scores, embeds), 3)} == {0, 1, 2}


def test_a_long_weak_event_stands_out_from_short_noise() -> None:
    found_by_filter = found_by_best = 0
    for seed in range(20):
        scores = np.random.default_rng(seed).normal(0, 1, 600)
        scores[100:115] += 1.1
        found_by_filter += 100 <= int(outstanding(curve(scores)).argmax()) < 115
        found_by_best += 100 <= int(scores.argmax()) < 115
    assert found_by_filter >= 15 > 10 > found_by_best


@pytest.mark.parametrize("case", CASES)
def test_planted_views_are_the_same_every_time_and_hold_their_events(case: str) -> None:
    one, again = plant(case, 1, 900), plant(case, 1, 900)
    assert np.array_equal(one.view.embeds, again.view.embeds)
    np.testing.assert_allclose(np.linalg.norm(one.view.embeds, axis=1), 1, atol=1e-5)
    everything = selector("uniform", tokens_per_carrier=1).select(one.query, one.view, Budget(900))
    assert found(everything, one) == 1.0


@pytest.mark.parametrize("case", list(CASES))
def test_peaks_takes_the_same_rows_however_few_it_compares(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = plant(case, 1, 900)
    look = Curve(relevance(planted.query, planted.view), planted.view.embeds, planted.view.weights_s, planted.view.which)
    every = [chosen.row for chosen in Peaks().choose(look, 80)]
    for pool in (1, 40, 200, 600):  # the smallest ones run out
        monkeypatch.setattr("frame_select.methods.peaks.POOL", pool)
        assert [chosen.row for chosen in Peaks().choose(look, 80)] == every


def test_peaks_finds_more_than_the_baselines() -> None:
    report = run_select(SelectRun(seeds=6, seconds=1800), ("uniform", "top-k", "bolt", "peaks"))
    values = {name: np.mean([r["found"] for r in report.rows if r["method"] == name]) for name in ("uniform", "top-k", "bolt", "peaks")}
    assert values["peaks"] > max(values["uniform"], values["top-k"], values["bolt"])
    assert set(SELECTORS) >= set(values)


def shares(name: str, frames: int, case: str, seeds: int = 6, **options: float) -> np.ndarray:
    """(events,) how often each was read, over some views of 25 minutes."""
    planted = [plant(case, seed, 1500) for seed in range(seeds)]
    plans = [selector(name, tokens_per_carrier=16, **options).select(p.query, p.view, Budget(16 * frames)) for p in planted]
    return np.mean([[found(plan, replace(p, events=(event,))) for event in p.events] for plan, p in zip(plans, planted, strict=True)], 0)


@pytest.mark.parametrize("name", ["peaks", "adaq", "f2c", "aks"])
def test_planted_needles_are_found_the_stronger_the_more_and_no_less_than_by_looking_evenly(name: str) -> None:
    for frames in (16, 64):
        for case in set(CASES) - {"the whole"}:
            assert shares(name, frames, case).mean() >= shares("uniform", frames, case).mean(), (frames, case)
    weak, *_, strong = shares(name, 64, "five unequal events")  # 2 and 6 times the noise
    assert strong >= weak
    assert strong >= 0.8


@pytest.mark.parametrize(("name", "frames"), [*product(("peaks", "adaq", "f2c"), (16, 64)), ("aks", 64)])
def test_of_needles_of_unequal_strength_more_are_found_than_by_taking_the_best_rows(name: str, frames: int) -> None:
    assert shares(name, frames, "five unequal events").mean() >= shares("top-k", frames, "five unequal events").mean()


@pytest.mark.parametrize("name", sorted(set(SELECTORS) - {"uniform"}))
def test_a_share_for_coverage_sees_as_much_of_the_whole_as_that_share_spread_evenly(name: str) -> None:
    kept = shares(name, 32, "the whole", coverage=0.5).mean()
    assert kept >= shares("uniform", 16, "the whole").mean() - 1e-9


def test_water_rises_to_the_cap_and_no_further() -> None:
    np.testing.assert_allclose(filled(np.array([8.0, 1.0, 1.0]), 2.0), [1.0, 0.5, 0.5])
    np.testing.assert_allclose(filled(np.array([3.0, 2.0, 1.0]), 1.0), [1 / 2, 1 / 3, 1 / 6])
    np.testing.assert_allclose(filled(np.array([5.0, 5.0, 0.0]), 2.5), [1.0, 1.0, 0.0])
    np.testing.assert_allclose(filled(np.ones(4), 9.0), np.ones(4))


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=30), st.integers(1, 30))
def test_water_is_neither_lost_nor_made(worth: list[float], total: int) -> None:
    shares = filled(np.sort(worth)[::-1], total)
    assert shares.sum() == pytest.approx(min(total, len(worth)))
    assert shares.max() <= 1 + 1e-9
    assert (np.diff(shares) <= 1e-9).all()


def test_q_frame_reads_44_rows_for_the_price_of_8() -> None:
    view = make_view([[np.cos(n / 100), np.sin(n / 100)] for n in range(100)])
    plan = selector("q-frame", tokens_per_carrier=64).select(make_query([1, 0]), view, Budget(8 * 64))
    assert [pick.tokens for pick in plan.picks] == [64] * 4 + [16] * 8 + [4] * 32


def test_quotas_fall_with_the_score_and_spend_the_budget() -> None:
    view = make_view([[1 - n / 100, (1 - (1 - n / 100) ** 2) ** 0.5] for n in range(100)])
    plan = selector("quota", tokens_per_carrier=64).select(make_query([1, 0]), view, Budget(8 * 64))
    tokens = [pick.tokens for pick in plan.picks if pick.why == "match"]
    assert tokens == sorted(tokens, reverse=True)
    assert min(tokens) >= 4
    assert 8 * 64 - 64 < plan.tokens <= 8 * 64

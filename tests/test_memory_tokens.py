"""Operators on tokens: what is conserved, what is guaranteed, and small cases worked out by hand or by trying everything (V5 to V7, V9)."""

from collections.abc import Callable
from itertools import combinations, pairwise
from math import e

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footage.arrays import AnyArray
from footage.coverage import covering, mmtok
from memory.segmentation import OnlineCutter, optimal_segments, saved, scenes, static, transitions
from memory.tokens.change import dtd, evs, otsu
from memory.tokens.coverage import farthest_first, least_alike
from memory.tokens.density import dpc_knn
from memory.tokens.matching import halving, pitome
from memory.tokens.reduced import Reduced, kept, unit
from memory.tokens.unique import shared_out, vidcom2

MEANS: dict[str, Callable[[AnyArray, int], Reduced]] = {
    "pitome": pitome, "halving": halving, "dpc-knn, plain means": lambda t, k: dpc_knn(t, k, centre=None),
}  # fmt: skip


@st.composite
def pictures(draw: st.DrawFn) -> AnyArray:
    """(N, D), some tokens equal."""
    rng, kinds = np.random.default_rng(draw(st.integers(0, 9999))), draw(st.integers(1, 20))
    return rng.normal(size=(kinds, 6))[rng.integers(0, kinds, draw(st.integers(1, 20)))]


@pytest.mark.parametrize("name", MEANS)
@settings(deadline=None, max_examples=60)
@given(pictures(), st.integers(1, 20))
def test_means_conserve_mass_and_size_and_keep_the_order(name: str, tokens: AnyArray, keep: int) -> None:
    made = MEANS[name](tokens, keep)
    assert len(made.tokens) == min(keep, len(tokens))
    assert made.sizes.sum() == pytest.approx(len(tokens))
    np.testing.assert_allclose((made.tokens * made.sizes[:, None]).sum(0), tokens.sum(0), atol=1e-4)
    assert np.all(np.diff(made.places) > 0)
    for row in range(len(made.tokens)):
        np.testing.assert_allclose(made.tokens[row], tokens[made.owners == row].mean(0), atol=1e-5)
    again = MEANS[name](tokens, keep)
    assert np.array_equal(again.tokens, made.tokens)


@pytest.mark.parametrize("reduce", [*MEANS.values(), dpc_knn], ids=[*MEANS, "dpc-knn"])
def test_all_is_kept_when_there_is_room_and_nothing_is_refused(reduce: Callable[[AnyArray, int], Reduced]) -> None:
    tokens = np.random.default_rng(0).normal(size=(9, 4))
    np.testing.assert_allclose(reduce(tokens, 9).tokens, tokens, atol=1e-6)
    np.testing.assert_allclose(reduce(tokens, 99).tokens, tokens, atol=1e-6)
    with pytest.raises(ValueError, match="at least one token"):
        reduce(tokens, 0)


@pytest.mark.parametrize("reduce", [pitome, halving])
def test_rounds_at_once_are_rounds_one_after_the_other_and_sizes_weigh(reduce: Callable[..., Reduced]) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        tokens, sizes = rng.normal(size=(16, 3)), rng.integers(1, 30, 16)
        first = reduce(tokens, 12 if reduce is pitome else 8, sizes=sizes)  # exactly one round
        second, both = reduce(first.tokens, 5, sizes=first.sizes), reduce(tokens, 5, sizes=sizes)
        np.testing.assert_allclose(both.tokens, second.tokens, atol=1e-5)
        np.testing.assert_array_equal(both.sizes, second.sizes)
        assert both.sizes.sum() == sizes.sum()


def test_pitome_merges_the_crowd_and_spares_what_is_alone() -> None:
    rng = np.random.default_rng(1)
    wall = np.array([1.0, 0, 0, 0]) + 0.01 * rng.normal(size=(30, 4))
    tokens = np.concatenate([wall, [[0, 1.0, 0, 0], [0, 0, 1.0, 0]]])
    made = pitome(tokens, 6)
    for alone in tokens[30:]:
        assert np.abs(made.tokens - alone).sum(1).min() < 1e-6


def test_dpc_knn_finds_the_middles_of_clusters() -> None:
    rng = np.random.default_rng(2)
    middles = np.array([[0.0, 0], [9, 0], [0, 9]])
    tokens = np.concatenate([m + 0.3 * rng.normal(size=(20, 2)) for m in middles])
    made = dpc_knn(tokens, 3)
    assert sorted(made.sizes.tolist()) == [20, 20, 20]
    assert np.abs(made.tokens[:, None] - middles[None]).sum(-1).min(1).max() < 0.7
    assert len(np.unique(dpc_knn(np.ones((8, 3)), 3).owners)) == 3  # equal tokens are no trouble


def test_farthest_first_is_within_half_of_the_best() -> None:
    for seed in range(60):
        tokens = np.random.default_rng(seed).normal(size=(9, 3))
        chosen = farthest_first(tokens, 4)
        assert len(set(chosen.tolist())) == 4
        cosines = unit(tokens) @ unit(tokens).T

        def least(rows: tuple[int, ...], cosines: AnyArray = cosines) -> float:
            return min(1 - float(cosines[a, b]) for a, b in combinations(rows, 2))

        best = max(least(rows) for rows in combinations(range(9), 4))
        assert least(tuple(chosen.tolist())) >= best / 4 - 1e-6
        assert (2 * least(tuple(chosen.tolist()))) ** 0.5 >= (2 * best) ** 0.5 / 2 - 1e-6


def test_coverage_is_within_1_minus_1_over_e_of_the_best() -> None:
    for seed in range(40):
        likeness = np.random.default_rng(seed).random((6, 8))

        def covers(columns: tuple[int, ...], likeness: AnyArray = likeness) -> float:
            return float(likeness[:, list(columns)].max(1).sum())

        best = max(covers(columns) for columns in combinations(range(8), 3))
        assert covers(tuple(covering(likeness, 3).tolist())) >= (1 - 1 / e) * best


def test_mmtok_takes_what_the_question_asks_for() -> None:
    rng = np.random.default_rng(3)
    tokens = np.concatenate([np.eye(8)[0] + 0.1 * rng.normal(size=(40, 8)), [np.eye(8)[5]]])
    assert 40 in mmtok(tokens, 2, np.eye(8)[5:6])
    assert np.all(np.diff(mmtok(tokens, 7)) > 0)
    assert len(set(least_alike(tokens, 5).tolist())) == 5


def moving(frames: int = 12, side: int = 6) -> AnyArray:
    """(T, N, D): one patch walks over a wall that stays."""
    rng = np.random.default_rng(4)
    wall, walker = rng.normal(size=(side * side, 16)), rng.normal(size=16)
    made = np.repeat(wall[None], frames, 0)
    for t in range(frames):
        made[t, t] = walker
    return made


def test_only_what_changed_is_kept_and_drift_is_noticed_in_time() -> None:
    walk = moving()
    keep = dtd(walk, 0.9)
    assert keep[0].all()
    assert keep[1:].sum(1).tolist() == [2] * 11  # where it is now, and the wall where it was
    assert evs(walk, (36 + 22) / walk[..., 0].size)[1:].sum() == 22
    assert dtd(np.repeat(walk[:1], 9, 0), 0.9)[1:].sum() == 0
    assert dtd(np.repeat(walk[:1], 9, 0), 0.9, refresh_s=4.0).sum(1).tolist() == [36, 0, 0, 0, 36, 0, 0, 0, 36]
    turn = np.linspace(0, np.pi / 2, 40)
    drift = np.stack([np.cos(turn), np.sin(turn)], -1)[:, None]  # 2 degrees a frame: never a change from one to the next
    assert 2 <= dtd(drift, 0.9)[1:].sum() <= 4
    assert dtd(walk, None)[1:].sum() == 22  # Otsu finds the threshold by itself
    assert 0.2 < otsu(np.array([0.1] * 50 + [0.9] * 10)) < 0.9
    assert otsu(np.full(5, 0.3)) == pytest.approx(0.3)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.6, 1.0])
def test_vidcom2_spends_exactly_its_share_and_more_on_frames_that_stand_out(share: float) -> None:
    rng = np.random.default_rng(5)
    video = np.repeat(rng.normal(size=(1, 20, 8)), 10, 0) + 0.05 * rng.normal(size=(10, 20, 8))
    video[6] = rng.normal(size=(20, 8))
    counts = vidcom2(video, share).sum(1)
    assert counts.sum() == max(10, round(share * 200))
    assert counts.min() >= 1
    assert counts[6] == counts.max()


@given(st.lists(st.floats(0, 500), min_size=1, max_size=30), st.data())
def test_sharing_out_is_exact(wish: list[float], data: st.DataObject) -> None:
    most = data.draw(st.integers(1, 40))
    total = data.draw(st.integers(len(wish), len(wish) * most))
    counts = shared_out(np.array(wish), total, most)
    assert sum(counts) == total
    assert all(1 <= count <= most for count in counts)


def test_kept_tokens_stand_where_they_stood() -> None:
    made = kept(np.arange(10.0).reshape(5, 2), np.array([3, 1]))
    assert made.places.tolist() == [1, 3]
    assert made.owners.tolist() == [-1, 0, -1, 1, -1]


@pytest.mark.parametrize("seed", range(30))
def test_segments_save_as_much_as_any_cutting_could(seed: int) -> None:
    rng = np.random.default_rng(seed)
    frames, patches = int(rng.integers(1, 10)), int(rng.integers(1, 6))
    stays = rng.random((frames - 1, patches)) < rng.uniform(0.2, 0.95)
    best = 0
    for cuts in range(frames):
        for places in combinations(range(1, frames), cuts):
            edges = [0, *places, frames]
            best = max(best, sum(saved(stays, slice(a, b)) for a, b in pairwise(edges)))
    found = optimal_segments(stays)
    assert sum(saved(stays, segment) for segment in found) == best
    assert [s.start for s in found] == [0, *[s.stop for s in found[:-1]]]
    assert found[-1].stop == frames
    assert all(s.stop - s.start <= 3 for s in optimal_segments(stays, window=3))


def test_fastvids_rule_cuts_below_a_likeness_and_some_above_it() -> None:
    turn = np.arccos([0.96, 0.94, 0.93, 0.94, 0.5, 0.99, 0.91])
    angles = np.cumsum([0.0, *turn])
    features = np.stack([np.cos(angles), np.sin(angles)], 1)
    assert [s.start for s in transitions(features, least=1)] == [0, 5]
    assert [s.start for s in transitions(features, least=4)] == [0, 3, 5, 7]
    assert [s.start for s in transitions(features, least=99)] == [0, 2, 3, 4, 5, 7]  # never above 0.95
    assert transitions(features[:1]) == [slice(0, 1)]


@given(st.lists(st.tuples(st.floats(0, 50), st.integers(0, 9)), min_size=1, max_size=20), st.integers(0, 1), st.data())
def test_sharing_out_keeps_to_the_most_of_each(parts: list[tuple[float, int]], fewest: int, data: st.DataObject) -> None:
    wish, most = np.array([w for w, _ in parts]), np.array([m for _, m in parts])
    total = data.draw(st.integers(int(np.minimum(most, fewest).sum()), int(most.sum())))
    counts = np.array(shared_out(wish, total, most, fewest=fewest))
    assert counts.sum() == total
    assert np.all((np.minimum(most, fewest) <= counts) & (counts <= most))


def test_cuts_are_found_at_once_and_every_frame_lies_in_one_scene() -> None:
    rng = np.random.default_rng(6)
    looks = rng.normal(size=(4, 32))
    features = np.concatenate(
        [np.repeat(look[None], n, 0) + 0.05 * rng.normal(size=(n, 32)) for look, n in zip(looks, (10, 30, 7, 90), strict=True)]
    )
    found = list(scenes(features))
    assert [0, *[s.stop for s in found]][: len(found)] == [s.start for s in found]
    assert {10, 40, 47} <= {s.start for s in found}
    assert max(s.stop - s.start for s in found) <= 64
    assert {40, 47} <= {s.start for s in scenes(features, OnlineCutter(threshold=None))}  # Otsu needs 16 frames to begin with
    walk = np.cumsum(rng.normal(size=(60, 8)), 0)  # always in motion: one cut, not fifty
    assert len(list(scenes(walk, OnlineCutter(threshold=0.999, same=1.0)))) <= 3
    assert list(scenes(np.ones((5, 3)))) == [slice(0, 5)]
    assert list(scenes(np.zeros((0, 3)))) == []
    stays = static(moving())
    assert sum(saved(stays, segment) for segment in optimal_segments(stays)) >= 24 * 11  # patches that the walker never comes to

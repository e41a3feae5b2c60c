"""What makes each merger that method: clips whose change, scenes and odd tokens are planted, read back from the carriers."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from contracts_encode import carrier

from footage import Carrier, TimeSpan
from footage.arrays import AnyArray
from memory.mergers import MERGERS, OVER_TIME, SHORTER
from memory.slots import best_runs
from memory.tokens.matching import halving
from memory.tokens.news import fitted

rng = np.random.default_rng(8)
WALL = rng.normal(size=(64, 24))
ODD = np.full(24, 3.0)


def carriers(clip: AnyArray) -> list[Carrier]:
    """(T, N, D) frames of a second each."""
    return [carrier(t, t + 1, tokens, np.eye(2)[0]) for t, tokens in enumerate(clip)]


def still(frames: int, noise: float = 0.0) -> AnyArray:
    return WALL + noise * np.random.default_rng(9).normal(size=(frames, *WALL.shape))


def busy(frames: int) -> AnyArray:
    return np.random.default_rng(10).normal(size=(frames, *WALL.shape))


def merged(name: str, clip: AnyArray, each: int) -> list[Carrier]:
    return MERGERS[name].merge(carriers(clip), max_tokens=each * len(clip))


def holds(made: Carrier, token: AnyArray) -> bool:
    return bool((np.abs(made.tokens - token.astype(np.float16)).max(1) < 1e-2).any())


@pytest.mark.parametrize("name", SHORTER)
def test_a_batch_of_frames_is_every_frame_by_itself(name: str) -> None:
    kinds = rng.integers(0, 9, (40, 64))
    frames = carriers(np.concatenate([busy(40), WALL[kinds]]))
    frames[7:7] = [carrier(99, 100, rng.normal(size=(16, 24)), np.eye(2)[0])]  # of another shape
    made = MERGERS[name].shortened(frames, 5)  # type: ignore[attr-defined]
    for frame, short in zip(frames, made, strict=True):
        alone = SHORTER[name](frame, 5)
        np.testing.assert_array_equal(short.tokens, alone.tokens)
        assert (short.spans, short.is_nested) == (frame.spans, name == "details")
        assert len(short.tokens) == (4 if name == "pool" else 5)


@pytest.mark.parametrize("name", OVER_TIME)
def test_where_all_is_new_the_budget_is_spent_to_the_token(name: str) -> None:
    for each in (1, 2, 3, 7, 15):
        made = merged(name, busy(20), each)
        assert sum(len(c.tokens) for c in made) == 20 * each
        assert len(made) == 20 or (each < 2 and len(made) == 10)  # 40 % for centres leave some frames none
        assert not any(c.is_nested for c in made)


@pytest.mark.parametrize("name", [*OVER_TIME, *SHORTER, "slots"])
@pytest.mark.parametrize("budget", [70, 20, 5, 1])
def test_what_was_merged_can_be_merged_again(name: str, budget: int) -> None:
    again = MERGERS[name].merge(merged(name, np.concatenate([still(5), busy(5)]), 9), max_tokens=budget)
    assert 1 <= sum(len(c.tokens) for c in again) <= budget
    assert sum(c.weight_s for c in again) == 10
    with pytest.raises(ValueError, match="at least 1"):
        MERGERS[name].merge(again, max_tokens=0)


@pytest.mark.parametrize(("name", "noise", "tokens"), [("evs", 0.0, 64), ("dtd", 0.1, 64), ("pvc", 0.1, 16), ("holitom", 0.1, 64)])
def test_a_still_clip_costs_one_frame(name: str, noise: float, tokens: int) -> None:
    [made] = merged(name, still(20, noise), 16)
    assert (len(made.tokens), made.spans, made.anchor_s) == (tokens, (TimeSpan(0, 20),), 0.5)


def walk(frames: int = 12) -> AnyArray:
    """One patch walks over the wall and stands still from frame 8 on."""
    clip = still(frames)
    for t in range(frames):
        clip[t, min(t, 8)] = ODD
    return clip


@pytest.mark.parametrize("name", ["evs", "dtd"])
def test_a_frame_keeps_what_is_new_and_one_with_nothing_new_prolongs_the_one_before(name: str) -> None:
    made = merged(name, walk(), 8)
    assert [len(c.tokens) for c in made] == [64, *[2] * 8]  # where it is now, and the wall where it was
    assert [c.span for c in made] == [*(TimeSpan(t, t + 1) for t in range(8)), TimeSpan(8, 12)]
    assert all(holds(c, ODD) and holds(c, WALL[t]) for t, c in enumerate(made[1:]))


def test_a_carrier_of_several_frames_is_anchored_where_its_tokens_are_from() -> None:
    frames = [carrier(0, 1, WALL, [1.0, 0.0]), carrier(1, 4, WALL, [0.0, 1.0])]
    [made] = MERGERS["evs"].merge(frames, max_tokens=100)
    assert (made.anchor_s, made.weight_s, made.spans) == (0.5, 4, (TimeSpan(0, 4),))
    np.testing.assert_allclose(made.embed, np.array([1, 3]) / 10**0.5, atol=1e-6)  # as long as each was


def test_the_first_frame_gives_way_and_every_change_keeps_a_token() -> None:
    change, news = np.where(np.arange(6)[:, None] == 0, np.inf, rng.random((6, 64))), np.ones((6, 64), bool)
    news[3] = False
    for budget in (6, 7, 20, 60):
        keep = fitted(WALL, change, news, budget)
        assert keep.sum() == budget
        assert keep[0].sum() == max(1, min(budget // 2, budget - 4))
        assert (keep.any(1) == [1, 1, 1, 0, 1, 1]).all()
        assert keep[1:].sum() == 4 or change[1:][keep[1:]].min() >= np.sort(change[[1, 2, 4, 5]].max(1))[0] - 1


def test_only_dtd_notices_a_drift_in_which_no_frame_is_unlike_the_one_before() -> None:
    turn = np.linspace(0, np.pi, 90)[:, None, None]
    clip = np.cos(turn) * np.eye(24)[0] + np.sin(turn) * np.eye(24)[1] + np.zeros((90, 64, 24))
    assert len(merged("evs", clip, 16)) == 1
    assert 4 <= len(merged("dtd", clip, 16)) <= 6  # 37 degrees each; the cosine of 37 degrees is 0.8


def test_what_is_still_for_long_is_told_again() -> None:
    made = merged("dtd", still(80), 16)
    assert [c.span.start_s for c in made] == [0, 30, 60]


def test_pvc_averages_the_new_patches_of_a_square_and_no_others() -> None:
    clip = still(2)
    clip[1, [0, 1]], clip[1, 63] = [ODD, -ODD / 2], ODD
    first, second = merged("pvc", clip, 30)
    assert len(first.tokens) == 16
    np.testing.assert_allclose(second.tokens, [ODD / 4, ODD], atol=2e-3)


@pytest.mark.parametrize(("name", "each"), [("vidcom2", 2), ("fastvid", 4), ("holitom", 4), ("visionzip", 4), ("dymu", 4)])
def test_a_planted_odd_token_survives(name: str, each: int) -> None:
    clip = np.tile(WALL[:1], (12, 64, 1)) + 0.3 * rng.normal(size=(12, 64, 24))
    clip[5, 17] = ODD
    [there] = [c for c in merged(name, clip, each) if 5.5 in c.spans[0]]
    assert holds(there, ODD)


def test_vidcom2_gives_most_to_the_frame_that_is_unlike_the_others() -> None:
    clip = still(10, 0.1)
    clip[6] = busy(1)[0]
    counts = [len(c.tokens) for c in merged("vidcom2", clip, 8)]
    assert sum(counts) == 80
    assert counts[6] == max(counts) > 1.5 * np.median(counts)


def test_holitom_tells_what_stays_once_as_its_mean_and_what_moves_in_its_frame() -> None:
    clip = still(12, 0.2)
    clip[:, 40:52] = busy(12)[:, :12]
    first, *others = merged("holitom", clip, 17)  # room for 52 places that stay and 12 that do not in each frame
    assert (len(first.tokens), {len(c.tokens) for c in others}) == (64, {12})
    quiet = np.arange(64)[:40]
    found = [np.abs(first.tokens - WALL[p]).max(1).min() for p in quiet]
    assert np.median(found) < np.median(np.abs(clip[0] - WALL)[quiet].max(1)) / 2  # an average over twelve frames
    assert all(holds(c, clip[t, p]) for t, c in enumerate(others, 1) for p in range(40, 52))
    assert [c.span for c in others] == [TimeSpan(t, t + 1) for t in range(1, 12)]


def test_fastvid_gathers_a_scene_at_every_fourth_frame() -> None:
    clip = np.concatenate([still(10, 0.05), busy(1) + still(7, 0.05)])
    counts = [len(c.tokens) for c in merged("fastvid", clip, 10)]
    assert sum(counts) == 170
    anchors = [0, 4, 8, 10, 14]
    assert min(counts[t] for t in anchors) > max(count for t, count in enumerate(counts) if t not in anchors)


def test_a_centre_of_fastvid_is_mixed_with_its_members() -> None:
    tokens = busy(1)[0]
    [made] = merged("fastvid", tokens[None], 2)  # one centre with all others, one whole
    others = (tokens.sum(0) - tokens) / 63
    mixed = 0.6 * tokens + 0.4 * others
    assert sorted([any(holds(made, t) for t in tokens), any(holds(made, t) for t in mixed)]) == [True, True]


def test_visionzip_averages_what_does_not_stand_out() -> None:
    tokens = np.tile([5.0, *[0.0] * 23], (64, 1)) + 0.3 * rng.normal(size=(64, 24))
    tokens[[3, 30]] = [ODD, -ODD]
    short = SHORTER["visionzip"](carriers(tokens[None])[0], 3)  # two whole, one that gathers
    np.testing.assert_allclose(short.tokens[[1, 2]] if holds(short, ODD) else [], [ODD, -ODD], atol=1e-2)
    np.testing.assert_allclose(short.tokens[0], np.delete(tokens, [3, 30], 0).mean(0), atol=1e-2)


def test_dymu_gives_plain_frames_few_tokens_and_busy_ones_many() -> None:
    clip = busy(12)
    clip[::3] = WALL[:1]  # one colour
    clip[1::3] = WALL[np.arange(64) // 16]  # four
    counts = np.array([len(c.tokens) for c in merged("dymu", clip, 16)])
    assert abs(counts.mean() / 16 - 1) <= 0.02
    assert set(counts[::3]) == {1}
    assert set(counts[1::3]) == {4}
    assert counts[2::3].min() > 30


def test_frames_merged_to_counts_of_their_own_are_those_merged_alone() -> None:
    clip, counts = busy(5), np.array([1, 9, 64, 33, 32])
    made = halving(clip, counts)
    for t, count in enumerate(counts.tolist()):
        alone = halving(clip[t], count)
        np.testing.assert_allclose(made.tokens[t, :count], alone.tokens, atol=1e-5)
        np.testing.assert_array_equal(made.places[t, :count], alone.places)
        np.testing.assert_array_equal(made.owners[t], alone.owners)
        assert not made.tokens[t, count:].any()
        assert set(made.places[t, count:].tolist()) <= {64}


def test_ts_llava_looks_coarsely_at_six_frames_and_takes_details_evenly() -> None:
    clip = busy(18)
    made = merged("ts-llava", clip, 8)  # 24 of 144 tokens: six means of 16 squares
    short = [c for c in made if holds(c, clip[int(c.span.start_s)].reshape(2, 4, 2, 4, 24)[0, :, 0].mean((0, 1)))]
    assert [int(c.span.start_s) for c in short] == [0, 3, 7, 10, 14, 17]
    flat = clip.reshape(-1, 24)[np.linspace(0, 18 * 64 - 1, 120).round().astype(int)]
    details = np.concatenate([c.tokens[4:] if c in short else c.tokens for c in made])
    np.testing.assert_allclose(details, flat, atol=1e-2)


def test_slots_are_the_best_stretches_of_time_that_there_are() -> None:
    for seed in range(20):
        draw = np.random.default_rng(seed)
        features, weights = draw.normal(size=(8, 3)), draw.uniform(0.1, 5, 8)

        def loss(edges: tuple[int, ...], x: AnyArray = features, w: AnyArray = weights) -> float:
            runs = [slice(a, b) for a, b in pairwise([0, *edges, 8])]
            means = [np.average(x[run], 0, w[run]) for run in runs]
            return sum(float((w[run] * ((x[run] - mean) ** 2).sum(1)).sum()) for run, mean in zip(runs, means, strict=True))

        found = best_runs(features, weights, 3)
        assert [found[0].start, found[-1].stop] == [0, 8]
        best = min(loss(edges) for edges in combinations(range(1, 8), 2))
        assert loss((found[1].start, found[2].start)) == pytest.approx(best)
    assert best_runs(np.ones((5, 2)), np.ones(5), 3) == [slice(0, 1), slice(1, 2), slice(2, 5)]


def test_slots_hold_one_scene_each() -> None:
    looks = np.eye(20)
    frames = [carrier(t, t + 1, looks[[n, n]], looks[n]) for t, n in enumerate(n for n in range(16) for _ in range(1 + n % 3))]
    made = MERGERS["slots"].merge(frames, max_tokens=16)
    assert len(made) == 16
    assert [c.tokens.argmax() for c in made] == list(range(16))
    assert [c.weight_s for c in made] == [1 + n % 3 for n in range(16)]

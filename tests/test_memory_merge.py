import numpy as np
import pytest
from contracts_encode import carrier, check_merger, clip_of, mass, noise
from hypothesis import given, settings
from hypothesis import strategies as st

from footage import TimeSpan
from footage.carriers import carriers_of
from memory.encoders.color import ColorEncoder
from memory.merge import KeepAll, MeanMerger, ToMeMerger, alike_runs, fuse, join, prolong
from memory.tome import tome

EAST, NORTH = [1.0, 0.0], [0.0, 1.0]


@pytest.mark.parametrize("merger", [ToMeMerger(4)], ids=lambda merger: merger.id)
def test_it_keeps_the_contract_of_a_merger(merger):
    check_merger(merger)


def test_keeping_all_merges_nothing_whatever_the_budget():
    check_merger(KeepAll(), keeps_budget=False)
    carriers = [carrier(i, i + 1, np.ones((9, 2)), EAST) for i in range(3)]
    assert KeepAll().merge(carriers, max_tokens=1) == carriers


def test_every_frame_becomes_a_carrier_of_its_own_time():
    clip = clip_of(noise(3, 16, 16), start_s=5.0)
    carriers = carriers_of(ColorEncoder().encode(clip.take(np.array([True, False, True]))))
    assert [c.spans for c in carriers] == [(TimeSpan(5.0, 7.0),), (TimeSpan(7.0, 8.0),)]
    assert [c.anchor_s for c in carriers] == [5.5, 7.5]
    assert [c.weight_s for c in carriers] == [2.0, 1.0]
    assert carriers[0].tokens.shape == (16, 11)


def test_fusing_weighs_tokens_and_embeds_by_seconds():
    both = fuse(carrier(0, 3, [[4.0]], EAST), carrier(3, 4, [[8.0]], NORTH))
    assert both.tokens.tolist() == [[5.0]]
    np.testing.assert_allclose(both.embed, np.array([3.0, 1.0]) / 10**0.5, atol=1e-6)
    assert both.spans == (TimeSpan(0.0, 4.0),)
    assert both.weight_s == 4.0
    assert both.anchor_s == 1.5


def test_the_anchor_of_equals_is_the_earlier_one_in_either_order():
    a, b = carrier(0, 1, [[0.0]], EAST), carrier(5, 6, [[0.0]], EAST)
    assert fuse(a, b).anchor_s == fuse(b, a).anchor_s == 0.5
    assert fuse(b, a).spans == (TimeSpan(0.0, 1.0), TimeSpan(5.0, 6.0))


def test_the_order_of_fusing_does_not_matter():
    a, b, c = carrier(0, 2, [[1.0]], EAST), carrier(2, 3, [[3.0]], NORTH), carrier(3, 8, [[2.0]], EAST)
    left, right, flat = fuse(fuse(a, b), c), fuse(a, fuse(b, c)), join([a, b, c])
    np.testing.assert_allclose(left.tokens, flat.tokens, atol=2e-3)
    np.testing.assert_allclose(right.tokens, flat.tokens, atol=2e-3)
    assert left.spans == right.spans == flat.spans


def test_opposite_embeds_leave_an_all_zero_one():
    assert fuse(carrier(0, 1, [[0.0]], EAST), carrier(1, 2, [[0.0]], [-1.0, 0.0])).embed.tolist() == [0.0, 0.0]


def test_only_carriers_of_one_recording_one_shape_and_different_times_are_joined():
    a = carrier(0, 1, [[0.0]], EAST)
    with pytest.raises(ValueError, match="one recording"):
        join([a, carrier(1, 2, [[0.0]], EAST, "other")])
    with pytest.raises(ValueError, match="one token shape"):
        join([a, carrier(1, 2, [[0.0], [1.0]], EAST)])
    with pytest.raises(ValueError, match="not the length of the spans"):
        join([a, a])
    with pytest.raises(ValueError, match="nothing"):
        join([])


def test_prolonging_adds_time_and_nothing_else():
    longer = prolong(carrier(0, 1, [[7.0]], EAST), TimeSpan(1.0, 4.0))
    assert (longer.spans, longer.weight_s, longer.anchor_s) == ((TimeSpan(0.0, 4.0),), 4.0, 0.5)
    assert longer.tokens.tolist() == [[7.0]]


def test_the_most_alike_neighbours_are_fused_first_and_a_rare_moment_last():
    embeds = np.array([EAST, EAST, NORTH, EAST, EAST])
    assert alike_runs(embeds, np.array([9.0, 9, 1, 9, 9]), 3) == [slice(0, 2), slice(2, 3), slice(3, 5)]


def test_equals_are_fused_into_runs_of_like_weight():
    same = np.tile(EAST, (8, 1))
    assert alike_runs(same, np.ones(8), 4) == [slice(0, 2), slice(2, 4), slice(4, 6), slice(6, 8)]
    assert alike_runs(same, np.ones(8), 1) == [slice(0, 8)]
    assert alike_runs(same, np.ones(8), 8) == [slice(i, i + 1) for i in range(8)]


def test_fusing_in_time_conserves_the_mass_of_every_token_position():
    rng = np.random.default_rng(2)
    carriers = [carrier(i, i + 1, rng.standard_normal((4, 3)), rng.standard_normal(5)) for i in range(40)]
    merged = MeanMerger().merge(carriers, max_tokens=40)
    assert len(merged) == 10
    np.testing.assert_allclose(mass(merged), mass(carriers), atol=2e-2)


def test_tome_shares_the_budget_between_carriers_before_it_fuses_any():
    rng = np.random.default_rng(3)
    carriers = [carrier(i, i + 1, rng.standard_normal((16, 3)), EAST) for i in range(10)]
    assert [len(c.tokens) for c in ToMeMerger().merge(carriers, max_tokens=45)] == [4] * 10
    assert [len(c.tokens) for c in ToMeMerger().merge(carriers, max_tokens=5)] == [1] * 5
    assert [len(c.tokens) for c in ToMeMerger(8).merge(carriers, max_tokens=45)] == [8] * 5
    assert (ToMeMerger().id, ToMeMerger(8).id) == ("tome@1", "tome-8@1")


def test_tome_merges_equal_tokens_and_keeps_the_others_in_order():
    tokens, sizes = tome(np.array([[[1.0, 0], [0, 1], [0, 1], [-1, 0]]]), 3)
    assert tokens.tolist() == [[[1, 0], [0, 1], [-1, 0]]]
    assert sizes.tolist() == [[1, 2, 1]]


def test_tome_weighs_by_size():
    tokens, sizes = tome(np.array([[[1.0], [4.0]]]), 1, np.array([[2.0, 1.0]]))
    assert tokens.tolist() == [[[2.0]]]
    assert sizes.tolist() == [[3.0]]


def test_tome_gives_ties_to_the_earlier_tokens():
    tokens, sizes = tome(np.ones((1, 6, 2)), 4)
    assert sizes.tolist() == [[3, 1, 1, 1]]
    assert np.all(tokens == 1)


def test_tome_leaves_few_tokens_alone_and_needs_one():
    tokens, sizes = tome(np.ones((2, 3, 2)), 5)
    assert tokens.shape == (2, 3, 2)
    assert np.all(sizes == 1)
    assert tome(np.ones((0, 8, 2)), 5)[0].shape == (0, 8, 2)
    with pytest.raises(ValueError, match="at least one"):
        tome(np.ones((1, 3, 2)), 0)


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_tome_conserves_the_sum_of_size_times_token(N, keep, seed):
    rng = np.random.default_rng(seed)
    x, before = rng.standard_normal((9, N, 3)), rng.integers(1, 5, (9, N)).astype(np.float32)
    tokens, sizes = tome(x, keep, before)
    assert tokens.shape == (9, min(N, keep), 3)
    np.testing.assert_allclose(sizes.sum(axis=1), before.sum(axis=1), rtol=1e-5)
    np.testing.assert_allclose((tokens * sizes[..., None]).sum(axis=1), (x * before[..., None]).sum(axis=1), atol=1e-3)


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_no_merge_loses_time_or_breaks_its_budget(N, max_tokens, seed):
    rng = np.random.default_rng(seed)
    ends = np.cumsum(rng.integers(1, 9, N)).astype(float)
    starts = np.append(0.0, ends[:-1])
    carriers = [carrier(s, e, rng.standard_normal((5, 2)), rng.standard_normal(3)) for s, e in zip(starts, ends, strict=True)]
    for merger in (MeanMerger(), ToMeMerger(), ToMeMerger(2)):
        merged = merger.merge(carriers, max_tokens=max_tokens)
        assert 1 <= sum(len(c.tokens) for c in merged) <= max_tokens
        assert sum(c.weight_s for c in merged) == ends[-1]
        assert [c.spans for c in merged] == [(TimeSpan(c.span.start_s, c.span.end_s),) for c in merged]

"""Pooling a grid: nested levels, no time lost, and a plain fallback where there is no grid."""

import numpy as np
import pytest
from contracts_encode import carrier

from footage.carriers import pooled
from memory.pool import PoolMerger


def frames(count: int, tokens: int) -> list:
    rng = np.random.default_rng(0)
    return [carrier(n, n + 1, rng.normal(size=(tokens, 3)), rng.normal(size=4)) for n in range(count)]


@pytest.mark.parametrize(("each", "tokens"), [(64, 64), (63, 16), (16, 16), (5, 4), (4, 4), (1, 1)])
def test_every_frame_comes_down_to_the_finest_level_that_fits(each: int, tokens: int) -> None:
    merged = PoolMerger().merge(frames(6, 64), max_tokens=6 * each)
    assert [len(c.tokens) for c in merged] == [tokens] * 6
    assert [c.span for c in merged] == [c.span for c in frames(6, 64)]


def test_a_coarse_token_is_the_mean_of_its_square_and_levels_nest() -> None:
    [frame] = frames(1, 64)
    grid = frame.tokens.astype(np.float32).reshape(8, 8, 3)
    np.testing.assert_allclose(pooled(frame, 16).tokens.reshape(4, 4, 3)[1, 2], grid[2:4, 4:6].mean((0, 1)), atol=2e-3)
    np.testing.assert_allclose(pooled(pooled(frame, 16), 1).tokens, pooled(frame, 1).tokens, atol=2e-3)


def test_what_is_no_grid_is_fused_in_time_within_the_budget() -> None:
    merged = PoolMerger().merge(frames(6, 7), max_tokens=21)
    assert sum(len(c.tokens) for c in merged) <= 21
    assert sum(c.weight_s for c in merged) == 6
    assert PoolMerger().merge([], max_tokens=5) == []

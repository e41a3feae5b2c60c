"""Mergers by name: all keep one contract; pooling a grid nests its levels and falls back to fusing in time."""

import numpy as np
import pytest
from contracts_encode import carrier, check_merger

from footage import ConfigError
from footage.carriers import pooled
from memory.mergers import MERGERS, merger


@pytest.mark.parametrize("name", sorted(set(MERGERS) - {"keep"}))
def test_every_merger_keeps_the_contract(name: str) -> None:
    check_merger(MERGERS[name])


def test_a_wrong_name_lists_the_known_ones() -> None:
    assert merger("pool") is MERGERS["pool"]
    with pytest.raises(
        ConfigError,
        match="known: aim, details, divprune, dpc-knn, dtd, dymu, evs, fastvid, holitom, keep, mean, mmtok, pitome, pool, pvc, slots, "
        "strided, todre, tome, ts-llava, vidcom2, visionzip",
    ) as caught:
        merger("dpcknn")
    assert caught.value.hint == "did you mean dpc-knn?"


def frames(count: int, tokens: int) -> list:
    rng = np.random.default_rng(0)
    return [carrier(n, n + 1, rng.normal(size=(tokens, 3)), rng.normal(size=4)) for n in range(count)]


@pytest.mark.parametrize(("each", "tokens"), [(64, 64), (63, 16), (16, 16), (5, 4), (4, 4), (1, 1)])
def test_every_frame_comes_down_to_the_finest_level_that_fits(each: int, tokens: int) -> None:
    merged = MERGERS["pool"].merge(frames(6, 64), max_tokens=6 * each)
    assert [len(c.tokens) for c in merged] == [tokens] * 6
    assert [c.span for c in merged] == [c.span for c in frames(6, 64)]


def test_a_coarse_token_is_the_mean_of_its_square_and_levels_nest() -> None:
    [frame] = frames(1, 64)
    grid = frame.tokens.astype(np.float32).reshape(8, 8, 3)
    np.testing.assert_allclose(pooled(frame, 16).tokens.reshape(4, 4, 3)[1, 2], grid[2:4, 4:6].mean((0, 1)), atol=2e-3)
    np.testing.assert_allclose(pooled(pooled(frame, 16), 1).tokens, pooled(frame, 1).tokens, atol=2e-3)


def test_what_is_no_grid_is_fused_in_time_within_the_budget() -> None:
    merged = MERGERS["pool"].merge(frames(6, 7), max_tokens=21)
    assert sum(len(c.tokens) for c in merged) <= 21
    assert sum(c.weight_s for c in merged) == 6
    assert MERGERS["pool"].merge([], max_tokens=5) == []

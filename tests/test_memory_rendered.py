"""Cutting and de-duplication on rendered frames whose cuts and changes are known (V9): hard cuts, fades, drift, a pan, nothing at all."""

import numpy as np
import pytest

from footage.arrays import AnyArray
from memory.segmentation import OnlineCutter, optimal_segments, scenes, static
from memory.tokens.change import dtd, evs

SIDE, P = 64, 8


def texture(seed: int) -> AnyArray:
    """(SIDE, 2 SIDE, 3) blotches of colour."""
    coarse = np.random.default_rng(seed).uniform(0, 255, (8, 16, 3))
    return np.repeat(np.repeat(coarse, 8, 0), 8, 1)


def tokens_of(frames: AnyArray) -> AnyArray:
    """(T, 64, 192): raw patches about middle grey, with a little sensor noise."""
    noisy = frames - 128 + np.random.default_rng(9).normal(0, 2, frames.shape)
    return noisy.reshape(-1, P, 8, P, 8, 3).swapaxes(2, 3).reshape(len(frames), P * P, -1)


def features_of(frames: AnyArray) -> AnyArray:
    """(T, 64): a random projection of the whole frame."""
    tokens = tokens_of(frames).reshape(len(frames), -1)
    return tokens @ np.random.default_rng(10).normal(size=(tokens.shape[1], 64))


def still(seed: int, count: int) -> AnyArray:
    return np.repeat(texture(seed)[None, :, :SIDE], count, 0)


def cuts(frames: AnyArray) -> list[int]:
    return [scene.start for scene in scenes(features_of(frames), OnlineCutter(threshold=0.7, most=1000))][1:]


def test_hard_cuts_are_found_every_one_and_no_other() -> None:
    lengths = [12, 5, 30, 8, 17]
    frames = np.concatenate([still(n, length) for n, length in enumerate(lengths)])
    assert cuts(frames) == np.cumsum(lengths)[:-1].tolist()


def test_a_fade_is_one_cut_inside_it() -> None:
    one, other, shares = still(1, 1), still(2, 1), np.linspace(0, 1, 8)[1:-1, None, None, None]
    frames = np.concatenate([still(1, 15), one * (1 - shares) + other * shares, still(2, 15)])
    found = cuts(frames)
    assert len(found) == 1
    assert 15 <= found[0] <= 21


@pytest.mark.parametrize("kind", ["static", "drift", "pan"])
def test_what_goes_on_slowly_is_one_scene(kind: str) -> None:
    if kind == "static":
        frames = still(3, 60)
    elif kind == "drift":  # it grows darker all the time
        frames = still(3, 60) * np.linspace(1, 0.6, 60)[:, None, None, None]
    else:
        frames = np.stack([texture(3)[:, n // 2 : n // 2 + SIDE] for n in range(60)])
    assert cuts(frames) == []


def moving(count: int = 20) -> tuple[AnyArray, AnyArray]:
    """A white square of one patch that moves one patch a frame, and which patches change, (T, 64) bool."""
    frames, changed = still(4, count) * 0.5, np.zeros((count, P, P), bool)
    for n in range(count):
        row, column = divmod(n, P)
        frames[n, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = 255
        changed[n, row, column] = True
        if n:
            changed[n, (n - 1) // P, (n - 1) % P] = True
    changed[0] = True
    return frames, changed.reshape(count, -1)


def test_evs_keeps_what_changed_at_the_share_that_changed() -> None:
    frames, changed = moving()
    keep = evs(tokens_of(frames), changed.mean())
    assert keep.sum() == changed.sum()
    assert (keep & changed).sum() / changed.sum() >= 0.97


def test_dtd_keeps_what_changed_by_threshold_and_a_still_film_is_one_frame() -> None:
    frames, changed = moving()
    keep = dtd(tokens_of(frames), 0.8)
    assert (keep & changed).sum() / changed.sum() >= 0.97
    assert keep.sum() <= 1.05 * changed.sum()
    assert dtd(tokens_of(still(5, 50)), 0.8).sum() == P * P


def test_drift_is_refreshed_in_time() -> None:
    """It turns into another picture so slowly that no frame is unlike the one before it."""
    share = np.linspace(0, 1, 100)[:, None, None, None]
    tokens = tokens_of(still(6, 100) * (1 - share) + still(7, 100) * share)
    by_step = (tokens[1:] * tokens[:-1]).sum(-1) / np.linalg.norm(tokens[1:], axis=-1) / np.linalg.norm(tokens[:-1], axis=-1)
    assert np.median(by_step) > 0.97
    keep = dtd(tokens, 0.8)
    last = np.maximum.accumulate(np.where(keep, np.arange(100)[:, None], 0), 0)
    stale = np.take_along_axis(tokens, last[..., None], 0)
    alike = (stale * tokens).sum(-1) / np.linalg.norm(stale, axis=-1) / np.linalg.norm(tokens, axis=-1)
    assert alike.min() >= 0.8  # what is kept always still looks like what is there
    forced = dtd(tokens_of(still(6, 100)), 0.8, refresh_s=30.0)
    assert forced.sum(1).tolist() == [64 if n % 30 == 0 else 0 for n in range(100)]


def test_optimal_segments_meet_the_cuts_of_still_scenes() -> None:
    frames = np.concatenate([still(n, length) for n, length in enumerate([9, 14, 6])])
    assert optimal_segments(static(tokens_of(frames))) == [slice(0, 9), slice(9, 23), slice(23, 29)]

"""Temporal de-duplication: which patches of which frames are new.

"Efficient Video Sampling" (EVS, 2025). "TimeChat-Online: 80% Visual Tokens are Naturally Redundant in Streaming Videos" (DTD, 2025).
"A threshold selection method from gray-level histograms" (Otsu, 1979). Letters: T frames, N tokens of each, D width.
"""

import numpy as np

from footage.arrays import AnyArray, Bools
from footage.nested import FRAMES_AT_ONCE
from memory.tokens.reduced import unit


def likeness(tokens_TND: AnyArray) -> AnyArray:
    """(T - 1, N) cosine with the token of the same place in the frame before."""
    T, N = tokens_TND.shape[:2]
    made = np.empty((max(T - 1, 0), N), np.float32)
    for at in range(0, len(made), FRAMES_AT_ONCE):
        vectors = unit(tokens_TND[at : at + FRAMES_AT_ONCE + 1])
        made[at : at + FRAMES_AT_ONCE] = (vectors[1:] * vectors[:-1]).sum(-1)
    return made


def evs(tokens_TND: AnyArray, share: float) -> Bools:
    """(T, N) bool: the `share` of all tokens that changed most since the frame before, at least the first frame whole."""
    if not 0 < share <= 1:
        raise ValueError(f"share must lie in (0, 1], got {share}")
    T, N, _ = tokens_TND.shape
    change = np.full((T, N), np.inf)
    change[1:] = 1 - likeness(tokens_TND)
    keep = np.zeros(T * N, bool)
    keep[np.argsort(-np.round(change.ravel(), 6), kind="stable")[: max(N, round(share * T * N))]] = True
    return keep.reshape(T, N)


def dtd(tokens_TND: AnyArray, threshold: float | None, *, times_s: AnyArray | None = None, refresh_s: float = np.inf) -> Bools:
    """(T, N) bool: patches whose cosine with the last *kept* patch of their place fell below the threshold; the first frame whole.

    Ours: held against what was kept last and not against the frame before, so that slow drift is noticed, and refreshed after refresh_s.
    threshold: None takes Otsu's of the changes from frame to frame.
    """
    if threshold is None:
        threshold = otsu(likeness(tokens_TND).ravel()) if len(tokens_TND) > 1 else 1.0
    return innovation(tokens_TND, threshold, times_s=times_s, refresh_s=refresh_s)[0]


def innovation(
    tokens_TND: AnyArray, threshold: float, *, times_s: AnyArray | None = None, refresh_s: float = np.inf
) -> tuple[Bools, AnyArray]:
    """What dtd keeps, and (T, N) how unlike the patch kept last each is (1 - cosine; infinite in the first frame)."""
    T, N = tokens_TND.shape[:2]
    times_s = np.arange(T, dtype=float) if times_s is None else times_s
    keep, change = np.ones((T, N), bool), np.full((T, N), np.inf)
    if T == 0:
        return keep, change
    last, since_s = unit(tokens_TND[0]), np.full(N, times_s[0])
    for t in range(1, T):
        now = unit(tokens_TND[t])
        cosine = (now * last).sum(-1)
        keep[t], change[t] = (cosine < threshold) | (times_s[t] - since_s >= refresh_s), 1 - cosine
        last[keep[t]], since_s[keep[t]] = now[keep[t]], times_s[t]
    return keep, change


def otsu(values: AnyArray, bins: int = 64) -> float:
    """The edge of a histogram that splits values into two groups with the least variance inside them; all alike: their value."""
    low, high = float(values.min()), float(values.max())
    if high - low < 1e-9:
        return low
    counts, edges = np.histogram(values, bins, (low, high))
    middles = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)[:-1].astype(float)
    sums = np.cumsum(counts * middles)
    above = counts.sum() - below
    means = sums[:-1] / np.maximum(below, 1), (sums[-1] - sums[:-1]) / np.maximum(above, 1)
    between = below * above * (means[0] - means[1]) ** 2
    best = np.flatnonzero(between >= between.max() * (1 - 1e-12))
    return float(edges[1 + int(best[len(best) // 2])])

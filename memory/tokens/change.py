"""Temporal de-duplication: which patches of which frames are new.

"Efficient Video Sampling" (EVS, 2025). "TimeChat-Online: 80% Visual Tokens are Naturally Redundant in Streaming Videos" (DTD, 2025).
"A threshold selection method from gray-level histograms" (Otsu, 1979). Letters: T frames, N tokens of each, D width.
"""

import numpy as np

from footage.arrays import AnyArray, Bools
from memory.tokens.reduced import unit


def evs(tokens_TND: AnyArray, share: float) -> Bools:
    """(T, N) bool: the `share` of all tokens that changed most since the frame before, at least the first frame whole."""
    if not 0 < share <= 1:
        raise ValueError(f"share must lie in (0, 1], got {share}")
    T, N, _ = tokens_TND.shape
    vectors = unit(tokens_TND)
    change = np.full((T, N), np.inf)
    change[1:] = 1 - (vectors[1:] * vectors[:-1]).sum(-1)
    keep = np.zeros(T * N, bool)
    keep[np.argsort(-np.round(change.ravel(), 6), kind="stable")[: max(N, round(share * T * N))]] = True
    return keep.reshape(T, N)


def dtd(tokens_TND: AnyArray, threshold: float | None, *, times_s: AnyArray | None = None, refresh_s: float = np.inf) -> Bools:
    """(T, N) bool: patches whose cosine with the last *kept* patch of their place fell below the threshold; the first frame whole.

    Ours: held against what was kept last and not against the frame before, so that slow drift is noticed, and refreshed after refresh_s.
    threshold: None takes Otsu's of the changes from frame to frame.
    """
    vectors = unit(tokens_TND)
    T, N = vectors.shape[:2]
    times_s = np.arange(T, dtype=float) if times_s is None else times_s
    if threshold is None:
        threshold = otsu((vectors[1:] * vectors[:-1]).sum(-1).ravel()) if T > 1 else 1.0
    keep = np.zeros((T, N), bool)
    if T == 0:
        return keep
    keep[0] = True
    last, since_s = vectors[0].copy(), np.full(N, times_s[0])
    for t in range(1, T):
        keep[t] = ((vectors[t] * last).sum(-1) < threshold) | (times_s[t] - since_s >= refresh_s)
        last[keep[t]], since_s[keep[t]] = vectors[t][keep[t]], times_s[t]
    return keep


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

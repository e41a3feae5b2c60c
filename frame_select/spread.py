"""Rows spread evenly over time."""

import numpy as np

from footage.arrays import AnyArray


def spread(weights_s: AnyArray, count: int, *, among: AnyArray | None = None) -> AnyArray:
    """`count` different rows, or all there are, as evenly over the seconds they stand for as rows allow; ascending.

    The timeline is cut into equal parts and the row at the middle of each is taken. Where long rows are hit twice, the
    parts left over are spread in the same way over the rows not yet taken.

    Args:
        among: (N,) bool, rows that may be taken; all when None.
    """
    left = np.arange(len(weights_s)) if among is None else np.flatnonzero(among)
    taken: list[AnyArray] = []
    while (missing := min(count - sum(map(len, taken)), len(left))) > 0:
        until_s = np.cumsum(np.maximum(weights_s[left], 1e-9))
        middles_s = (np.arange(missing) + 0.5) / missing * until_s[-1]
        hit = np.unique(np.searchsorted(until_s, middles_s, side="right").clip(max=len(left) - 1))
        taken.append(left[hit])
        left = np.delete(left, hit)
    return np.sort(np.concatenate(taken)) if taken else np.zeros(0, np.intp)

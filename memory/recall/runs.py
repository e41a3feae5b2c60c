"""Rows that follow each other and are alike, as groups: a video's own order finds its scenes, at a hundredth of the cost of k-means."""

import numpy as np

from footage.arrays import AnyArray, Embeds
from memory.recall.vectors import BLOCK_ROWS

WINDOW = 4  # rows on each side whose means are compared
LONGEST = 4  # times the usual length
STRAYS = 0.005  # of all rows


def runs(vectors: Embeds, mean_rows: int) -> AnyArray:
    """(N, W) to (N,), the number of each row's run, ascending.

    Cut where the rows before are least like those after, about every mean_rows rows on the mean.
    """
    gap = _gaps(vectors)
    near = np.lib.stride_tricks.sliding_window_view(np.pad(gap, WINDOW - 1, constant_values=-1.0), 2 * WINDOW - 1)
    peaks = np.flatnonzero((gap == near.max(axis=1)) & (gap > 0))
    cuts = np.sort(peaks[np.argsort(-gap[peaks], kind="stable")[: len(vectors) // mean_rows]])
    begins = np.unique(np.concatenate([[0], cuts]))
    lengths = np.diff([*begins, len(vectors)])
    pieces = -(-lengths // (LONGEST * mean_rows))  # a long one is cut evenly
    starts = [np.linspace(b, b + n, p, endpoint=False).astype(np.int64) for b, n, p in zip(begins, lengths, pieces, strict=True)]
    marks = np.zeros(len(vectors), np.int64)
    marks[np.concatenate(starts)[1:]] = 1
    return np.cumsum(marks)


def centroids(vectors: Embeds, numbers: AnyArray) -> Embeds:
    """(N, W) and (N,) ascending run numbers from 0 to (runs, W) means."""
    begins = np.flatnonzero(np.diff(numbers, prepend=-1))
    lengths = np.diff([*begins, len(vectors)])[:, None]
    return np.asarray(np.add.reduceat(vectors, begins, axis=0) / lengths, np.float32)


def strays_apart(vectors: Embeds, means: Embeds, numbers: AnyArray) -> tuple[Embeds, AnyArray]:
    """The same groups, but the STRAYS rows that are least like the mean of theirs leave it, each stretch of them as a group of its own.

    What is seen for three seconds is what people ask for, and the mean of a minute says nothing of it.
    """
    lengths = np.maximum(np.linalg.norm(means, axis=1), 1e-9)
    blocks = (slice(first, first + BLOCK_ROWS) for first in range(0, len(vectors), BLOCK_ROWS))
    alike = np.concatenate([np.einsum("nw,nw->n", vectors[b], means[numbers[b]]) / lengths[numbers[b]] for b in blocks])
    rows = np.flatnonzero(alike < np.quantile(alike, STRAYS))
    group = np.cumsum(np.diff(rows, prepend=-2) > 1) - 1
    counts = np.bincount(numbers, minlength=len(means)).astype(np.float32)
    sums = np.concatenate([means * counts[:, None], np.zeros((int(group[-1]) + 1 if len(rows) else 0, vectors.shape[1]), np.float32)])
    np.subtract.at(sums, numbers[rows], vectors[rows])
    np.add.at(sums, len(means) + group, vectors[rows])
    apart = numbers.copy()
    apart[rows] = len(means) + group
    left = np.bincount(apart, minlength=len(sums))
    filled = np.flatnonzero(left)
    return np.asarray(sums[filled] / left[filled, None], np.float32), np.searchsorted(filled, apart)


def explained(means: Embeds, numbers: AnyArray) -> float:
    """How much closer unit vectors are to their run's mean than to the mean of all, 0 to 1."""
    counts = np.bincount(numbers)
    whole = counts @ means / counts.sum()
    left = 1 - float(whole @ whole)
    return (float(counts @ np.square(means).sum(axis=1)) / counts.sum() - float(whole @ whole)) / left if left > 1e-6 else 1.0


def _gaps(vectors: Embeds) -> AnyArray:
    """(N,) 1 - cosine of the sum of the WINDOW rows before each row and the one of as many from it on; 0 for the first."""
    N = len(vectors)
    gap = np.zeros(N, np.float32)
    for first in range(0, N, BLOCK_ROWS):
        last = min(N, first + BLOCK_ROWS)
        rows = vectors[max(0, first - WINDOW) : last + WINDOW - 1]
        rows = np.pad(rows, ((max(0, WINDOW - first), max(0, last + WINDOW - 1 - N)), (0, 0)))
        sums = sum((rows[i : len(rows) - WINDOW + 1 + i] for i in range(1, WINDOW)), rows[: len(rows) - WINDOW + 1])
        before, after = sums[: last - first], sums[WINDOW:]
        lengths = np.sqrt(np.einsum("nw,nw->n", sums, sums))
        cosines = np.einsum("nw,nw->n", before, after) / np.maximum(lengths[: last - first] * lengths[WINDOW:], 1e-9)
        gap[first:last] = 1 - cosines
    gap[0] = 0
    return gap

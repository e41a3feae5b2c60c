"""How unlike the usual a moment is: the usual is learnt from the recording itself, so that a yard is usual and a visitor is not.

Letters: N carriers, E embedding width, K usual scenes.
"""

import numpy as np

from footage.arrays import AnyArray, Embeds

SCENES = 32
SAMPLES = 2048
ROUNDS = 8
LEAST_SHARE = 1 / 64  # of all time; what is seen less is not usual


def usual(embeds: Embeds, weights_s: AnyArray) -> Embeds:
    """(K, E) unit rows, K <= SCENES: what the recording shows most of its time. Spherical k-means over samples evenly spread over its time.

    Seeds lie evenly in time too, not far apart: a rare moment would attract one of those, and be usual ever after.
    "Concept Decompositions for Large Sparse Text Data using Clustering" (Dhillon and Modha, Machine Learning 42, 2001).
    """
    if not len(embeds) or not weights_s.sum() > 0:
        return embeds[:0]
    ends_s = np.cumsum(weights_s, dtype=np.float64)
    rows = embeds[_evenly(ends_s, min(SAMPLES, 8 * len(embeds)))]
    centres = rows[np.linspace(0, len(rows) - 1, min(SCENES, len(rows))).astype(int)]
    for _ in range(ROUNDS):
        nearest = (rows @ centres.T).argmax(1)
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, rows)
        counts = np.bincount(nearest, minlength=len(centres))
        centres = np.where(counts[:, None] > 0, _unit(sums), centres)
    is_usual = counts >= max(1.0, LEAST_SHARE * len(rows))
    return np.asarray(centres[is_usual], np.float32)


def rarest(embeds: Embeds, scenes: Embeds, most: int) -> tuple[list[int], list[float]]:
    """Rows in the order of rarity, and the novelty of each, 0 to 1: one less the cosine to the nearest usual scene or row taken before.

    So a visit of thirty frames is one rare moment and not thirty (farthest-first: Gonzalez, Theoretical Computer Science 38, 1985).
    """
    nearest = (embeds @ scenes.T).max(1) if len(scenes) else np.zeros(len(embeds), np.float32)
    taken, novelties = [], []
    for _ in range(min(most, len(embeds))):
        row = int(np.round(nearest, 6).argmin())
        taken.append(row)
        novelties.append(round(min(1.0, max(0.0, 1 - float(nearest[row]))), 6))
        nearest = np.maximum(nearest, embeds @ embeds[row])
        nearest[taken] = np.inf
    return taken, novelties


def _evenly(ends_s: AnyArray, count: int) -> AnyArray:
    """Rows on which moments evenly spread over all time fall."""
    moments_s = (np.arange(count) + 0.5) / count * ends_s[-1]
    return np.minimum(np.searchsorted(ends_s, moments_s, side="right"), len(ends_s) - 1)


def _unit(rows: AnyArray) -> AnyArray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)

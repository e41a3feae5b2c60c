"""Keeping what covers the rest: farthest-first (DivPrune), least alike in sum (ToDRE), and coverage of a question (MMTok).

"DivPrune: Diversity-based Visual Token Pruning for Large Multimodal Models" (2025). "ToDRE: Visual Token Pruning via Diversity and Task
Awareness" (2025). "MMTok: Multimodal Coverage Maximization for Efficient Inference of VLMs" (2025).
"""

import numpy as np

from footage.arrays import AnyArray
from memory.tokens.reduced import checked, unit


def farthest_first(tokens: AnyArray, keep: int, *, first: int | None = None) -> AnyArray:
    """(keep,) places in the order taken: each as far (1 - cosine) as can be from all taken before.

    first: where to begin; None: the token whose nearest neighbour is farthest, as in DivPrune. The least chord distance is at least half of
    the best possible, 1 - cosine at least a quarter.
    """
    keep, vectors = checked(keep, len(tokens)), unit(tokens)
    if first is None:
        apart = 1 - np.round(vectors @ vectors.T, 6)
        np.fill_diagonal(apart, np.inf)
        first = int(apart.min(1).argmax())
    taken, nearest = [first], 1 - np.round(vectors @ vectors[first], 6)
    nearest[first] = -np.inf
    while len(taken) < keep:
        token = int(nearest.argmax())
        taken.append(token)
        nearest = np.minimum(nearest, 1 - np.round(vectors @ vectors[token], 6))
        nearest[taken] = -np.inf
    return np.array(taken)


def least_alike(tokens: AnyArray, keep: int, *, first: int = 0) -> AnyArray:
    """(keep,) places in the order taken: each with the least summed cosine to all taken before, from a pivot on."""
    keep, vectors = checked(keep, len(tokens)), unit(tokens)
    taken, summed = [first], np.round(vectors @ vectors[first], 6)
    summed[first] = np.inf
    while len(taken) < keep:
        token = int(summed.argmin())
        taken.append(token)
        summed = summed + np.round(vectors @ vectors[token], 6)
        summed[taken] = np.inf
    return np.array(taken)


def covering(likeness: AnyArray, keep: int) -> AnyArray:
    """(keep,) columns in the order taken, each adding most to sum over rows of the best likeness among the columns taken.

    likeness: (M, N) not negative: how well column j stands for row i. Greedy on a monotone submodular function: at least 1 - 1/e of the
    best possible.
    """
    keep = checked(keep, likeness.shape[1])
    best, taken = np.zeros(len(likeness), likeness.dtype), []
    free = np.ones(likeness.shape[1], bool)
    for _ in range(keep):
        gain = np.maximum(likeness - best[:, None], 0).sum(0)
        token = int(np.where(free, np.round(gain, 9), -1.0).argmax())
        taken.append(token)
        free[token] = False
        best = np.maximum(best, likeness[:, token])
    return np.array(taken)


def mmtok(
    tokens: AnyArray, keep: int, question: AnyArray | None = None, *, weight: float = 0.5, sharp: tuple[float, float] = (0.01, 0.2)
) -> AnyArray:
    """(keep,) places, ascending, that cover the question's words and the picture itself.

    question: (m, D) of its content words in the tokens' space; None: the picture alone. sharp: temperatures of the two softmaxes.
    """
    vectors = unit(tokens)
    rows = [weight * _soft(vectors @ vectors.T, sharp[1]) / len(tokens)]
    if question is not None and len(question):
        rows.insert(0, _soft(unit(question) @ vectors.T, sharp[0]) / len(question))
    return np.sort(covering(np.concatenate(rows), keep))


def _soft(cosines: AnyArray, temperature: float) -> AnyArray:
    """Softmax of every row over the columns."""
    raised = np.exp((cosines - cosines.max(1, keepdims=True)) / temperature)
    made: AnyArray = raised / raised.sum(1, keepdims=True)
    return made

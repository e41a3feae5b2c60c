"""Keeping what covers the rest: a few tokens that stand for a question's words and for the picture itself.

Letters: K tokens of a frame, D width, m words, k tokens kept; any axes before them are frames.
"""

import numpy as np

from footage.arrays import AnyArray


def covering(likeness: AnyArray, keep: int) -> AnyArray:
    """(..., keep) columns in the order taken, each adding most to the sum over rows of the best likeness among the columns taken.

    likeness: (..., M, N) not negative: how well column j stands for row i. Greedy on a monotone submodular function: at least 1 - 1/e of
    the best possible. Of equals the earlier.

    Raises:
        ValueError: keep lies outside 1..N.
    """
    *axes, M, N = likeness.shape
    if not 1 <= keep <= N:
        raise ValueError(f"between 1 and {N} tokens can be kept, got {keep}")
    flat = likeness.reshape(-1, M, N)
    every, best = np.arange(len(flat)), np.zeros((len(flat), M, 1), likeness.dtype)
    taken, free = np.zeros((len(flat), keep), int), np.ones((len(flat), N), bool)
    for step in range(keep):
        gain = np.maximum(flat - best, 0).sum(1)
        taken[:, step] = np.where(free, np.round(gain, 9), -1.0).argmax(1)
        free[every, taken[:, step]] = False
        best = np.maximum(best, flat[every, :, taken[:, step], None])
    return taken.reshape(*axes, keep)


def mmtok(
    tokens: AnyArray, keep: int, words: AnyArray | None = None, *, weight: float = 0.5, sharp: tuple[float, float] = (0.01, 0.2)
) -> AnyArray:
    """(..., keep) places, ascending, of the tokens (..., K, D) that cover the question's words and the picture itself.

    "MMTok: Multimodal Coverage Maximization for Efficient Inference of VLMs" (2025). Ours covers the picture as the same tokens show it,
    the paper as its encoder's features do.

    Args:
        words: (m, D) of the question's content words in the tokens' space; None or none of them: the picture alone.
        weight: of the picture. sharp: temperatures of the softmax of words and of the picture over tokens.
    """
    vectors = unit(tokens)
    rows = weight * soft(vectors @ vectors.swapaxes(-1, -2), sharp[1]) / tokens.shape[-2]
    if words is not None and len(words):
        rows = np.concatenate([soft(unit(words) @ vectors.swapaxes(-1, -2), sharp[0]) / len(words), rows], -2)
    return np.sort(covering(rows, keep), -1)


def unit(vectors: AnyArray) -> AnyArray:
    """The same (..., D) in unit length, float32; zero stays zero."""
    wide = vectors.astype(np.float32)
    made: AnyArray = wide / np.maximum(np.linalg.norm(wide, axis=-1, keepdims=True), 1e-12)
    return made


def soft(logits: AnyArray, temperature: float = 1.0) -> AnyArray:
    """Softmax over the last axis; -inf is left out."""
    raised = np.exp((logits - logits.max(-1, keepdims=True)) / temperature)
    made: AnyArray = raised / raised.sum(-1, keepdims=True)
    return made

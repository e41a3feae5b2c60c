"""Tokens of a frame in an order of which any beginning can be read: what it shows on the whole, then what is least like all before.

Letters: K tokens of a frame, D width, k tokens kept; any axes before them are frames.
"""

import numpy as np

from footage.arrays import AnyArray

FRAMES_AT_ONCE = 16
"""Bounds the working memory."""


def nested(tokens: AnyArray, keep: int) -> AnyArray:
    """(..., K, D) to (..., k, D) float32, k = min(keep, K): their mean, weighted by how unlike the plain mean each is, then whole tokens,
    each the one whose nearest among those before it (and the plain mean) is farthest, by cosine.

    nested(tokens, k) is the beginning of nested(tokens, K) for every k, so a reader may stop anywhere. One token alone stays as it is.
    Farthest-first is that of "DivPrune: Diversity-based Visual Token Pruning for Large Multimodal Models" (2025), which keeps the
    picture's order and has no mean; reading beginnings is that of "Matryoshka Query Transformer" (2024), which trains its tokens.

    Raises:
        ValueError: keep is less than 1.
    """
    if keep < 1:
        raise ValueError(f"at least one token must be kept, got {keep}")
    wide = tokens.astype(np.float32)
    if wide.shape[-2] == 1:
        return wide
    flat = wide.reshape(-1, *wide.shape[-2:])
    if not len(flat):
        return wide[..., :keep, :]
    made = np.concatenate([_nested(flat[at : at + FRAMES_AT_ONCE], min(keep, flat.shape[1])) for at in range(0, len(flat), FRAMES_AT_ONCE)])
    return made.reshape(*wide.shape[:-2], *made.shape[1:])


def nested_macs(tokens: int, keep: int, width: int) -> int:
    """Multiply-accumulates of nested() on a frame: all tokens against the plain mean and each one taken, and their mean."""
    return (keep + 2) * tokens * width


def _nested(flat: AnyArray, keep: int) -> AnyArray:
    """(B, K, D) to (B, keep, D)."""
    order, novelty = _farthest_first(flat, keep - 1)
    shares = novelty / np.maximum(novelty.sum(1, keepdims=True), 1e-9)
    shares = np.where(novelty.sum(1, keepdims=True) > 1e-6, shares, 1 / flat.shape[1])
    mean = np.einsum("nk,nkd->nd", shares, flat)[:, None]
    return np.concatenate([mean, np.take_along_axis(flat, order[..., None], 1)], 1)


def _farthest_first(flat: AnyArray, count: int) -> tuple[AnyArray, AnyArray]:
    """Places (B, count) in the order taken, and how unlike the plain mean each token is (B, K)."""
    vectors, middle = _unit(flat), _unit(flat.mean(1, keepdims=True))
    novelty = np.round(np.maximum(1 - (vectors @ middle.swapaxes(1, 2))[..., 0], 0), 6)
    nearest, every = novelty.copy(), np.arange(len(flat))
    order = np.zeros((len(flat), count), int)
    for step in range(count):
        taken = nearest.argmax(1)
        order[:, step] = taken
        apart = 1 - np.einsum("nkd,nd->nk", vectors, vectors[every, taken])
        nearest = np.minimum(nearest, np.round(apart, 6))
        nearest[every[:, None], order[:, : step + 1]] = -np.inf
    return order, novelty


def _unit(vectors: AnyArray) -> AnyArray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)

"""Fewer tokens, and what became of each.

Letters: N tokens before, K after, D width; any axes before them are frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from footage.arrays import AnyArray, Bools


@dataclass(frozen=True, slots=True, eq=False)
class Reduced:
    """Every token that is left stands at the place of one that was there, in the old order."""

    tokens: AnyArray
    """(..., K, D) float32."""
    places: AnyArray
    """(..., K) int, ascending: where each stood."""
    sizes: AnyArray
    """(..., K) how many tokens (or seconds) each stands for."""
    owners: AnyArray
    """(..., N) int: into which row of `tokens` each went; -1 where it was dropped."""


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """Tokens that stand for T frames, in any order: frame (K,) and place (K,) of each, tokens (K, D)."""

    frames: AnyArray
    places: AnyArray
    tokens: AnyArray

    @classmethod
    def where(cls, keep: Bools, tokens_TND: AnyArray) -> "Chosen":
        """Whole tokens, where keep (T, N)."""
        frames, places = np.nonzero(keep)
        return cls(frames, places, tokens_TND[keep])

    @classmethod
    def joined(cls, parts: Sequence["Chosen"]) -> "Chosen":
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("frames", "places", "tokens")))


def merged(tokens: AnyArray, owners: AnyArray, places: AnyArray, sizes: AnyArray | None = None) -> Reduced:
    """Members averaged by size: the sum of size x token and the sum of sizes are conserved.

    owners: (..., N) rows of `places` (..., K); all of them must be owned by someone. A row that owns nothing is zero.
    """
    sizes = np.ones(owners.shape) if sizes is None else np.asarray(sizes, float)
    order = np.argsort(places, -1, kind="stable")
    owners = np.take_along_axis(np.argsort(order, -1), owners, -1)
    shares = (owners[..., None, :] == np.arange(order.shape[-1])[:, None]) * sizes[..., None, :]
    total = shares.sum(-1)
    shares = (shares / np.maximum(total, 1e-12)[..., None]).astype(np.float32)
    return Reduced(shares @ tokens.astype(np.float32), np.take_along_axis(places, order, -1), total, owners)


def kept(tokens: AnyArray, places: AnyArray) -> Reduced:
    """Only these tokens, as they are."""
    places = np.sort(places, -1)
    owners = np.full(tokens.shape[:-1], -1)
    np.put_along_axis(owners, places, np.broadcast_to(np.arange(places.shape[-1]), places.shape), -1)
    return Reduced(taken(tokens, places).astype(np.float32), places, np.ones(places.shape), owners)


def taken(tokens: AnyArray, places: AnyArray) -> AnyArray:
    """The tokens (..., K, D) at the places (..., K)."""
    return np.take_along_axis(tokens, places[..., None], -2)


def least(scores: AnyArray, counts: AnyArray) -> Bools:
    """(T, N) bool: the counts (T,) least scores of each row."""
    rank = np.argsort(np.argsort(np.round(scores, 6), axis=-1, kind="stable"), axis=-1)
    return rank < np.asarray(counts)[:, None]


def unit(tokens: AnyArray) -> AnyArray:
    """(..., D) of unit length in float32 (half precision cannot tell cosines near 1 apart); zero stays zero."""
    wide = tokens.astype(np.float32)
    return wide / np.maximum(np.linalg.norm(wide, axis=-1, keepdims=True), 1e-12)


def checked(keep: int, count: int) -> int:
    """At most as many as there are. Raises ValueError below 1."""
    if keep < 1:
        raise ValueError(f"at least one token must be kept, got {keep}")
    return min(keep, count)

"""Fewer tokens, and what became of each.

Letters: N tokens before, K after, D width.
"""

from dataclasses import dataclass

import numpy as np

from footage.arrays import AnyArray


@dataclass(frozen=True, slots=True, eq=False)
class Reduced:
    """Every token that is left stands at the place of one that was there, in the old order."""

    tokens: AnyArray
    """(K, D) float32."""
    places: AnyArray
    """(K,) int, ascending: where each stood."""
    sizes: AnyArray
    """(K,) how many tokens (or seconds) each stands for."""
    owners: AnyArray
    """(N,) int: into which row of `tokens` each went; -1 where it was dropped."""


def merged(tokens: AnyArray, owners: AnyArray, places: AnyArray, sizes: AnyArray | None = None) -> Reduced:
    """Members averaged by size: the sum of size x token and the sum of sizes are conserved.

    owners: (N,) rows of `places`; all of them must be owned by someone.
    """
    sizes = np.ones(len(tokens)) if sizes is None else np.asarray(sizes, float)
    order = np.argsort(places, kind="stable")
    rank = np.empty(len(places), int)
    rank[order] = np.arange(len(places))
    owners = rank[owners]
    total = np.bincount(owners, sizes, len(places))
    shares = np.zeros((len(places), len(tokens)), np.float32)
    shares[owners, np.arange(len(tokens))] = sizes / total[owners]
    return Reduced(shares @ tokens.astype(np.float32), np.asarray(places)[order], total, owners)


def kept(tokens: AnyArray, places: AnyArray) -> Reduced:
    """Only these tokens, as they are."""
    places = np.sort(np.asarray(places))
    owners = np.full(len(tokens), -1)
    owners[places] = np.arange(len(places))
    return Reduced(tokens[places].astype(np.float32), places, np.ones(len(places)), owners)


def unit(tokens: AnyArray) -> AnyArray:
    """(..., D) of unit length in float32 (half precision cannot tell cosines near 1 apart); zero stays zero."""
    wide = tokens.astype(np.float32)
    return wide / np.maximum(np.linalg.norm(wide, axis=-1, keepdims=True), 1e-12)


def checked(keep: int, count: int) -> int:
    """At most as many as there are. Raises ValueError below 1."""
    if keep < 1:
        raise ValueError(f"at least one token must be kept, got {keep}")
    return min(keep, count)

"""Merging in pairs: PiToMe and AIM's halving. ToMe itself is memory/tome.py.

"Accelerating Transformers with Spectrum-Preserving Token Merging" (PiToMe, 2024).
"AIM: Adaptive Inference of Multi-Modal LLMs via Token Merging and Pruning" (2024).
Letters: B frames, N tokens of each, D width; n tokens that a round begins with.
"""

from collections.abc import Callable

import numpy as np

from footage.arrays import AnyArray
from memory.tokens.reduced import Reduced, checked, merged

Pairing = Callable[[AnyArray, AnyArray], AnyArray]
"""Cosines (B, n, n) and how many tokens each frame has left (B,), to the token that each goes into, (B, n); itself where it stays."""


def energy(cosines: AnyArray, margin: float) -> AnyArray:
    """(..., N) how much of a crowd each token stands in: mean of ELU(cosine - margin) over the others. Small unique things have little."""
    above = cosines - margin
    each = np.where(above >= 0, above, np.expm1(np.minimum(above, 0)))
    return (each.sum(-1) - np.diagonal(each, axis1=-2, axis2=-1)) / max(cosines.shape[-1] - 1, 1)


def pitome(tokens: AnyArray, keep: int, *, margin: float = 0.9, sizes: AnyArray | None = None) -> Reduced:
    """(..., N, D) to `keep`: only the tokens in the densest crowd merge, each with the most alike of every other one of them.

    margin falls with the depth of the layer in the paper (0.9 at the first to 0 at the last); ours runs once, after the tower, in rounds
    that merge at most a quarter, so that what stands alone is spared in each.
    """
    keep = checked(keep, tokens.shape[-2])

    def pairing(cosines: AnyArray, left: AnyArray) -> AnyArray:
        B, n = cosines.shape[:2]
        count = min(n - keep, max(1, n // 4))
        crowd = np.argsort(-np.round(energy(cosines, margin), 6), axis=1, kind="stable")[:, : 2 * count]
        going, staying = crowd[:, ::2], crowd[:, 1::2]
        alike = np.round(cosines[np.arange(B)[:, None, None], going[:, :, None], staying[:, None, :]], 5)
        home = np.tile(np.arange(n), (B, 1))
        np.put_along_axis(home, going, np.take_along_axis(staying, alike.argmax(2), 1), 1)
        return home

    return _in_rounds(tokens, keep, sizes, pairing)


def halving(tokens: AnyArray, keep: int | AnyArray, *, sizes: AnyArray | None = None) -> Reduced:
    """(..., N, D) to `keep`: every even token into the most alike odd one, again and again; the last round as many as needed, best first.

    keep: a number for all frames, or (...,) one for each; then rows after a frame's own are zero, of size 0 and at place N.
    """
    checked(int(np.min(keep)), 1)
    keep = np.minimum(keep, tokens.shape[-2])
    return _in_rounds(tokens, keep, sizes, lambda cosines, left: _even_into_odd(cosines, left, keep)[0])


def merging_likeness(tokens: AnyArray) -> AnyArray:
    """(B, N, D) to (B, N - 1): cosines, never rising, of the pairs that halving merges on the way to one token, in its order."""
    found: list[AnyArray] = [np.zeros((len(tokens), 0))]

    def pairing(cosines: AnyArray, left: AnyArray) -> AnyArray:
        home, best = _even_into_odd(cosines, left, np.array(1))
        found.append(-np.sort(-best, axis=1)[:, : cosines.shape[1] // 2])
        return home

    _in_rounds(tokens, 1, None, pairing)
    return np.minimum.accumulate(np.concatenate(found, 1), 1)


def _even_into_odd(cosines: AnyArray, left: AnyArray, keep: AnyArray) -> tuple[AnyArray, AnyArray]:
    """(B, n) where each goes, down to `keep`, and (B, n / 2) the likeness of each even token to the most alike odd one."""
    n = cosines.shape[1]
    even, odd = np.arange(0, n, 2), np.arange(1, n, 2)
    alike = np.where(odd < left[:, None, None], np.round(cosines[:, ::2, 1::2], 5), -np.inf)
    best = np.where(even < left[:, None], alike.max(2), -np.inf)
    rank = np.argsort(np.argsort(-best, axis=1, kind="stable"), axis=1)
    goes = rank < np.minimum(left - keep.reshape(-1), left // 2)[:, None]
    home = np.tile(np.arange(n), (len(cosines), 1))
    home[:, ::2] = np.where(goes, odd[alike.argmax(2)], even)
    return home, best


def _in_rounds(tokens: AnyArray, keep: int | AnyArray, sizes: AnyArray | None, pairing: Pairing) -> Reduced:
    """Rounds of merging; a merged token stands where its earliest member stood.

    The cosine of two means is that of two sums, and inner products of sums are sums of inner products: rounds need no tokens, which are
    averaged once, at the end.
    """
    N, D = tokens.shape[-2:]
    wide = tokens.astype(np.float32).reshape(-1, N, D)
    weights = np.ones(wide.shape[:2]) if sizes is None else np.broadcast_to(sizes, tokens.shape[:-1]).reshape(-1, N)
    gram, left = _inner_products(wide, weights), np.full(len(wide), N)
    owners = places = np.tile(np.arange(N), (len(wide), 1))
    while np.any(left > np.reshape(keep, -1)):
        home = pairing(_cosines(gram), left)
        left = left - (home != np.arange(home.shape[1])).sum(1)
        into, first = _joined(home, int(left.max()))
        members = (into[:, None, :] == np.arange(left.max())[:, None]).astype(float)
        gram = members @ gram @ members.swapaxes(1, 2)
        owners, places = np.take_along_axis(into, owners, 1), np.take_along_axis(places, first, 1)
    places = np.where(np.arange(places.shape[1]) < left[:, None], places, N)
    made, frames = merged(wide, owners, places, weights), tokens.shape[:-2]
    return Reduced(*(part.reshape(*frames, *part.shape[1:]) for part in (made.tokens, made.places, made.sizes, made.owners)))


def _joined(home: AnyArray, count: int) -> tuple[AnyArray, AnyArray]:
    """(B, n) rows of the next round into which tokens go, and (B, count) the earliest member of each, ascending."""
    B, n = home.shape
    first = np.full((B, n), n)
    np.minimum.at(first, (np.arange(B)[:, None], home), np.arange(n))
    living = np.argsort(first, 1, kind="stable")[:, :count]
    rows = np.zeros((B, n), int)
    np.put_along_axis(rows, living, np.broadcast_to(np.arange(count), living.shape), 1)
    return np.take_along_axis(rows, home, 1), np.minimum(np.take_along_axis(first, living, 1), n - 1)


def _inner_products(tokens: AnyArray, weights: AnyArray) -> AnyArray:
    """(B, N, N) of weight x token, in double precision but for the cosines."""
    lengths = np.linalg.norm(tokens, axis=2)
    vectors = tokens / np.maximum(lengths, 1e-12)[:, :, None]
    heavy = lengths.astype(float) * weights
    return (vectors @ vectors.swapaxes(1, 2)) * heavy[:, :, None] * heavy[:, None, :]


def _cosines(products: AnyArray) -> AnyArray:
    scale = 1 / np.maximum(np.sqrt(np.maximum(np.diagonal(products, axis1=1, axis2=2), 0)), 1e-12)
    return (products * scale[:, :, None] * scale[:, None, :]).astype(np.float32)

"""Numbers in fewer bits: tokens in eight, symmetric, with scales of their own; embeds in one, with a scale a row.

Rounding happens once, before a segment is kept (`quantized`, `signs_only`). What was rounded has an exact short form, which
memory.segment_format finds and stores, so a store never changes what it is given.

Eight bits: of every BLOCK numbers of a token, x becomes q = round(127 x / peak), peak the largest magnitude among them, a float16, and
reads as float16(q peak / 127): off by half a step, peak / 254, and by the rounding of float16. Rounding again changes nothing: the
peak is read exactly, and float16 moves 127 x / peak by less than a half. One large number spoils its own block and no other.

One bit: the sign, and the root mean square of the row as magnitude; angles between signs stand for those between vectors, see
"Similarity Estimation Techniques from Rounding Algorithms" (2002).
"""

from dataclasses import replace

import numpy as np

from footage.arrays import AnyArray, Embeds, Tokens
from footage.carriers import SegmentMemory

STEPS, BLOCK = 127, 64


def to_int8(tokens: Tokens) -> tuple[AnyArray, AnyArray] | None:
    """(K, D) float16 to values (K, D) int8 and peaks (K, ceil(D / BLOCK)) float16; None where a number is not finite."""
    blocks = range(0, tokens.shape[1], BLOCK)
    peaks = np.maximum.reduceat(np.abs(tokens), blocks, axis=1) if blocks else np.empty((len(tokens), 0), np.float16)
    if not np.isfinite(peaks).all():
        return None
    steps = _steps(np.where(peaks > 0, peaks, np.float16(1)), tokens.shape[1])
    return np.rint(tokens.astype(np.float32) / steps).astype(np.int8), peaks


def from_int8(values: AnyArray, peaks: AnyArray) -> Tokens:
    """What to_int8 stands for, (K, D) float16."""
    made: Tokens = (values.astype(np.float32) * _steps(peaks, values.shape[1])).astype(np.float16)
    return made


def exact_int8(tokens: Tokens) -> tuple[AnyArray, AnyArray] | None:
    """As to_int8; None also where anything would be lost."""
    if len(tokens) > 1 and exact_int8(tokens[:1]) is None:
        return None  # soon
    made = to_int8(tokens)
    return made if made is not None and from_int8(*made).tobytes() == tokens.tobytes() else None


def to_signs(embeds: Embeds) -> tuple[AnyArray, AnyArray]:
    """(N, E) to bits (N, ceil(E / 8)) uint8, 1 above zero, and scales (N,) float32, the root mean square."""
    wide = embeds.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        scales = np.sqrt((wide**2).sum(1) / max(embeds.shape[1], 1)).astype(np.float32)
    return np.packbits(embeds > 0, axis=1), scales


def from_signs(bits: AnyArray, scales: AnyArray, width: int) -> Embeds:
    """(N, width): every number its sign times the scale of its row."""
    above = np.unpackbits(bits, axis=1, count=width).astype(bool)
    return np.where(above, scales[:, None], -scales[:, None]) + np.float32(0)  # no minus zero


def signs_only(embeds: Embeds) -> Embeds:
    """Rows (N, E) that keep their length and of each number the sign: searched in one bit a number, compared like any others."""
    return from_signs(*to_signs(embeds), embeds.shape[1])


def quantized(memory: SegmentMemory, *, one_bit: bool = False) -> SegmentMemory:
    """The same memory with tokens that eight bits hold, and embeds that float16 holds or, with one_bit, signs alone.

    Numbers that are not finite stay.
    """
    shorter = _signs_of_one if one_bit else _halved
    return replace(memory, carriers=tuple(replace(c, tokens=_rounded(c.tokens), embed=shorter(c.embed)) for c in memory.carriers))


def _rounded(tokens: Tokens) -> Tokens:
    made = to_int8(tokens)
    return tokens if made is None else from_int8(*made)


def _halved(embed: Embeds) -> Embeds:
    made: Embeds = embed.astype(np.float16).astype(np.float32)
    return made


def _signs_of_one(embed: Embeds) -> Embeds:
    return signs_only(embed[None])[0]


def _steps(peaks: AnyArray, width: int) -> AnyArray:
    """(K, width)"""
    return np.repeat(peaks.astype(np.float32) / STEPS, BLOCK, axis=1)[:, :width]

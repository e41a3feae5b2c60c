"""One segment's carriers and thumbnails as one immutable safetensors file: the same memory gives the same bytes, which give it back.

N carriers, K tokens of one, P planes, D token width, E embedding width, S spans of all carriers, B bytes of all thumbnails:
    tokens (sum K, D) float16, or int8 beside token_peaks (sum K, ceil(D / 64)) float16 | token_offsets (N + 1,) | token_crc32 (P, N)
    embed_signs (N, ceil(E / 8)) uint8, embed_scales (N,) float32 | embeds (N, E) float32 or float16, or left out
    anchors_s, weights_s (N,) | spans_s (S, 2) | span_offsets (N + 1,)
    thumbnails (B,) uint8 | thumbnail_offsets (N + 1,), or (1,) without any
    nested (N,) uint8, 1 where any beginning of the tokens can be read; left out where that is true of none
    rows (R,) uint8: what the catalogue says of the segment (memory.segment_rows), so that it can be checked and made again
Of the forms of tokens and embeds the smallest that loses nothing is written (memory.quantized). Where all carriers are nested, tokens
stand in planes, the first tokens of all carriers, then their next three, next twelve, and the rest: a coarse level is read alone.
A CRC-32 for every array is in the metadata, and one per carrier and plane for its tokens, so that a flipped bit is an error and
never a wrong time.

Version 1 (no version in the metadata) had one plane, float16 tokens and float32 embeds, and no signs; it is read for ever.
"""

import hashlib
import json
import zlib
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from safetensors.numpy import save

from footage.arrays import AnyArray, Embeds, Seconds
from footage.carriers import Carrier, SegmentMemory
from memory.quantized import exact_int8, from_signs, to_signs
from memory.segment_rows import rows_of

VERSION = 2
EDGES = (1, 4, 16)
"""Tokens of a nested carrier after which another plane begins: the levels that are read alone."""


def pack(memory: SegmentMemory) -> bytes:
    """The bytes of the file.

    Raises:
        ValueError: carriers of another recording, out of time order, or of unequal widths.
    """
    check_parts(memory)
    arrays = _times(memory.carriers) | _embeds(memory.carriers) | _tokens(memory.carriers)
    arrays["thumbnails"] = np.frombuffer(b"".join(memory.thumbnails), np.uint8)
    arrays["thumbnail_offsets"] = _offsets([len(jpeg) for jpeg in memory.thumbnails])
    arrays["rows"] = np.frombuffer(rows_of(memory), np.uint8)
    checks = {name: crc32(array) for name, array in arrays.items() if name != "tokens"}
    metadata = json.dumps({"version": VERSION, "crc32": checks})
    return bytes(save(arrays, metadata={"footage": metadata}))  # one key: safetensors does not order several


def content_hash(data: bytes) -> str:
    """12 hex digits of SHA-256, as in the file's name."""
    return hashlib.sha256(data).hexdigest()[:12]


def check_parts(memory: SegmentMemory) -> None:
    """Raises ValueError where the parts of a segment do not belong together."""
    recording_id, carriers = memory.segment.recording_id, memory.carriers
    strangers = {c.recording_id for c in carriers} | {row.recording_id for row in memory.texts}
    strangers.discard(recording_id)
    if strangers:
        raise ValueError(f"a segment of {recording_id} cannot keep carriers or texts of {sorted(strangers)}")
    starts = [c.spans[0].start_s for c in carriers]
    if any(a > b for a, b in pairwise(starts)):
        raise ValueError("carriers must be in time order")
    if len({(c.tokens.shape[1], len(c.embed)) for c in carriers}) > 1:
        raise ValueError("carriers of one segment must have equal token and embedding widths")


def crc32(array: AnyArray) -> int:
    return zlib.crc32(np.ascontiguousarray(array).data)


def plane_edges(lengths: AnyArray, *, are_nested: bool) -> AnyArray:
    """(P + 1,): plane p holds the tokens edges[p] to edges[p + 1] of every carrier; lengths (N,) are their tokens."""
    most = int(lengths.max(initial=0))
    return np.array([0, *(edge for edge in EDGES if are_nested and edge < most), most])


def piece_sizes(lengths: AnyArray, edges: AnyArray) -> AnyArray:
    """(P, N): tokens of each carrier in each plane; so they stand in the file, row after row."""
    sizes: AnyArray = np.minimum(np.maximum(lengths, edges[:-1, None]), edges[1:, None]) - edges[:-1, None]
    return sizes


def _times(carriers: Sequence[Carrier]) -> dict[str, AnyArray]:
    spans = [span for carrier in carriers for span in carrier.spans]
    return {
        "anchors_s": _seconds([c.anchor_s for c in carriers]),
        "weights_s": _seconds([c.weight_s for c in carriers]),
        "spans_s": _seconds([edge for s in spans for edge in (s.start_s, s.end_s)]).reshape(-1, 2),
        "span_offsets": _offsets([len(c.spans) for c in carriers]),
    }


def _embeds(carriers: Sequence[Carrier]) -> dict[str, AnyArray]:
    embeds: Embeds = np.stack([c.embed for c in carriers]) if carriers else np.empty((0, 0), np.float32)
    bits, scales = to_signs(embeds)
    arrays = {"embed_signs": bits, "embed_scales": scales}
    if from_signs(bits, scales, embeds.shape[1]).tobytes() == embeds.tobytes() and embeds.shape[1] % 8 == 0:
        return arrays
    with np.errstate(over="ignore", invalid="ignore"):
        halves = embeds.astype(np.float16)
        are_exact = halves.astype(np.float32).tobytes() == embeds.tobytes()
    return arrays | {"embeds": halves if are_exact else embeds}


def _tokens(carriers: Sequence[Carrier]) -> dict[str, AnyArray]:
    lengths, are_nested = np.array([len(c.tokens) for c in carriers], np.int64), [c.is_nested for c in carriers]
    arrays: dict[str, AnyArray] = {"nested": np.array(are_nested, np.uint8)} if any(are_nested) else {}
    edges = plane_edges(lengths, are_nested=all(are_nested))
    pieces = [carrier.tokens[a:b] for a, b in pairwise(edges.tolist()) for carrier in carriers]
    tokens = np.concatenate(pieces) if pieces else np.empty((0, 0), np.float16)
    if (short := exact_int8(tokens)) is not None:
        tokens, arrays["token_peaks"] = short
    checks = [crc32(piece) for piece in np.split(tokens, np.cumsum([len(piece) for piece in pieces])[:-1])] if pieces else []
    arrays["token_crc32"] = np.array(checks, np.uint32).reshape(-1, len(carriers)) if pieces else np.empty((1, 0), np.uint32)
    return arrays | {"tokens": tokens, "token_offsets": _offsets(lengths)}


def _seconds(values: Sequence[float]) -> Seconds:
    return np.array(values, np.float64)


def _offsets(lengths: Sequence[int] | AnyArray) -> AnyArray:
    """(N + 1,)"""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)]).astype(np.uint32)

"""One segment's carriers and thumbnails as one immutable safetensors file: the same memory gives the same bytes.

N carriers, K tokens of one, D token width, E embedding width, S spans of all carriers, B bytes of all thumbnails:
    tokens (sum K, D) float16 | token_offsets (N + 1,) | token_crc32 (N,) | embeds (N, E) | anchors_s, weights_s (N,)
    spans_s (S, 2) | span_offsets (N + 1,) | thumbnails (B,) uint8 | thumbnail_offsets (N + 1,), or (1,) without any
    nested (N,) uint8, 1 where any beginning of the tokens can be read; left out where that is true of none
A CRC-32 for every array is in the metadata, and one per carrier for its tokens, so that a flipped bit is an error and
never a wrong time. Text rows, gaps and counts of the segment are in the catalogue.
"""

import hashlib
import json
import zlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from footage.arrays import AnyArray, Tokens
from footage.carriers import Carrier, SegmentMemory
from footage.errors import StoreError
from footage.timespan import TimeSpan
from memory.view import SegmentKeys

DAMAGE_HINT = "drop that segment and run the same `footage index` again: it makes only what is missing"


def pack(memory: SegmentMemory) -> bytes:
    """The bytes of the file.

    Raises:
        ValueError: carriers of another recording, out of time order, or of unequal widths.
    """
    check_parts(memory)
    carriers = memory.carriers
    spans = [span for carrier in carriers for span in carrier.spans]
    arrays: dict[str, AnyArray] = {
        "tokens": np.concatenate([c.tokens for c in carriers]) if carriers else np.empty((0, 0), np.float16),
        "token_offsets": _offsets([len(c.tokens) for c in carriers]),
        "token_crc32": np.array([_crc32(c.tokens) for c in carriers], np.uint32),
        "embeds": np.stack([c.embed for c in carriers]) if carriers else np.empty((0, 0), np.float32),
        "anchors_s": np.array([c.anchor_s for c in carriers], np.float64),
        "weights_s": np.array([c.weight_s for c in carriers], np.float64),
        "spans_s": np.array([(s.start_s, s.end_s) for s in spans], np.float64).reshape(-1, 2),
        "span_offsets": _offsets([len(c.spans) for c in carriers]),
        "thumbnails": np.frombuffer(b"".join(memory.thumbnails), np.uint8),
        "thumbnail_offsets": _offsets([len(jpeg) for jpeg in memory.thumbnails]),
    }
    if any(c.is_nested for c in carriers):
        arrays["nested"] = np.array([c.is_nested for c in carriers], np.uint8)
    checks = {name: _crc32(array) for name, array in arrays.items() if name != "tokens"}
    return bytes(save(arrays, metadata={"crc32": json.dumps(checks)}))  # one key: safetensors does not order several


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


def _crc32(array: AnyArray) -> int:
    return zlib.crc32(np.ascontiguousarray(array).data)


def _offsets(lengths: Sequence[int]) -> AnyArray:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


class SegmentFile:
    """An open segment file. It stays mapped (without a file handle), so it reads the same after it was removed."""

    def __init__(self, path: Path, recording_id: str) -> None:
        """Raises StoreError when the file is missing or damaged."""
        self.path, self.recording_id = path, recording_id
        try:
            open_file: Any = safe_open  # its stubs are untyped
            self._file = open_file(path, framework="numpy")
            self._checks: dict[str, int] = json.loads(self._file.metadata()["crc32"])
        except FileNotFoundError as error:
            raise StoreError(f"{path} is missing", hint=DAMAGE_HINT) from error
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise self._damaged(str(error)) from error

    def keys(self) -> SegmentKeys:
        starts_s, ends_s = self._hulls()
        anchors_s, weights_s, embeds = (self._array(name) for name in ("anchors_s", "weights_s", "embeds"))
        return SegmentKeys(self.path.name, starts_s, ends_s, anchors_s, weights_s, embeds)

    def carriers(self, rows: Sequence[int] | None = None) -> list[Carrier]:
        """By row, in the order asked; all of them when none are named."""
        names = ("anchors_s", "weights_s", "embeds", "spans_s", "span_offsets", "token_offsets", "token_crc32")
        arrays = {name: self._array(name) for name in names}
        arrays["nested"] = self._array("nested") if "nested" in self._checks else np.zeros(len(arrays["anchors_s"]), np.uint8)
        return [self._carrier(row, arrays) for row in (range(len(arrays["anchors_s"])) if rows is None else rows)]

    def thumbnails(self) -> tuple[bytes, ...]:
        blob, offsets = self._array("thumbnails").tobytes(), self._array("thumbnail_offsets").tolist()
        return tuple(blob[a:b] for a, b in pairwise(offsets))

    def thumbnail(self, time_s: float) -> bytes | None:
        """JPEG of the carrier that stands for that time; None where there is no carrier or no picture."""
        spans_s, thumbnails = self._array("spans_s"), self.thumbnails()
        holds = np.flatnonzero((spans_s[:, 0] <= time_s) & (time_s < spans_s[:, 1]))
        if not holds.size or not thumbnails:
            return None
        row = int(np.searchsorted(self._array("span_offsets"), holds[0], side="right")) - 1
        return thumbnails[row] or None

    def _hulls(self) -> tuple[AnyArray, AnyArray]:
        spans_s, offsets = self._array("spans_s"), self._array("span_offsets")
        return spans_s[offsets[:-1], 0], spans_s[offsets[1:] - 1, 1]

    def _carrier(self, row: int, arrays: dict[str, AnyArray]) -> Carrier:
        first, end = arrays["span_offsets"][row : row + 2]
        return Carrier(
            self.recording_id,
            tuple(TimeSpan(start_s, end_s) for start_s, end_s in arrays["spans_s"][first:end].tolist()),
            anchor_s=float(arrays["anchors_s"][row]),
            weight_s=float(arrays["weights_s"][row]),
            tokens=self._tokens(arrays["token_offsets"][row : row + 2].tolist(), int(arrays["token_crc32"][row])),
            embed=arrays["embeds"][row].copy(),
            is_nested=bool(arrays["nested"][row]),
        )

    def _tokens(self, edges: list[int], check: int) -> Tokens:
        first, end = edges
        if first == end:  # safetensors does not slice where there is nothing
            return np.empty((0, self._file.get_slice("tokens").get_shape()[1]), np.float16)
        tokens: Tokens = self._read(lambda file: file.get_slice("tokens")[first:end])
        if _crc32(tokens) != check:
            raise self._damaged("tokens do not match their checksum")
        return tokens

    def _array(self, name: str) -> AnyArray:
        array: AnyArray = self._read(lambda file: file.get_tensor(name))
        if _crc32(array) != self._checks.get(name):
            raise self._damaged(f"{name} does not match its checksum")
        return array

    def _read(self, read: Any) -> AnyArray:
        try:
            return np.asarray(read(self._file))
        except (SafetensorError, OSError) as error:
            raise self._damaged(str(error)) from error

    def _damaged(self, why: str) -> StoreError:
        return StoreError(f"{self.path} is damaged: {why}", hint=DAMAGE_HINT)

"""An open segment (memory.segment_format): keys, carriers and thumbnails, and of none more bytes read than was asked for."""

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise

import numpy as np

from footage.arrays import AnyArray, Embeds, Tokens
from footage.carriers import Carrier, pooled
from footage.timespan import TimeSpan
from memory.quantized import from_int8, from_signs, to_signs
from memory.segment_arrays import SegmentArrays
from memory.segment_bytes import Bytes, MappedBytes
from memory.segment_format import crc32, piece_sizes, plane_edges
from memory.view import SegmentKeys

__all__ = ["Bytes", "MappedBytes", "SegmentFile"]


class SegmentFile:
    """Everything that it reads is held against its checksum; all methods raise StoreError where that fails, or the source is away."""

    def __init__(self, source: Bytes, recording_id: str) -> None:
        """Raises StoreError when its header is damaged or away, or written by a newer footage."""
        self.recording_id = recording_id
        self._arrays = SegmentArrays(source)

    def keys(self) -> SegmentKeys:
        spans_s, firsts = self._arrays.array("spans_s"), self._arrays.array("span_offsets").astype(np.int64)
        anchors_s, weights_s = self._arrays.array("anchors_s"), self._arrays.array("weights_s")
        name = self._arrays.source.name.rpartition("/")[2]
        return SegmentKeys(name, spans_s[firsts[:-1], 0], spans_s[firsts[1:] - 1, 1], anchors_s, weights_s, self._embeds())

    def codes(self) -> tuple[AnyArray, AnyArray]:
        """Embeds in one bit a number (memory.quantized): signs (N, ceil(E / 8)) uint8 and scales (N,) float32."""
        if "embed_signs" not in self._arrays:
            return to_signs(self._arrays.array("embeds"))
        return self._arrays.array("embed_signs"), self._arrays.array("embed_scales")

    def carriers(self, rows: Sequence[int] | None = None, at_most: int | None = None) -> list[Carrier]:
        """By row, in the order asked; all of them when none are named. at_most: `pooled` to so many tokens, and no finer plane read."""
        names = ("anchors_s", "weights_s", "spans_s", "span_offsets")
        arrays = {name: self._arrays.array(name) for name in names} | {"embeds": self._embeds()}
        made = [self._carrier(row, arrays, at_most) for row in (range(len(arrays["anchors_s"])) if rows is None else rows)]
        return made if at_most is None else [pooled(carrier, at_most) for carrier in made]

    @property
    def encoding(self) -> str:
        """Of its tokens: "float16" or "int8"."""
        return "int8" if "token_peaks" in self._arrays else "float16"

    def rows(self) -> bytes | None:
        """What the catalogue must say of it, see memory.segment_rows; None in older files."""
        return self._arrays.array("rows").tobytes() if "rows" in self._arrays else None

    def thumbnails(self) -> tuple[bytes, ...]:
        blob, offsets = self._arrays.array("thumbnails").tobytes(), self._arrays.array("thumbnail_offsets").tolist()
        return tuple(blob[a:b] for a, b in pairwise(offsets))

    def thumbnail(self, time_s: float) -> bytes | None:
        """JPEG of the carrier that stands for that time; None where there is no carrier or no picture."""
        spans_s, thumbnails = self._arrays.array("spans_s"), self.thumbnails()
        holds = np.flatnonzero((spans_s[:, 0] <= time_s) & (time_s < spans_s[:, 1]))
        if not holds.size or not thumbnails:
            return None
        row = int(np.searchsorted(self._arrays.array("span_offsets"), holds[0], side="right")) - 1
        return thumbnails[row] or None

    def _embeds(self) -> Embeds:
        if "embeds" not in self._arrays:
            signs, scales = self.codes()
            return from_signs(signs, scales, 8 * signs.shape[1])
        return self._arrays.array("embeds").astype(np.float32, copy=False)

    def _carrier(self, row: int, arrays: dict[str, AnyArray], at_most: int | None) -> Carrier:
        first, end = arrays["span_offsets"][row : row + 2].tolist()
        return Carrier(
            self.recording_id,
            tuple(TimeSpan(start_s, end_s) for start_s, end_s in arrays["spans_s"][first:end].tolist()),
            anchor_s=float(arrays["anchors_s"][row]),
            weight_s=float(arrays["weights_s"][row]),
            tokens=self._tokens.of(row, at_most),
            embed=arrays["embeds"][row],
            is_nested=bool(self._tokens.nested[row]),
        )

    @cached_property
    def _tokens(self) -> "_Tokens":
        return _Tokens(self._arrays)


class _Tokens:
    """Where the tokens of each carrier stand, plane by plane."""

    def __init__(self, arrays: SegmentArrays) -> None:
        self._arrays = arrays
        offsets = arrays.array("token_offsets").astype(np.int64)
        lengths = offsets[1:] - offsets[:-1]
        self.nested = arrays.array("nested") if "nested" in arrays else np.zeros(len(lengths), np.uint8)
        self._edges = plane_edges(lengths, are_nested=arrays.version > 1 and bool(self.nested.all()))
        self._sizes = piece_sizes(lengths, self._edges)  # (P, N)
        self._firsts = np.cumsum(self._sizes).reshape(self._sizes.shape) - self._sizes
        self._checks = arrays.array("token_crc32").reshape(self._sizes.shape)
        self._peaks = arrays.array("token_peaks") if "token_peaks" in arrays else None

    def of(self, row: int, at_most: int | None) -> Tokens:
        """All of a carrier, or those of its planes that begin before at_most."""
        below = len(self._sizes) if at_most is None else max(1, int(np.searchsorted(self._edges[:-1], at_most)))
        pieces = [self._piece(plane, row) for plane in range(below) if plane == 0 or self._sizes[plane, row]]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def _piece(self, plane: int, row: int) -> Tokens:
        first, count = int(self._firsts[plane, row]), int(self._sizes[plane, row])
        stored = self._arrays.rows("tokens", first, count)
        if crc32(stored) != self._checks[plane, row]:
            raise self._arrays.damaged("tokens do not match their checksum")
        return stored if self._peaks is None else from_int8(stored, self._peaks[first : first + count])

"""Consecutive rows of an index that never change: flat in RAM and exact, or sealed in files and mapped."""

import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, Protocol, Self

import numpy as np

from footage.arrays import AnyArray, Bools, Embeds
from footage.timespan import TimeSpan
from memory.recall.one_bit import OneBitLists
from memory.recall.vectors import Vectors

ROW = np.dtype([("start_s", "<f8"), ("end_s", "<f8"), ("anchor_s", "<f8"), ("crc32", "<u4")])
"""What a row is besides its vector, and a CRC-32 of both, so that a flipped bit in a mapped file is never a wrong time."""


class Block(NamedTuple):
    """Consecutive rows that came from one segment. There are hundreds of thousands."""

    recording_id: str
    number: int
    fingerprint: str
    rows: int

    @property
    def segment(self) -> tuple[str, int]:
        return self.recording_id, self.number


@dataclass(frozen=True, slots=True)
class Where:
    """What a search may find."""

    recording_ids: frozenset[str] | None = None
    span: TimeSpan | None = None
    """In seconds of each recording; what overlaps it is inside."""


class Reads(Protocol):
    """Vectors from a file."""

    def expect(self, rows: AnyArray) -> None:
        """(R,) rows that are about to be read."""
        ...

    def __call__(self, rows: AnyArray) -> AnyArray:
        """(R,) ascending rows to (R, W) halves."""
        ...


@dataclass(frozen=True, eq=False)
class Part:
    """N rows. Threads may share it."""

    blocks: tuple[Block, ...]
    rows: AnyArray
    """(N,) ROW"""
    vectors: Vectors | None
    """In RAM; None where it is sealed, or has no rows."""
    halves: AnyArray
    """(N, W) float16"""
    lists: OneBitLists | None = None
    """Of a sealed one."""
    read: "Reads | None" = None
    """Of a sealed one."""
    name: str = ""
    """Of its files; empty while it has none."""
    stale: Bools | None = None
    """(blocks,) those whose segment has left the store or is another by now; None: none."""

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def _ends(self) -> AnyArray:
        """(blocks,) the row after each block's last."""
        return np.cumsum([block.rows for block in self.blocks])

    @cached_property
    def recording_ids(self) -> tuple[str, ...]:
        return tuple(sorted({block.recording_id for block in self.blocks}))

    @cached_property
    def _which(self) -> AnyArray:
        """(blocks,) index into recording_ids."""
        number = {recording_id: i for i, recording_id in enumerate(self.recording_ids)}
        return np.array([number[block.recording_id] for block in self.blocks], np.int64)

    @cached_property
    def hull(self) -> tuple[float, float]:
        """Seconds, over all its recordings."""
        return (float(self.rows["start_s"].min()), float(self.rows["end_s"].max())) if len(self) else (0.0, 0.0)

    @cached_property
    def live(self) -> int:
        """Rows that are not stale."""
        return len(self) if self.stale is None else int(self._rows_of(~self.stale).sum())

    @property
    def is_gone(self) -> bool:
        """Nothing of it is wanted any more."""
        return self.stale is not None and bool(self.stale.all())

    def against(self, wanted: Mapping[tuple[str, int], str]) -> Self:
        """The same rows, with what a store no longer holds marked as stale."""
        stale = np.array([wanted.get(block.segment) != block.fingerprint for block in self.blocks], bool)
        if np.array_equal(stale, np.zeros(len(stale), bool) if self.stale is None else self.stale):
            return self
        return replace(self, stale=stale if stale.any() else None)

    def held(self) -> Iterable[tuple[str, int]]:
        """Segments whose rows are here and not stale."""
        return (block.segment for i, block in enumerate(self.blocks) if self.stale is None or not self.stale[i])

    def allowed(self, where: Where) -> Bools | None:
        """(N,) the rows that a search may find; None: every one."""
        masks: list[Bools] = [] if self.stale is None else [self._rows_of(~self.stale)]
        if where.recording_ids is not None and not where.recording_ids.issuperset(self.recording_ids):
            named = np.array([recording_id in where.recording_ids for recording_id in self.recording_ids], bool)
            masks.append(self._rows_of(named[self._which]))
        if where.span is not None and not (where.span.start_s <= self.hull[0] and self.hull[1] <= where.span.end_s):
            masks.append((self.rows["start_s"] < where.span.end_s) & (where.span.start_s < self.rows["end_s"]))
        return np.logical_and.reduce(masks) if masks else None

    def may_hold(self, where: Where) -> bool:
        """Whether any row could be allowed, at a glance."""
        if where.recording_ids is not None and where.recording_ids.isdisjoint(self.recording_ids):
            return False
        return self.live > 0 and (where.span is None or (self.hull[0] < where.span.end_s and where.span.start_s < self.hull[1]))

    def _rows_of(self, blocks: Bools) -> Bools:
        return np.repeat(blocks, [block.rows for block in self.blocks])

    def recording_of(self, row: int) -> str:
        return self.blocks[int(np.searchsorted(self._ends, row, side="right"))].recording_id

    def is_whole(self, row: int) -> bool:
        """Whether a row in a file is still as it was written."""
        if self.read is None:
            return True
        return int(self.rows["crc32"][row]) == _crc32(self.rows[row], self.read(np.array([row]))[0])

    def expect(self, rows: AnyArray) -> None:
        """These are about to be scored."""
        if self.read is not None:
            self.read.expect(rows)

    def scores(self, embed: Embeds, rows: AnyArray) -> AnyArray:
        """(R,) exact inner products of some rows, ascending."""
        halves = self.halves[rows] if self.read is None else self.read(rows)
        result: AnyArray = halves.astype(np.float32) @ embed
        return result


def rows_of(times: AnyArray, halves: AnyArray) -> AnyArray:
    """(N, 3) start, end, anchor and (N, W) to (N,) ROW."""
    rows = np.empty(len(times), ROW)
    rows["start_s"], rows["end_s"], rows["anchor_s"] = times.T
    rows["crc32"] = [_crc32(row, half) for row, half in zip(rows, halves, strict=True)]
    return rows


def _crc32(row: Any, half: AnyArray) -> int:
    """row: one of ROW, all but the checksum itself."""
    return zlib.crc32(row.tobytes()[: ROW.itemsize - 4], zlib.crc32(half.tobytes()))


def live_blocks(parts: Sequence[Part]) -> tuple[Block, ...]:
    """Those that are not stale, in order."""
    return tuple(b for part in parts for i, b in enumerate(part.blocks) if part.stale is None or not part.stale[i])


def gather(parts: Collection[Part], column: str, block_rows: int) -> Iterable[AnyArray]:
    """ "rows" or "halves" of all live rows, in order, so many at a time."""
    for part in parts:
        keep = part.allowed(Where())
        for first in range(0, len(part), block_rows):
            chunk = getattr(part, column)[first : first + block_rows]
            yield np.asarray(chunk if keep is None else chunk[keep[first : first + block_rows]])

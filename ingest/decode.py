"""Packets to upright RGB: the exact frame for a display index, decoding as little as possible.

Two decoders behind one seam (`Decoder`), run through one contract suite of frames and times. Besides packets.py the only
file that knows ticks.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import av
import numpy as np

from footage.arrays import AnyArray, Bools, Pixels
from footage.errors import ConfigError, DecodeError
from ingest.decord_decode import DecordDecoder
from ingest.packets import PacketTable, capped, opened
from ingest.picture import fitted_px, upright

log = logging.getLogger(__name__)

REF_SKIPPING = {
    "h264",
    "hevc",
}  # B-frames that nobody refers to are marked in the bit stream: checked against full decoding
SEEK_PACKETS = 600  # reading on costs 8 us a packet, a seek some ms; above this many idle packets we jump
MAX_REORDER = 16  # frames that a decoder may hold back; where places are counted, later packets push the right one out
SEEK_MARGIN_S = 1.0  # transport streams land late by up to a group of pictures


class Decoder(Protocol):
    """Display indices to pixels; times are the packet table's business."""

    @property
    def name(self) -> str: ...

    def frames(self, table: PacketTable, indices: Sequence[int], max_side_px: int) -> Iterator[tuple[int, Pixels]]:
        """(index, RGB) for each wanted index in ascending order; what cannot be decoded is left out.

        Pixels are (H, W, 3), upright, square-pixelled, longer side at most max_side_px, never enlarged.
        """
        ...


@dataclass(frozen=True, slots=True)
class PyAvDecoder:
    """PyAV. `selective` feeds only the packets that wanted frames depend on; both ways give the same frames."""

    selective: bool = True
    threads: int = 0
    """0: as many as there are cores; 1 beside other workers."""

    @property
    def name(self) -> str:
        return "pyav" if self.selective else "pyav-sequential"

    def frames(self, table: PacketTable, indices: Sequence[int], max_side_px: int) -> Iterator[tuple[int, Pixels]]:
        due = sorted(int(i) for i in indices)
        size_px = fitted_px(table.width_px, table.height_px, max_side_px)
        try:
            for index, frame in self._shown(table, due):
                yield index, upright(frame, size_px, table.rotation_deg)
                due = due[due.index(index) + 1 :]
        except av.error.FFmpegError as error:
            raise DecodeError(
                f"{str(table.path)!r} cannot be read any further: {error}", hint="check the disk, then index it again"
            ) from error
        except _Damaged:  # what is made of damage depends on what was skipped and on how threads run: from here on everything, in one
            yield from PyAvDecoder(False, 1).frames(table, due, max_side_px)

    def _shown(self, table: PacketTable, indices: list[int]) -> Iterator[tuple[int, Any]]:
        """(index, decoded frame) of the wanted ones that come out whole."""
        wanted = {int(table.shown[i]): i for i in indices}
        for ticks, frame in _stamped(self._decoded(table, wanted), table):
            if ticks not in wanted or frame.is_corrupt:
                continue
            yield wanted.pop(ticks), frame
            if not wanted:
                return

    def _decoded(self, table: PacketTable, wanted: dict[int, int]) -> Iterator[Any]:
        if not wanted:
            return
        selective = self.selective and not table.decodes_from_start
        strict = selective or self.threads != 1
        need, kept = _feed(table, sorted(wanted.values()), selective)
        with opened(table.path) as container:
            stream = container.streams[table.stream_index]
            context = capped(stream.codec_context, table.max_frame_px)
            context.thread_type, context.thread_count = "AUTO", self.threads
            skips = selective and context.codec.canonical_name in REF_SKIPPING
            drain = _Drain(lambda: _decode(context, None, table, strict=strict), context)
            for row, packet in _Reader(container, stream, table).packets(need, drain):
                yield from drain.taken()
                if table.clock_restarts:
                    packet.pts, packet.dts = int(table.pts[row]), int(table.dts[row])
                if skips:
                    context.skip_frame = "DEFAULT" if int(table.pts[row]) in kept else "NONREF"
                yield from _decode(context, packet, table, strict=strict)
            yield from drain.taken()
            yield from _decode(context, None, table, strict=strict)


def _stamped(frames: Iterator[Any], table: PacketTable) -> Iterator[tuple[int | None, Any]]:
    """Decoded frames with the ticks at which they go on screen."""
    shown: int | None = int(table.shown[0])  # "dts": of the packet before the one that pushed the frame out
    is_delayed = False
    for count, frame in enumerate(frames):
        if table.stamps == "pts":
            yield frame.pts, frame
        elif table.stamps == "count":
            yield int(table.shown[count]) if count < len(table) else None, frame
        else:
            is_delayed = is_delayed or (count == 0 and frame.dts != shown)  # B-frames: pictures leave one packet late
            yield shown if is_delayed else frame.dts, frame
            shown = frame.dts


class _Damaged(Exception):
    """A packet or frame is damaged while others are being skipped, or decoded in several threads."""


def _feed(table: PacketTable, indices: list[int], selective: bool) -> tuple[Bools, set[int]]:
    """(n,) packets to feed, and the ticks that must not be skipped."""
    need = table.needed(indices)
    if not selective:  # all packets from the first group that is needed
        rows = np.flatnonzero(need)
        if table.decodes_from_start:
            need[: rows[-1] + 1 + MAX_REORDER] = True
        else:
            need[rows[0] : rows[-1] + 1] = True
    return need, {int(table.shown[i]) for i in indices}


def _decode(context: Any, packet: Any, table: PacketTable, *, strict: bool) -> list[Any]:
    """Frames of one packet (None: what is still inside). A damaged packet costs itself, not the file."""
    try:
        frames: list[Any] = context.decode(packet)
    except av.error.EOFError:
        return []
    except av.error.FFmpegError as error:
        log.debug("damaged packet file=%s error=%s", table.path, error)
        if strict:
            raise _Damaged from error
        return []
    if strict and any(frame.is_corrupt for frame in frames):
        raise _Damaged
    return frames


class _Drain:
    """Takes the frames still inside the decoder out before a seek or a cut throws them away."""

    def __init__(self, flush: Callable[[], list[Any]], context: Any) -> None:
        self._flush, self._context, self._frames = flush, context, list[Any]()

    def __call__(self) -> None:
        self._frames += self._flush()
        self._context.flush_buffers()

    def taken(self) -> Iterator[Any]:
        frames, self._frames = self._frames, []
        yield from frames


class _Reader:
    """The needed packets of a container, with their rows in the table; jumps over long idle stretches."""

    def __init__(self, container: Any, stream: Any, table: PacketTable) -> None:
        self._container, self._stream, self._table = container, stream, table

    def packets(self, need: Bools, drain: Callable[[], None]) -> Iterator[tuple[int, Any]]:
        rows = np.flatnonzero(need)
        at, last = 0, int(rows[-1])
        demux = self._container.demux(self._stream)
        clean_cuts = self._table.codec != "h264" or not self._table.has_open_groups
        for start, stop in _runs(rows):
            is_far = start - at > SEEK_PACKETS and not (self._table.decodes_from_start or self._table.clock_restarts)
            if is_far or not (clean_cuts or start == at):  # an open group of H.264 leans on frame numbers
                drain()
            if is_far:
                demux, at = self._jump(start)
            for packet in demux:
                if not packet.size:
                    continue
                row, at = at, at + 1
                if row >= start:
                    yield row, packet
                if at > stop:
                    break
            if at > last:
                return

    def _jump(self, row: int) -> tuple[Iterator[Any], int]:
        """Seek to the key packet `row`; where the container lands too late or nowhere known, start over from its beginning."""
        for margin_s in (SEEK_MARGIN_S, None):
            seek_before(self._container, self._stream, self._table, row, margin_s)
            demux = self._container.demux(self._stream)
            first = next((p for p in demux if p.size), None)
            if first is None or first.pts is None:
                continue
            landed = np.flatnonzero((self._table.pts == first.pts) & (self._table.sizes == first.size))
            if len(landed) and landed[0] <= row:
                return _chain(first, demux), int(landed[0])
        raise DecodeError(f"{str(self._table.path)!r} changed or cannot be positioned", hint="index it again")


def seek_before(container: Any, stream: Any, table: PacketTable, row: int, margin_s: float | None) -> None:
    """Position the container at or before a packet; None: at its very beginning."""
    if margin_s is None:
        container.seek(0, backward=True, any_frame=False)
    else:
        target = int(table.dts[row]) - round(margin_s / table.time_base)
        container.seek(target, stream=stream, backward=True, any_frame=False)


def _chain(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest


def _runs(rows: AnyArray) -> list[tuple[int, int]]:
    """Sorted rows as inclusive (first, last) stretches."""
    cuts = np.flatnonzero(np.diff(rows) > 1)
    return list(zip(rows[np.append(0, cuts + 1)].tolist(), rows[np.append(cuts, len(rows) - 1)].tolist(), strict=True))


def decoder(name: str, *, threads: int = 0) -> Decoder:
    """By name: "pyav" (selective feed), "pyav-sequential", "decord"."""
    known: dict[str, Decoder] = {
        "pyav": PyAvDecoder(True, threads),
        "pyav-sequential": PyAvDecoder(False, threads),
        "decord": DecordDecoder(threads),
    }
    if name not in known:
        raise ConfigError(f"there is no decoder {name!r}", hint=f"known: {', '.join(known)}")
    return known[name]

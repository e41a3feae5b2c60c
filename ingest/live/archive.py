"""Random access to the past of a stream, as far back as its rolling archive goes."""

import contextlib
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np

from footage.arrays import AnyArray
from footage.errors import DecodeError, FootageError, SourceNotFound
from footage.frames import Frame
from footage.questions import Redecode
from footage.timespan import TimeSpan, clock
from ingest.decode import PyAvDecoder
from ingest.live.chunk_file import TICK, is_whole
from ingest.live.chunks import Chunk, chunks, grid_ms
from ingest.packets import PacketTable, opened, pick_stream, scan

KEPT_TABLES = 8  # packet tables, of the chunks looked at last
HINT = "what was remembered of it can be asked about all the same"


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A chunk and its place in recording time."""

    chunk: Chunk
    table: PacketTable
    starts_ms: AnyArray
    """(m,) int64 of recording time: when each frame goes on screen."""
    end_ms: int
    """Where what it shows ends; the last frame of most chunks is the first one of the next, and shown by that."""

    @classmethod
    def of(cls, chunk: Chunk, table: PacketTable, following: Chunk | None, settled: float) -> "Placed":
        """settled: in ticks; later frames are left out, since others that go on screen before them may be missing."""
        shown = table.shown[: max(1, int(np.searchsorted(table.shown, settled, side="right")))]
        starts_ms = chunk.start_ms + np.rint(shown * float(table.time_base / TICK)).astype(np.int64)
        lasts_ms = grid_ms(table.ends_s[-1] - table.starts_s[-1]) if math.isinf(settled) else 1
        end_ms = int(starts_ms[-1]) + max(1, lasts_ms)
        if following is None:
            return cls(chunk, table, starts_ms, end_ms)
        return cls(chunk, table, starts_ms, min(end_ms, following.start_ms))

    def index(self, at_ms: int) -> int:
        """The frame on screen."""
        return max(0, int(np.searchsorted(self.starts_ms, at_ms, side="right")) - 1)

    def goes_on_in(self, following: "Placed") -> bool:
        """Without a hole: the next chunk begins with the frame that ends this one; and in the same codec and size."""
        a, b = self.table, following.table
        return int(self.starts_ms[-1]) == following.chunk.start_ms and (a.codec, a.coded_px) == (b.codec, b.coded_px)

    def span(self, index: int) -> TimeSpan:
        """How long a frame is on screen."""
        after = self.starts_ms[index + 1] if index + 1 < len(self.starts_ms) else self.end_ms
        return TimeSpan(int(self.starts_ms[index]) / 1000, int(after) / 1000)


class ArchiveFetcher:
    """The chunks of one recording behind `Fetcher`. A chunk under way is read as far as it is on the disk."""

    def __init__(self, folder: Path, *, threads: int = 0) -> None:
        """folder: of one recording; named by its id."""
        self.folder, self._decoder = folder, PyAvDecoder(threads=threads)
        self._scanned = lru_cache(maxsize=KEPT_TABLES)(_scanned)

    def extent(self, recording_id: str) -> TimeSpan | None:
        """From the first kept frame to the end of the last; there may be holes in between."""
        found = chunks(self.folder)
        newest = next((placed for i in reversed(range(len(found))) if (placed := self._placed(found, i))), None)
        if newest is None or found[0].start_ms >= newest.end_ms:
            return None
        return TimeSpan(found[0].start_ms / 1000, newest.end_ms / 1000)

    def fetch(self, requests: Sequence[Redecode]) -> list[Frame]:
        """As the protocol says. Raises SourceNotFound where nothing is kept, DecodeError in a hole, saying how far it goes."""
        found, wanted = chunks(self.folder), dict[tuple[int, int], tuple[Placed, dict[Redecode, int]]]()
        for request in requests:
            placed = self._showing(found, request.time_s)
            _, indices = wanted.setdefault((placed.chunk.start_ms, request.max_side_px), (placed, {}))
            indices[request] = placed.index(grid_ms(request.time_s))
        frames: dict[Redecode, Frame] = {}
        for (_, side_px), (placed, indices) in wanted.items():
            frames |= self._frames(placed, side_px, indices)
        return [frames[request] for request in requests]

    def run(self, span: TimeSpan) -> list[Placed]:
        """The chunks that show a span from its start, or from the first frame after that, up to the first hole or another picture size."""
        found, made = chunks(self.folder), list[Placed]()
        first = max(0, _last_before(found, span.start_s))
        for i in range(first, len(found)):
            placed = self._placed(found, i)
            if found[i].start_ms >= span.end_s * 1000 or (made and not (placed and made[-1].goes_on_in(placed))):
                break
            if placed is not None and placed.end_ms > grid_ms(span.start_s):
                made.append(placed)
        return made

    def _showing(self, found: Sequence[Chunk], time_s: float) -> Placed:
        i = _last_before(found, time_s)
        placed = self._placed(found, i) if i >= 0 else None
        if placed is None or grid_ms(time_s) >= placed.end_ms:
            raise self._hole(found, i, time_s)
        return placed

    def _hole(self, found: Sequence[Chunk], i: int, time_s: float) -> FootageError:
        if not found:
            return SourceNotFound(f"nothing of the stream {self.folder.name} is kept in the archive", hint=HINT)
        before = next((placed for n in range(i, -1, -1) if (placed := self._placed(found, n))), None)
        from_words = "its beginning" if before is None else clock(before.end_ms / 1000)
        to_words = "now" if i + 1 >= len(found) else clock(found[i + 1].start_ms / 1000)
        return DecodeError(f"asked for {clock(time_s)}, but nothing of the stream is kept from {from_words} to {to_words}", hint=HINT)

    def _frames(self, placed: Placed, side_px: int, indices: dict[Redecode, int]) -> dict[Redecode, Frame]:
        pixels = dict(self._decoder.frames(placed.table, sorted(set(indices.values())), side_px))
        lost = [request for request, index in indices.items() if index not in pixels]
        if lost:
            raise DecodeError(f"no frame of the stream can be decoded at {clock(lost[0].time_s)}: it came damaged", hint=HINT)
        return {request: Frame(request.recording_id, placed.span(index), pixels[index]) for request, index in indices.items()}

    def _placed(self, found: Sequence[Chunk], i: int) -> Placed | None:
        """None for a chunk that holds nothing yet, or is gone."""
        try:
            table, settled = self._scanned(found[i].path, found[i].path.stat().st_size)
        except (OSError, FootageError):
            return None
        return Placed.of(found[i], table, found[i + 1] if i + 1 < len(found) else None, settled)


def _last_before(found: Sequence[Chunk], time_s: float) -> int:
    """The place of the chunk that would show that time; -1: it is before the first."""
    return bisect_right(found, grid_ms(time_s), key=lambda chunk: chunk.start_ms) - 1


def _scanned(path: Path, size_bytes: int) -> tuple[PacketTable, float]:
    """And the last tick that is settled: what is shown until then is all there. size_bytes: only to be read again when it has grown."""
    settled = math.inf if is_whole(path) else _decoded_until(path)
    return scan(path), settled


def _decoded_until(path: Path) -> float:
    """When its last packet is decoded: packets come in the order of decoding, so all that is still to come is shown later."""
    last: Any = None
    with opened(path) as container, contextlib.suppress(av.error.FFmpegError):
        for packet in container.demux(pick_stream(container, path)):
            last = packet if packet.size else last
    return -1.0 if last is None or last.dts is None else float(last.dts)

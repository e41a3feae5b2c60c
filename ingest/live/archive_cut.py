"""Cutting a stretch out of the archive of a stream: one clip, also where it runs over several chunks."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av

from footage.errors import SourceError
from footage.timespan import TimeSpan, clock
from ingest.cut import cut
from ingest.live.archive import HINT, ArchiveFetcher, Placed
from ingest.live.chunk_file import TICK, ChunkFile
from ingest.live.chunks import grid_ms
from ingest.packets import PacketTable, opened, scan

WORTH_SAYING_S = 0.1  # less is a frame or so


def cut_archive(archive: ArchiveFetcher, span: TimeSpan, target: Path, *, exact: bool = False) -> tuple[TimeSpan, str]:
    """Write a span of recording time to `target`; returns the span that the clip really shows, and in words why it is shorter than asked.

    As ingest.cut. The clip ends where the archive has a hole, or codec or size change; it begins later where nothing is kept of the start.

    Raises:
        SourceError: nothing of the span is kept, or `target` cannot be written.
    """
    run = archive.run(span)
    if not run:
        raise SourceError(f"nothing of {span} is kept in the archive of the stream", hint=HINT)
    start_s, end_s = int(run[0].starts_ms[0]) / 1000, run[-1].end_ms / 1000
    first_ms, last_ms = (min(grid_ms(at_s), run[-1].end_ms) - int(run[0].starts_ms[0]) for at_s in (span.start_s, span.end_s))
    wanted = TimeSpan(max(0, first_ms) / 1000, last_ms / 1000)
    with _joined(run, target) as table:
        shown = cut(table, wanted, target, exact=exact)
    shown = TimeSpan(round(start_s + shown.start_s, 3), round(start_s + shown.end_s, 3))
    missing = [f"from {clock(a)} to {clock(b)}" for a, b in ((span.start_s, start_s), (end_s, span.end_s)) if b - a > WORTH_SAYING_S]
    return shown, f"not in the clip: {' and '.join(missing)} (nothing is kept of it, or another kind of picture)" if missing else ""


@contextmanager
def _joined(run: Sequence[Placed], target: Path) -> Iterator[PacketTable]:
    """The chunks as one file, which is gone afterwards."""
    if len(run) == 1:
        yield run[0].table
        return
    whole = target.with_name(f".{target.stem}.whole.mkv")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _join(run, whole)
        yield scan(whole)
    except (av.error.FFmpegError, ValueError, OSError) as error:
        raise SourceError(f"cannot write beside {str(target)!r}: {error}", hint="name another place for the clip") from error
    finally:
        whole.unlink(missing_ok=True)


def _join(run: Sequence[Placed], target: Path) -> None:
    with opened(run[0].chunk.path) as container:
        out = ChunkFile(target, _kept(container, run[0].table))
    try:
        for placed in run:
            _append(placed, out, placed.chunk.start_ms - run[0].chunk.start_ms)
    finally:
        out.close()


def _append(placed: Placed, out: ChunkFile, shift_ms: int) -> None:
    """Of the frame that two chunks share the earlier one is taken: what leans on it stands behind it there."""
    with opened(placed.chunk.path) as container:
        is_shared = out.packets > 0
        for packet in container.demux(_kept(container, placed.table)):
            is_video = packet.stream.index == placed.table.stream_index
            if packet.size and not (is_shared and is_video):
                out.mux(packet, shift_ms + round(packet.pts * packet.time_base / TICK))
            is_shared = is_shared and not is_video


def _kept(container: Any, table: PacketTable) -> list[Any]:
    return [container.streams[table.stream_index], *container.streams.audio]

"""Cutting a stretch out of a file: stream copy where the container allows it, so that it costs no quality and no time."""

import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from footage.errors import SourceError
from footage.timespan import TimeSpan
from ingest.decode import SEEK_MARGIN_S, PyAvDecoder, seek_before
from ingest.packets import PacketTable, opened

log = logging.getLogger(__name__)


def cut(table: PacketTable, span: TimeSpan, target: Path, *, exact: bool = False) -> TimeSpan:
    """Write `span` of the file to `target`; returns the span that the new file really shows.

    A copy begins at the key frame at or before span.start_s, so it may show a little more, never less. `exact` encodes
    again (H.264, without sound) and begins at the very frame. What cannot be copied into the container of `target` is encoded as well.

    Raises:
        SourceError: nothing of the span is left in the file, or `target` cannot be written.
    """
    if span.start_s >= table.seen_until_s:
        raise SourceError(f"{table.path.name!r} ends at {table.seen_until_s:.3f} s, before {span}")
    if isinstance(table.path, Path) and target.exists() and target.samefile(table.path):
        raise SourceError(f"{str(target)!r} is the footage itself", hint="give the clip another name")
    half = target.with_name(f".{target.stem}.part{target.suffix}")  # nobody sees half a clip
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shown = _written(table, span, half, exact=exact)
        half.replace(target)
    except (av.error.FFmpegError, ValueError, OSError) as error:
        raise SourceError(f"cannot write {str(target)!r}: {error}", hint="use a name that ends in .mp4 or .mkv") from error
    finally:
        half.unlink(missing_ok=True)
    return shown


def _written(table: PacketTable, span: TimeSpan, target: Path, *, exact: bool) -> TimeSpan:
    keys = table.key_indices()
    if not exact and not table.clock_restarts and len(keys) and table.starts_s[keys[0]] <= span.start_s + 1e-9:
        try:
            return _copied(table, span, target)
        except (av.error.FFmpegError, ValueError) as error:
            log.info("cannot copy %s into %s, encoding instead: %s", table.codec, target.suffix, error)
    return _encoded(table, span, target)


def _copied(table: PacketTable, span: TimeSpan, target: Path) -> TimeSpan:
    keys = table.key_indices()
    first = int(keys[max(0, int((table.starts_s[keys] <= span.start_s + 1e-9).sum()) - 1)])
    start_s, zero = float(table.starts_s[first]), table.origin_s + float(table.starts_s[first])
    with opened(table.path) as source, av.open(str(target), "w") as out:
        video = source.streams[table.stream_index]
        kept = [video, *source.streams.audio]
        to = {s.index: out.add_stream_from_template(s, opaque=True) for s in kept}
        row = int(np.flatnonzero(table.pts == table.shown[first])[0])
        seek_before(source, video, table, row, SEEK_MARGIN_S)
        written, usual = 0, round(float(np.median(np.diff(table.shown)))) if len(table) > 1 else 0
        for packet in _between(source.demux(kept), table, int(table.shown[first]), zero, span, start_s):
            written += 1
            shift = round(zero / packet.time_base)
            if packet.stream.index == video.index:  # MP4 loses the last frame where packets do not say how long they last
                packet.duration = packet.duration or usual
            packet.pts, packet.dts = packet.pts - shift, None if packet.dts is None else packet.dts - shift
            packet.stream = to[packet.stream.index]
            out.mux(packet)
        if not written:
            raise ValueError("the key frame was not found again")
    last = int(table.on_screen([min(span.end_s, table.seen_until_s) - 1e-6])[0])
    return TimeSpan(start_s, float(table.ends_s[last]))


def _between(packets: Iterator[Any], table: PacketTable, first_pts: int, zero: float, span: TimeSpan, start_s: float) -> Iterator[Any]:
    """Packets from the key frame on, until decoding order has passed the end of the span; sound only inside it."""
    length_s, begun = span.end_s - start_s, False
    for packet in packets:
        if not packet.size or packet.pts is None:
            continue
        is_video = packet.stream.index == table.stream_index
        begun = begun or (is_video and packet.pts == first_pts)
        at_s = float(packet.pts * packet.time_base) - zero
        decoded_s = at_s if packet.dts is None else float(packet.dts * packet.time_base) - zero
        if is_video and begun and decoded_s >= length_s and at_s >= length_s:
            return
        if (begun and 0 <= at_s < length_s) or (is_video and begun and packet.pts >= first_pts):
            yield packet


def _encoded(table: PacketTable, span: TimeSpan, target: Path) -> TimeSpan:
    first, last = (int(i) for i in table.on_screen([span.start_s, min(span.end_s, table.seen_until_s) - 1e-6]))
    indices, start_s = list(range(first, last + 1)), float(table.starts_s[first])
    with av.open(str(target), "w") as out:
        stream: Any = None
        for index, pixels in PyAvDecoder().frames(table, indices, 1920):
            if stream is None:
                stream = out.add_stream("libx264", rate=Fraction(30), options={"crf": "20", "preset": "veryfast"})
                stream.height, stream.width, stream.pix_fmt = pixels.shape[0] & ~1, pixels.shape[1] & ~1, "yuv420p"
                stream.time_base = stream.codec_context.time_base = Fraction(1, 90000)
            frame = av.VideoFrame.from_ndarray(pixels[: stream.height, : stream.width].copy(), format="rgb24")
            frame.pts, frame.time_base = round((float(table.starts_s[index]) - start_s) * 90000), Fraction(1, 90000)
            out.mux(stream.encode(frame))
        if stream is None:
            raise ValueError(f"no frame of {span} can be decoded")
        out.mux(stream.encode(None))
    return TimeSpan(start_s, float(table.ends_s[last]))

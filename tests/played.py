"""A film as one connection of a stream, for what takes a stream's packets."""

from fractions import Fraction
from pathlib import Path

import av
from films import number_in

from ingest.decode import PyAvDecoder
from ingest.live.archive_writer import ArchiveWriter
from ingest.packets import scan

Frames = list[tuple[float, int]]  # recording time of each frame, its number


def play(path: Path, writer: ArchiveWriter, begin_s: float, *, first: int = 0, sound: bool = False) -> Frames:
    """One connection: every packet from the first on, at begin_s plus its own time; returns what it shows."""
    times = []
    with av.open(str(path)) as container:
        streams = [container.streams.video[0], *(container.streams.audio if sound else [])]
        writer.begin(*streams)
        for n, packet in enumerate(container.demux(streams)):
            if packet.size and n >= first:
                pts = Fraction(n, 10) if packet.pts is None else packet.pts * packet.time_base
                writer.write(packet, begin_s + float(pts))
                if packet.stream is streams[0]:
                    times.append(begin_s + float(pts))
    return [(time_s, first + n) for n, time_s in enumerate(sorted(times))]


def numbers(path: Path) -> list[int]:
    """Of every frame of a file, in the order in which they are shown."""
    table = scan(path)
    return [number_in(pixels) for _, pixels in PyAvDecoder(selective=False).frames(table, range(len(table)), 400)]

"""One Matroska file of packets as they came, readable while it grows; a kill costs its last cluster."""

import contextlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

TICK = Fraction(1, 1000)  # all that Matroska keeps
NUDGE_MS = 5  # frames of one millisecond are pushed apart by this at most
SEGMENT, UNKNOWN = bytes.fromhex("18538067"), 2**56 - 1  # the element that holds all others; its length while it is written
OPTIONS = {"cluster_time_limit": "1000", "flush_packets": "1", "max_interleave_delta": "500000"}


def is_whole(path: Path) -> bool:
    """It was closed, and nothing is cut off: its Segment says how long it is (RFC 8794, 6.2; RFC 9559, 5.1), and the file holds that."""
    with path.open("rb") as file:
        head = file.read(128)
    at = head.find(SEGMENT) + len(SEGMENT)
    size = int.from_bytes(head[at : at + 8]) & UNKNOWN
    return at >= len(SEGMENT) and size != UNKNOWN and at + 8 + size <= path.stat().st_size


class ClockJumped(Exception):
    """A packet would have to be shown before it can be decoded: its clock went backwards."""


class ChunkFile:
    """Written from its first frame on; times are milliseconds since then."""

    def __init__(self, path: Path, streams: Sequence[Any]) -> None:
        """streams: of PyAV, as templates; the first is the picture. Raises av.error.FFmpegError, OSError or ValueError."""
        self.path, self.packets = path, 0
        self._last_ms: dict[int, int] = {}
        self._out = av.open(f"file:{path}", "w", format="matroska", options=OPTIONS)
        try:
            self._tracks = {stream.index: self._out.add_stream_from_template(stream, opaque=True) for stream in streams}
            self._out.start_encoding()
        except BaseException:
            with contextlib.suppress(av.error.FFmpegError, OSError):
                self._out.close()
            path.unlink(missing_ok=True)
            raise

    def mux(self, packet: Any, at_ms: int) -> None:
        """Write a packet that is shown at_ms after the first frame; it stays as it is.

        Raises:
            ClockJumped: see there. av.error.FFmpegError, OSError, ValueError: the disk refuses, or the packet is bad.
        """
        dts_ms = self._decoded_ms(packet, at_ms)
        copy = av.Packet(packet)  # shares the bytes
        copy.stream, copy.time_base, copy.is_keyframe = self._tracks[packet.stream.index], TICK, packet.is_keyframe
        copy.pts, copy.dts = max(at_ms, dts_ms), dts_ms
        self._out.mux(copy)
        self._last_ms[packet.stream.index] = dts_ms
        self.packets += 1

    def close(self) -> None:
        """Raises av.error.FFmpegError or OSError when the disk refuses."""
        self._out.close()

    def _decoded_ms(self, packet: Any, at_ms: int) -> int:
        """After those of the packets before it, as muxers demand, and as far before at_ms as it was."""
        last_ms = self._last_ms.get(packet.stream.index)
        if packet.dts is None or packet.pts is None:
            return at_ms if last_ms is None else self._sound(last_ms + 1, at_ms)
        dts_ms = at_ms - max(0, round((packet.pts - packet.dts) * packet.time_base / TICK))
        return dts_ms if last_ms is None else self._sound(max(dts_ms, last_ms + 1), at_ms)

    @staticmethod
    def _sound(dts_ms: int, at_ms: int) -> int:
        if dts_ms > at_ms + NUDGE_MS:
            raise ClockJumped(f"{dts_ms - at_ms} ms back")
        return dts_ms

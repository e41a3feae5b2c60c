"""The compressed-domain pass: every packet's time, size and dependencies, without decoding a frame.

Seven microseconds a packet buy exact display intervals, the key-frame table, a content id and the plan of the work.
Ticks (container time stamps) live in this file and in decode.py; everybody else sees float64 seconds.
"""

import hashlib
import logging
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition

from footage.arrays import AnyArray, Bools, Seconds
from footage.errors import DecodeError, NotVideo, SourceError, SourceNotFound

log = logging.getLogger(__name__)

MAX_FRAME_PX = 16384 * 8192  # a header may claim any size; above this a frame alone would cost gigabytes
SAMPLED_BLOCKS, BLOCK_BYTES = 16, 65536


@dataclass(frozen=True, slots=True, eq=False)
class PacketTable:
    """One video stream as its packets tell it. n packets in demux order, m shown frames in display order."""

    path: Path
    stream_index: int
    time_base: Fraction
    pts: AnyArray
    """(n,) int64 ticks."""
    dts: AnyArray
    """(n,) int64 ticks; equal to pts where the container gives none."""
    sizes: AnyArray
    """(n,) int32 bytes."""
    is_key: Bools
    """(n,)"""
    shown: AnyArray
    """(m,) int64 ticks, sorted, distinct: when each frame goes on screen."""
    starts_s: Seconds
    """(m,) seconds since the first shown frame."""
    ends_s: Seconds
    """(m,) when the next frame replaces it."""
    duration_s: float
    """End of the last frame; beyond it, when the index promises frames that the file no longer holds."""
    stamps: str
    """What tells a decoded frame's time: "pts"; "dts" where the container keeps decoding order only (AVI); "count" where it
    keeps nothing and times are frame count over nominal rate."""
    codec: str
    width_px: int
    height_px: int
    """As shown: square pixels, upright."""
    coded_px: tuple[int, int]
    rotation_deg: int
    """Counter-clockwise turn that makes the picture upright; a multiple of 90."""
    origin_s: float
    """Container time of the first shown frame."""
    start_offset_s: float
    """First shown frame after the container's own start."""
    facts: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.shown)

    def on_screen(self, times_s: Sequence[float] | Seconds) -> AnyArray:
        """(k,) display index of the frame on screen at each time; the first or last frame outside the recording."""
        return np.clip(np.searchsorted(self.starts_s, times_s, side="right") - 1, 0, len(self.shown) - 1)

    @property
    def decodes_from_start(self) -> bool:
        """Frames are told apart by their place after the first packet, so decoding cannot begin in the middle."""
        return self.stamps != "pts"

    @property
    def seen_until_s(self) -> float:
        """End of the last frame that the file really holds."""
        return float(self.ends_s[-1])

    def key_indices(self) -> AnyArray:
        """(k,) display indices of the frames that decode on their own; none where decoding cannot begin in the middle."""
        if self.decodes_from_start:
            return np.array([], int)
        return np.unique(np.searchsorted(self.shown, self.pts[self.is_key & np.isin(self.pts, self.shown)]))

    def needed(self, indices: Sequence[int]) -> Bools:
        """(n,) which packets must be fed to the decoder so that these display indices come out right.

        From each wanted frame back to its key frame. A frame shown before its own key frame (open group of pictures) needs
        the previous group as well.
        """
        wanted = np.isin(self.pts, self.shown[np.asarray(indices, int)])
        need = np.zeros(len(self.pts), bool)
        keys, group = self._groups()
        for row in _last_of_each(np.flatnonzero(wanted), group):
            need[keys[group[row]] : row + 1] = True
        for g in np.unique(group[wanted & self._leading(keys, group)]):
            need[keys[g - 1] : keys[g]] = True
        return need

    @property
    def has_open_groups(self) -> bool:
        """Some frames are shown before the key frame that they follow in the file."""
        return bool(self._leading(*self._groups()).any())

    def _groups(self) -> tuple[AnyArray, AnyArray]:
        """(g,) rows of key packets (the first packet counts as one), and (n,) the group of each packet."""
        keys = np.flatnonzero(self.is_key)
        keys = keys if len(keys) and keys[0] == 0 else np.append(0, keys)
        return keys, np.searchsorted(keys, np.arange(len(self.pts)), side="right") - 1

    def _leading(self, keys: AnyArray, group: AnyArray) -> Bools:
        """(n,) packets shown before their own key frame."""
        return (self.pts < self.pts[keys[group]]) & (group > 0)


def _last_of_each(rows: AnyArray, group: AnyArray) -> AnyArray:
    """The last of the sorted rows in each group."""
    if len(rows) == 0:
        return rows
    ends = np.flatnonzero(np.diff(group[rows]))
    return rows[np.append(ends, len(rows) - 1)]


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """An open container, with errors that say what is wrong with the file and what to do."""
    if not path.exists():
        raise SourceNotFound(f"there is no file {str(path)!r}", hint="check the path; quote names that hold spaces")
    if path.is_dir():
        raise SourceNotFound(f"{str(path)!r} is a folder, not a file")
    if path.stat().st_size == 0:
        raise NotVideo(f"{str(path)!r} is empty (0 bytes)", hint="copy or download it again")
    try:
        # the file: prefix keeps a leading dash or a colon in the name from being read as an option or a protocol
        container = av.open(f"file:{path}", metadata_errors="replace")
    except PermissionError as error:
        raise SourceError(f"may not read {str(path)!r}", hint="check the file's permissions") from error
    except (av.error.FFmpegError, OSError) as error:
        raise NotVideo(
            f"{str(path)!r} is not a media file that we can read ({_first_bytes(path)})",
            hint="expected a video such as .mp4, .mkv, .mov, .webm, .ts or .avi; `ffprobe FILE` may tell more",
        ) from error
    with container:
        yield container


def _first_bytes(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(24)
    text = head.decode("ascii", "replace")
    return f"it begins with {text!r}" if head.isascii() and text.isprintable() else f"it begins with 0x{head[:8].hex()}"


def pick_stream(container: Any, path: Path) -> Any:
    """The video stream a viewer would see: the container's own choice, never a cover picture.

    Raises:
        NotVideo: no such stream, or none that we have a decoder for.
    """
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        kinds = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
        cover = " and a cover picture" if container.streams.video else ""
        raise NotVideo(
            f"{str(path)!r} has no video stream: it holds {kinds.replace('video, ', '').replace(', video', '')}{cover}",
            hint="give a file with moving pictures",
        )
    best = container.streams.best("video")
    stream = best if best is not None and best in streams else streams[0]
    if stream.codec_context is None:
        raise NotVideo(f"{str(path)!r} uses a video codec that this build of FFmpeg cannot decode")
    return stream


def scan(path: Path) -> PacketTable:
    """Read every packet of the file's video stream, decoding only its first frame (for rotation and size).

    Raises:
        SourceNotFound, NotVideo, SourceError: with what was found and a hint.
        DecodeError: a video stream without one readable packet or frame.
    """
    with opened(path) as container:
        stream = pick_stream(container, path)
        packets, sound_ends_s = _packets(container, stream)
        promised, rate = int(stream.frames or 0), stream.average_rate or stream.guessed_rate or Fraction(25)
        if not len(packets[0]):
            raise DecodeError(f"{str(path)!r} declares a {stream.codec_context.name} video stream but holds no packet of it")
        pts, dts, durations, sizes, keys, discards = packets
        declared = float((stream.duration or 0) * stream.time_base)
        start_s, container_s = (container.start_time or 0) / av.time_base, (container.duration or 0) / av.time_base
        kind, time_base, index = container.format.name, stream.time_base, stream.index
    stamps = "dts" if kind == "avi" and not (dts == _NONE).any() else "count" if (pts == _NONE).any() else "pts"
    if stamps == "dts":  # what FFmpeg gives as pts there is a guess that B-frames break
        pts = dts
    elif stamps == "count":
        time_base, pts = 1 / Fraction(rate), np.arange(len(pts))
        dts, durations, discards = pts, np.ones(len(pts), int), np.zeros(len(pts), bool)
    shown = np.unique(pts[~discards.astype(bool)])
    if len(shown) == 0:
        raise DecodeError(f"{str(path)!r}: every packet of its video stream is marked as not to be shown")
    starts_s = _seconds(shown - shown[0], time_base)
    ends_s = np.append(starts_s[1:], starts_s[-1] + _last_duration_s(shown, pts, durations, time_base))
    if stamps != "count":  # the last picture stays while the sound goes on, as long as the container says that it does
        held_s = min(sound_ends_s, start_s + container_s) - float(shown[0] * time_base)
        ends_s[-1] = max(ends_s[-1], held_s)
    lost = promised > len(pts) and declared > ends_s[-1]
    origin_s = float(shown[0] * time_base)
    first = _first_frame(path, index)
    facts = {"container": kind, "pixels": first["pixels"]}
    if stamps == "count":
        facts["times"] = f"nominal: no time stamps in the container, {float(rate):.3f} frames a second assumed"
    return PacketTable(
        path, index, time_base, pts, np.where(dts == _NONE, pts, dts), sizes, keys.astype(bool), shown, starts_s, ends_s,
        duration_s=declared if lost else float(ends_s[-1]), stamps=stamps, 
        codec=first["codec"], width_px=first["size"][0], height_px=first["size"][1], coded_px=first["coded"],
        rotation_deg=first["rotation"], origin_s=origin_s, start_offset_s=0.0 if stamps == "count" else origin_s - start_s,
        facts=facts,
    )  # fmt: skip


_NONE = -(2**62)  # stands for "no time stamp" in int64 columns


def _packets(container: Any, stream: Any) -> tuple[list[AnyArray], float]:
    """Columns of int64: pts, dts, duration, size, is key, is not to be shown (48 bytes a packet, 120 MB for a day); end of the sound.

    The sound's end is in container seconds, from its packets; 0 where there is none.
    """
    columns, codec = [array("q") for _ in range(6)], stream.codec_context.codec.canonical_name
    sound_ends_s = 0.0
    try:
        for p in container.demux([stream, *container.streams.audio]):
            if p.size and p.stream.index != stream.index:
                if p.pts is not None:
                    sound_ends_s = max(sound_ends_s, float((p.pts + (p.duration or 0)) * p.time_base))
            elif p.size:
                pts, dts = _NONE if p.pts is None else p.pts, _NONE if p.dts is None else p.dts
                hidden = p.is_discard or (codec in ("vp8", "vp9") and _is_hidden(codec, memoryview(p)))
                for column, value in zip(columns, (pts, dts, p.duration or 0, p.size, p.is_keyframe, hidden), strict=True):
                    column.append(value)
    except (av.error.FFmpegError, OSError) as error:  # a broken tail: what came before it counts
        log.warning("demux stopped early file=%s packets=%d error=%s", container.name, len(columns[0]), error)
    return [np.array(column, np.int64) for column in columns], sound_ends_s


def _is_hidden(codec: str, data: memoryview) -> bool:
    """Alternate reference frames of VP8 and VP9 are decoded but never shown (RFC 6386 9.1; VP9 specification 6.2, annex B)."""
    if codec == "vp8":
        return not data[0] >> 4 & 1
    if data[-1] >> 5 == 0b110:  # a superframe ends in its index and always shows one frame
        return False
    profile = data[0] >> 5 & 1 | data[0] >> 3 & 2
    bits = data[0] << 8 | (data[1] if len(data) > 1 else 0)
    at = 11 if profile < 3 else 10  # show_existing_frame, frame_type, show_frame
    return not bits >> at & 1 and not bits >> at - 2 & 1


def _seconds(ticks: AnyArray, time_base: Fraction) -> Seconds:
    """Exact rationals to float64 once: a product of integers, then one correctly rounded division."""
    product: Seconds = ticks * time_base.numerator / np.float64(time_base.denominator)
    return product


def _last_duration_s(shown: AnyArray, pts: AnyArray, durations: AnyArray, time_base: Fraction) -> float:
    """How long the last frame stays: its packet's own duration, unless that is a placeholder of a tick or so."""
    own = float(durations[np.flatnonzero(pts == shown[-1])[-1]] * time_base)
    usual = float(np.median(np.diff(shown)) * time_base) if len(shown) > 1 else 0.0
    return own if own > 0 and own >= usual / 2 else usual or 0.04


def _first_frame(path: Path, index: int) -> dict[str, Any]:
    """What only a decoded frame tells: true size, pixel shape, rotation.

    Raises:
        DecodeError: none of the first 600 packets gives a frame.
    """
    with opened(path) as container:
        stream = container.streams[index]
        for count, packet in enumerate(container.demux(stream)):
            try:
                for frame in stream.codec_context.decode(packet if packet.size else None):
                    return _geometry(frame, stream, path)
            except av.error.FFmpegError as error:
                log.debug("no frame from packet %d of %s: %s", count, path, error)
            if count > 600:
                break
        raise DecodeError(
            f"{str(path)!r}: no frame of its {stream.codec_context.name} video can be decoded",
            hint="the file is damaged from the start, or its codec variant is not supported; try to play it elsewhere",
        )


def _geometry(frame: Any, stream: Any, path: Path) -> dict[str, Any]:
    if frame.width * frame.height > MAX_FRAME_PX:
        raise SourceError(f"{str(path)!r}: frames of {frame.width}x{frame.height} are larger than we decode ({MAX_FRAME_PX} px)")
    shape = stream.sample_aspect_ratio or Fraction(1)
    shape = shape if Fraction(1, 8) < shape < 8 else Fraction(1)  # absurd pixel shapes are damage
    width, height = max(1, round(frame.width * shape)), frame.height
    rotation = round(frame.rotation / 90) * 90 % 360
    if rotation in (90, 270):
        width, height = height, width
    return {"size": (width, height), "coded": (frame.width, frame.height), "rotation": rotation,
            "pixels": frame.format.name, "codec": stream.codec_context.codec.canonical_name}  # fmt: skip


def content_id(table: PacketTable) -> str:
    """16 hex digits from size, packet table and sampled bytes: the same for a copy, another for a cut or re-encoded file."""
    digest = hashlib.blake2b(digest_size=8)
    size = table.path.stat().st_size
    digest.update(f"{size} {table.codec} {table.width_px}x{table.height_px}".encode())
    digest.update(np.ascontiguousarray(table.pts, "<i8").tobytes())
    digest.update(np.ascontiguousarray(table.sizes, "<i8").tobytes())
    with table.path.open("rb") as file:
        for i in range(SAMPLED_BLOCKS):
            file.seek(max(0, (size - BLOCK_BYTES) * i // (SAMPLED_BLOCKS - 1)))
            digest.update(file.read(BLOCK_BYTES))
    return digest.hexdigest()

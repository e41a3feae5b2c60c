"""The compressed-domain pass: every packet's time, size and dependencies, without decoding a frame.

Seven microseconds a packet buy exact display intervals, the key-frame table, a content id and the plan of the work.
Ticks (container time stamps) live in this file and in decode.py; everybody else sees float64 seconds.
"""

import hashlib
import logging
import stat
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import IO, Any, NoReturn, Protocol

import av
import numpy as np
from av.stream import Disposition

from footage.arrays import AnyArray, Bools, Seconds
from footage.errors import DecodeError, NotVideo, SourceError, SourceNotFound
from ingest.limits import DEFAULT_LIMITS, Limits
from ingest.stamps import in_reach, restart_shifts

log = logging.getLogger(__name__)

SAMPLED_BLOCKS, BLOCK_BYTES = 16, 65536
CUT_OFF = "cut off: the file ends before its index says"
FARTHEST = 2**60
FEW = 0.1  # share of packets that may lack a time stamp before none of them is believed


class Remote(Protocol):
    """A file that is not on this machine's disks; its str() is fit to be shown."""

    @property
    def name(self) -> str: ...

    @property
    def size_bytes(self) -> int: ...

    def open(self) -> IO[bytes]:
        """Seekable, at its beginning."""
        ...


Place = Path | Remote


@dataclass(frozen=True, slots=True, eq=False)
class PacketTable:
    """One video stream as its packets tell it. n packets in demux order, m shown frames in display order."""

    path: "Place"
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
    """End of the last frame; beyond it, when the index promises frames that the file no longer holds, or more than a cap were not read."""
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
    lost: str = CUT_OFF
    """Why nothing can be seen between the last frame and duration_s."""
    clock_restarts: bool = False
    """pts and dts are not the container's own: its clock started anew, as in files joined end to end; here it goes on."""
    max_frame_px: int = DEFAULT_LIMITS.frame_px

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
def opened(path: Place) -> Iterator[Any]:
    """An open container, with errors that say what is wrong with the file and what to do."""
    if isinstance(path, Path):
        _refuse_what_is_no_file(path)
    try:
        container = container_of(path, metadata_errors="replace")
    except PermissionError as error:
        raise SourceError(f"may not read {str(path)!r}", hint="check the file's permissions") from error
    except (av.error.FFmpegError, OSError) as error:
        if _lacks_index(path):
            raise NotVideo(
                f"{str(path)!r} is cut off: its index (moov) is missing",
                hint="copy it again, or mend it with a whole file of the same camera",
            ) from error
        raise NotVideo(
            f"{str(path)!r} is not a media file that we can read ({_first_bytes(path)})",
            hint="expected a video such as .mp4, .mkv, .mov, .webm, .ts or .avi; `ffprobe FILE` may tell more",
        ) from error
    with container:
        yield container


def container_of(place: Place, **options: Any) -> Any:
    """Opened by FFmpeg, which reads a remote file through us and never opens another one that its bytes name."""
    if isinstance(place, Path):
        return av.open(f"file:{place}", **options)  # the prefix keeps a dash or a colon in the name from being an option or a protocol
    return av.open(place.open(), io_open=_refuse_another, **options)


def _refuse_another(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    raise SourceError("what lies there is a list of other files, and those are not opened", hint="give the address of a video file")


def _refuse_what_is_no_file(path: Path) -> None:
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        raise SourceNotFound(f"there is no file {str(path)!r}", hint="check the path; quote names that hold spaces") from error
    if stat.S_ISDIR(found.st_mode):
        raise SourceNotFound(f"{str(path)!r} is a folder, not a file")
    if not stat.S_ISREG(found.st_mode):  # opening a pipe would wait for ever
        raise SourceError(f"{str(path)!r} is a device, pipe or socket, not a file", hint="give a file")
    if found.st_size == 0:
        raise NotVideo(f"{str(path)!r} is empty (0 bytes)", hint="copy or download it again")


def size_of(place: Place) -> int:
    """Bytes."""
    return place.stat().st_size if isinstance(place, Path) else place.size_bytes


def _reading(place: Place) -> IO[bytes]:
    return place.open("rb") if isinstance(place, Path) else place.open()


def _lacks_index(path: Place) -> bool:
    """An MP4 (ISO/IEC 14496-12) whose boxes end without "moov"."""
    kinds, at, size = list[bytes](), 0, size_of(path)
    with _reading(path) as file:
        while len(kinds) < 1000 and len(head := file.read(16)) == 16:
            length = int.from_bytes(head[:4], "big")
            length = int.from_bytes(head[8:], "big") if length == 1 else length
            kinds.append(head[4:8])
            at += length
            if length < 8 or at >= size:
                break
            file.seek(at)
    return kinds[:1] == [b"ftyp"] and b"moov" not in kinds


def _first_bytes(path: Place) -> str:
    with _reading(path) as file:
        head = file.read(24)
    text = head.decode("ascii", "replace")
    return f"it begins with {text!r}" if head.isascii() and text.isprintable() else f"it begins with 0x{head[:8].hex()}"


def pick_stream(container: Any, path: Place) -> Any:
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
        raise NotVideo(f"{str(path)!r} uses a video codec that this build of FFmpeg cannot decode", hint="convert it to H.264 first")
    return stream


def scan(path: Place, limits: Limits = DEFAULT_LIMITS) -> PacketTable:
    """Read every packet of the file's video stream, decoding only its first frame (for rotation and size).

    Raises:
        SourceNotFound, NotVideo, SourceError: with what was found and a hint; also where the file asks for more than a cap.
        DecodeError: a video stream without one readable packet or frame.
    """
    read = _read(path, limits)
    stamps, time_base, pts, dts, durations, hidden = _stamps(read)
    shifts = restart_shifts(pts, dts, durations, time_base) if stamps == "pts" else np.zeros(len(pts), np.int64)
    pts, dts = pts + shifts, dts + shifts
    shown = np.unique(pts[hidden == 0])
    if len(shown) == 0:
        raise DecodeError(f"{str(path)!r}: every packet of its video stream is marked as not to be shown")
    shown, until_s, left_out = in_reach(shown, time_base, limits)
    starts_s, origin_s = _seconds(shown - shown[0], time_base), float(shown[0] * time_base)
    last_s = min(_last_duration_s(shown, pts, durations, time_base), limits.jump_h * 3600)
    ends_s = np.append(starts_s[1:], starts_s[-1] + last_s)
    if stamps != "count":  # the last picture stays while the sound goes on, as long as the container says that it does
        held_s = min(read.sound_ends_s, read.start_s + read.container_s) - origin_s
        ends_s[-1] = max(ends_s[-1], held_s if held_s - ends_s[-1] < limits.jump_h * 3600 else 0.0)
    end_s, lost = _end(read, float(ends_s[-1]), until_s, limits)
    first = _first_frame(path, read.index, limits)
    return PacketTable(
        path, read.index, time_base, pts, dts, read.sizes, read.keys.astype(bool), shown, starts_s, ends_s, duration_s=end_s,
        stamps=stamps, codec=first["codec"], width_px=first["size"][0], height_px=first["size"][1], coded_px=first["coded"],
        rotation_deg=first["rotation"], origin_s=origin_s, start_offset_s=0.0 if stamps == "count" else origin_s - read.start_s,
        facts={"container": read.kind, "pixels": first["pixels"]} | _remarks(stamps, bool(shifts.any()), read.rate, left_out), lost=lost,
        clock_restarts=bool(shifts.any()), max_frame_px=limits.frame_px,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """What demuxing gave: columns of int64, one entry a packet, and what the container says of itself, in its own seconds."""

    pts: AnyArray
    dts: AnyArray
    durations: AnyArray
    sizes: AnyArray
    keys: AnyArray
    hidden: AnyArray
    sound_ends_s: float
    is_all: bool
    promised: int
    rate: Fraction
    declared_s: float
    start_s: float
    container_s: float
    kind: str
    time_base: Fraction
    index: int


def _read(path: Place, limits: Limits) -> _Read:
    with opened(path) as container:
        if len(container.streams) > limits.streams:
            raise limits.over("streams", f"{str(path)!r} holds {len(container.streams)} streams")
        stream = pick_stream(container, path)
        columns, sound_ends_s, is_all = _packets(container, stream, limits.packets)
        if not len(columns[0]):
            raise DecodeError(f"{str(path)!r} declares a {stream.codec_context.name} video stream but holds no packet of it")
        pts, dts, durations, sizes, keys, hidden = columns
        return _Read(
            pts, dts, durations, sizes, keys, hidden, sound_ends_s, is_all, promised=int(stream.frames or 0),
            rate=Fraction(stream.average_rate or stream.guessed_rate or 25), declared_s=float((stream.duration or 0) * stream.time_base),
            start_s=(container.start_time or 0) / av.time_base, container_s=(container.duration or 0) / av.time_base,
            kind=container.format.name, time_base=stream.time_base, index=stream.index,
        )  # fmt: skip


def _stamps(read: _Read) -> tuple[str, Fraction, AnyArray, AnyArray, AnyArray, AnyArray]:
    """What tells times (see PacketTable.stamps), the time base, and pts, dts, durations and what is hidden, without holes."""
    dts = np.where(read.dts == _NONE, read.pts, read.dts)
    if read.kind == "avi" and not (read.dts == _NONE).any():  # what FFmpeg gives as pts there is a guess that B-frames break
        return "dts", read.time_base, dts, dts, read.durations, read.hidden
    if np.mean(read.pts == _NONE) > FEW:
        count = np.arange(len(dts))
        return "count", 1 / read.rate, count, count, np.ones(len(dts), int), np.zeros(len(dts), int)
    pts, hidden = _whole(read.pts, read.hidden)
    return "pts", read.time_base, pts, np.where(dts == _NONE, pts, dts), read.durations, hidden


def _end(read: _Read, seen_s: float, until_s: float, limits: Limits) -> tuple[float, str]:
    """When the recording ends, and why nothing is seen after its last frame."""
    if until_s > seen_s:
        return until_s, f"not read: later than limits.span_h ({limits.span_h:g})"
    if not read.is_all:
        return max(seen_s, read.declared_s, read.container_s), f"not read: more than limits.packets ({limits.packets:,})"
    is_cut = read.promised > len(read.pts) and seen_s < read.declared_s < seen_s + limits.span_h * 3600
    return (read.declared_s if is_cut else seen_s), CUT_OFF


def _remarks(stamps: str, restarts: bool, rate: Fraction, left_out: str) -> dict[str, str]:
    remarks = {"left out": left_out} if left_out else {}
    if stamps == "count":
        remarks["times"] = f"nominal: no time stamps in the container, {float(rate):.3f} frames a second assumed"
    elif restarts:
        remarks["times"] = "the container's clock starts anew in the middle; here it goes on"
    return remarks


def _whole(pts: AnyArray, hidden: AnyArray) -> tuple[AnyArray, AnyArray]:
    """The few packets without a time stamp take that of the packet before them and are not shown: decoders may still lean on them."""
    missing = pts == _NONE
    before = np.maximum.accumulate(np.where(missing, 0, np.arange(len(pts))))
    first = int(np.argmin(missing))
    return np.where(missing, pts[np.maximum(before, first)], pts), np.where(missing, 1, hidden)


_NONE = -(2**62)  # stands for "no time stamp" in int64 columns


def _packets(container: Any, stream: Any, most: int) -> tuple[list[AnyArray], float, bool]:
    """Columns of int64: pts, dts, duration, size, is key, is not to be shown (48 bytes a packet, 120 MB for a day); end of the sound;
    whether there were no more packets than `most`.

    The sound's end is in container seconds, from its packets; 0 where there is none.
    """
    columns, codec = [array("q") for _ in range(6)], stream.codec_context.codec.canonical_name
    sound_ends_s, is_all = 0.0, True
    try:
        for p in container.demux([stream, *container.streams.audio]):
            if p.size and p.stream.index != stream.index:
                if p.pts is not None:
                    sound_ends_s = max(sound_ends_s, float((p.pts + (p.duration or 0)) * p.time_base))
            elif p.size:
                if len(columns[0]) == most:
                    is_all = False
                    break
                pts, dts = _NONE if p.pts is None else _near(p.pts), _NONE if p.dts is None else _near(p.dts)
                hidden = p.is_discard or (codec in ("vp8", "vp9") and _is_hidden(codec, memoryview(p)))
                for column, value in zip(columns, (pts, dts, _near(p.duration or 0), p.size, p.is_keyframe, hidden), strict=True):
                    column.append(value)
    except (av.error.FFmpegError, OSError) as error:  # a broken tail: what came before it counts
        log.warning("demux stopped early file=%s packets=%d error=%s", container.name, len(columns[0]), error)
    return [np.array(column, np.int64) for column in columns], sound_ends_s, is_all


def _near(ticks: int) -> int:
    """Any 64 bits may stand in a file; sums of these stay inside them."""
    return max(-FARTHEST, min(FARTHEST, ticks))


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


def capped(context: Any, most_px: int) -> Any:
    """The same codec context, which now refuses larger frames before it makes room for them."""
    context.options = {**context.options, "max_pixels": str(most_px)}
    return context


def _first_frame(path: Place, index: int, limits: Limits) -> dict[str, Any]:
    """What only a decoded frame tells: true size, pixel shape, rotation.

    Raises:
        SourceError: it is larger than a cap.
        DecodeError: none of the first 600 packets gives a frame.
    """
    with opened(path) as container:
        stream = container.streams[index]
        width, height = capped(stream.codec_context, limits.frame_px).width, stream.codec_context.height
        if width * height > limits.frame_px:
            raise limits.over("frame_px", f"{str(path)!r} holds frames of {width}x{height} = {width * height} px")
        for count, packet in enumerate(container.demux(stream)):
            try:
                for frame in stream.codec_context.decode(packet if packet.size else None):
                    return geometry(frame, stream)
            except av.error.FFmpegError as error:
                log.debug("no frame from packet %d of %s: %s", count, path, error)
            if count > 600:
                break
        raise DecodeError(
            f"{str(path)!r}: no frame of its {stream.codec_context.name} video can be decoded",
            hint="the file is damaged from the start, or its codec variant is not supported; try to play it elsewhere",
        )


def geometry(frame: Any, stream: Any) -> dict[str, Any]:
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
    size = size_of(table.path)
    digest.update(f"{size} {table.codec} {table.width_px}x{table.height_px}".encode())
    digest.update(np.ascontiguousarray(table.pts, "<i8").tobytes())
    digest.update(np.ascontiguousarray(table.sizes, "<i8").tobytes())
    with _reading(table.path) as file:
        for i in range(SAMPLED_BLOCKS):
            file.seek(max(0, (size - BLOCK_BYTES) * i // (SAMPLED_BLOCKS - 1)))
            digest.update(file.read(BLOCK_BYTES))
    return digest.hexdigest()

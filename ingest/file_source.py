"""FileSource and FileFetcher: a seekable file as segments of sampled clips, and any moment of it at high resolution."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from footage.arrays import AnyArray, Pixels
from footage.errors import ConfigError, DecodeError, FootageError, SourceNotFound
from footage.frames import Clip, Frame
from footage.questions import Redecode
from footage.recordings import Gap, Recording, Segment, TextRow
from footage.timespan import TimeSpan, clock
from ingest.decode import Decoder, PyAvDecoder, decoder
from ingest.limits import DEFAULT_LIMITS, Limits
from ingest.packets import PacketTable, Place, content_id, scan, size_of
from ingest.picture import fitted_px
from ingest.subtitles import container_subtitles, sidecar_subtitles

DAMAGED = "damaged: no frame could be decoded"
CLIP_BYTES = 64 << 20  # a clip's pixels at most: 10 frames of 1080p, a minute of 640x360


@dataclass(frozen=True, slots=True)
class SamplingConfig:
    """How often and how large frames are taken."""

    fps: float = 1.0
    """Frames a second: the frame on screen at each multiple of 1 / fps."""
    mode: str = "exact"
    """"exact", or "keyframes": only frames that decode on their own, many times faster, late by up to a key-frame interval."""
    segment_s: float = 60.0
    """Least length of a unit of work; it is prolonged to the next key frame."""
    clip_frames: int = 64
    """Most frames handed on at once; large frames come in shorter clips (CLIP_BYTES). A gate keeps the first of each."""
    decoder: str = "pyav"
    threads: int = 0
    """Decoding threads; 0: as many as there are cores."""

    def __post_init__(self) -> None:
        if not (0 < self.fps <= 240 and math.isfinite(self.fps)):
            raise ConfigError(f"fps is {self.fps}", hint="expected more than 0 and at most 240; 1 is the default")
        if self.mode not in ("exact", "keyframes"):
            raise ConfigError(f"sampling mode is {self.mode!r}", hint='expected "exact" or "keyframes"')
        if self.segment_s < 1 or self.clip_frames < 1:
            raise ConfigError(f"segment_s is {self.segment_s}, clip_frames {self.clip_frames}", hint="both are at least 1")


@dataclass(frozen=True, slots=True, eq=False)
class _Sample:
    """One frame to decode and the time it stands for."""

    index: int
    span: TimeSpan
    anchor_s: float


@dataclass(frozen=True, slots=True, eq=False)
class FileSource:
    """A video file. Opening it reads every packet once (about a second an hour of footage) and decodes one frame."""

    table: PacketTable
    recording: Recording
    config: SamplingConfig = field(default_factory=SamplingConfig)
    max_side_px: int = 384
    """Frames are handed out with at most this longer side; the decoder never makes larger ones."""
    limits: Limits = DEFAULT_LIMITS

    @classmethod
    def open(
        cls, path: Place, config: SamplingConfig | None = None, *, max_side_px: int = 384, limits: Limits = DEFAULT_LIMITS
    ) -> "FileSource":
        """Raises SourceNotFound, NotVideo, SourceError or DecodeError, saying what is wrong with the file."""
        return cls.of(scan(path, limits), config, max_side_px=max_side_px, limits=limits)

    @classmethod
    def of(
        cls, table: PacketTable, config: SamplingConfig | None = None, *, max_side_px: int = 384, limits: Limits = DEFAULT_LIMITS
    ) -> "FileSource":
        """The same where the packets are known already."""
        return cls(table, recording_of(table), config or SamplingConfig(), max_side_px, limits)

    def segments(self) -> Iterator[Segment]:
        edges, keys = [0.0], self.table.key_indices()
        for start_s in self.table.starts_s[keys]:
            edge_s = self._edge_s(float(start_s))
            if edge_s - edges[-1] >= self.config.segment_s and edge_s < self.recording.duration_s:
                edges.append(edge_s)
        edges.append(self.recording.duration_s)
        for index, (start_s, end_s) in enumerate(itertools.pairwise(edges)):
            yield Segment(self.recording.recording_id, index, TimeSpan(start_s, end_s))

    def clips(self, segment: Segment) -> Iterator[Clip | Gap]:
        samples, gaps = self._samples(segment.span)
        width, height = fitted_px(self.table.width_px, self.table.height_px, self.max_side_px)
        most = min(self.config.clip_frames, max(1, CLIP_BYTES // (width * height * 3)))
        batch: list[tuple[_Sample, Pixels]] = []
        for got in self._decoded(samples):
            if isinstance(got, Gap):
                yield from self._clip(batch)
                yield got
                batch = []
            else:
                batch.append(got)
            if len(batch) == most:
                yield from self._clip(batch)
                batch = []
        yield from self._clip(batch)
        yield from gaps

    def texts(self) -> list[TextRow]:
        """Subtitles inside the container and beside the file."""
        path, name, table = self.table.path, self.recording.recording_id, self.table
        rows = container_subtitles(path, name, origin_s=table.origin_s, limits=self.limits)
        return rows + sidecar_subtitles(path, name, start_offset_s=table.start_offset_s, limits=self.limits)

    def work_s(self, segment: Segment) -> float:
        """Seconds of footage that a decoder goes through for a segment; where frames are rare, one second a frame."""
        starts, from_start = self.table.starts_s, self.table.decodes_from_start
        first, last = np.searchsorted(starts, [0.0 if from_start else segment.span.start_s, segment.span.end_s])
        return float(min(segment.span.end_s - (0.0 if from_start else segment.span.start_s), last - first + 1))

    @property
    def worst_lateness_s(self) -> float:
        """The sampling interval; in key-frame mode the longest stretch between two key frames, from the packet table."""
        if self._is_exact:
            return 1 / self.config.fps
        keys = np.append(self.table.starts_s[self.table.key_indices()], self.table.seen_until_s)
        return float(max(np.diff(keys).max(initial=0.0), 1 / self.config.fps))

    @property
    def _is_exact(self) -> bool:
        return self.config.mode == "exact" or len(self.table.key_indices()) == 0

    def _edge_s(self, key_start_s: float) -> float:
        """The first sampling time at or after a key frame, so that a segment's first sample decodes from that key frame."""
        if not self._is_exact:
            return key_start_s
        return math.ceil(key_start_s * self.config.fps - 1e-9) / self.config.fps

    def _samples(self, span: TimeSpan) -> tuple[list[_Sample], list[Gap]]:
        """What to decode in a segment; the frames and the gaps (a lost tail) tile it."""
        seen = self.table.seen_until_s
        gaps = [Gap(TimeSpan(max(span.start_s, seen), span.end_s), self.table.lost)] if seen < span.end_s - 1e-6 else []
        if span.start_s >= seen:
            return [], gaps
        end_s = min(span.end_s, seen) if gaps else span.end_s
        times, frames = self._grid(span.start_s, end_s) if self._is_exact else self._keys(span.start_s, end_s)
        first = np.flatnonzero(np.diff(frames, prepend=-1))  # one sample for each distinct frame
        edges = np.append(times[first], end_s)
        edges[0] = span.start_s
        spans = [TimeSpan(float(a), float(b)) for a, b in itertools.pairwise(edges)]
        anchors = times[first]
        return [_Sample(int(i), s, float(a)) for i, s, a in zip(frames[first], spans, anchors, strict=True)], gaps

    def _grid(self, start_s: float, end_s: float) -> tuple[AnyArray, AnyArray]:
        """The multiples of 1 / fps at which another frame is on screen than before; never more than there are frames."""
        fps, starts = self.config.fps, self.table.starts_s
        first, end = math.ceil(start_s * fps - 1e-6), math.ceil(end_s * fps - 1e-6)
        rows = slice(int(self.table.on_screen([first / fps])[0]), int(np.searchsorted(starts, end / fps)))
        k = np.ceil(starts[rows] * fps)
        k -= (k - 1) / fps >= starts[rows]
        k += k / fps < starts[rows]
        k = np.unique(np.clip(k, first, None))
        times = k[k < end] / fps
        return times, self.table.on_screen(times)

    def _keys(self, start_s: float, end_s: float) -> tuple[AnyArray, AnyArray]:
        keys = self.table.key_indices()
        keys = keys[(self.table.starts_s[keys] >= start_s - 1e-9) & (self.table.starts_s[keys] < end_s)]
        starts = self.table.starts_s[keys]
        kept, last = [], -math.inf
        for i, time_s in enumerate(starts.tolist()):
            if time_s - last >= 1 / self.config.fps - 1e-9:
                kept.append(i)
                last = time_s
        return (starts[kept], keys[kept]) if kept else (np.array([start_s]), self.table.on_screen([start_s]))

    def _decoded(self, samples: list[_Sample]) -> Iterator[tuple[_Sample, Pixels] | Gap]:
        """Every sample in order; a gap where its frame is damaged, up to the next whole frame before the next sample."""
        decode = decoder(self.config.decoder, threads=self.config.threads)
        came = decode.frames(self.table, [s.index for s in samples], self.max_side_px)
        index, pixels = next(came, (-1, None))
        for sample in samples:
            if sample.index == index and pixels is not None:
                yield sample, pixels
                index, pixels = next(came, (-1, None))
            else:
                yield from self._rescued(decode, sample)

    def _rescued(self, decode: Decoder, sample: _Sample) -> Iterator[tuple[_Sample, Pixels] | Gap]:
        starts = self.table.starts_s
        others = np.flatnonzero((starts > sample.span.start_s) & (starts < sample.span.end_s)).tolist()
        for index, pixels in decode.frames(self.table, others, self.max_side_px):
            at_s = float(starts[index])
            yield Gap(TimeSpan(sample.span.start_s, at_s), DAMAGED)
            yield _Sample(index, TimeSpan(at_s, sample.span.end_s), at_s), pixels
            return
        yield Gap(sample.span, DAMAGED)

    def _clip(self, batch: list[tuple[_Sample, Pixels]]) -> Iterator[Clip]:
        if batch:
            samples = [sample for sample, _ in batch]
            yield Clip(
                self.recording.recording_id,
                np.stack([pixels for _, pixels in batch]),
                np.array([s.span.start_s for s in samples]),
                np.array([s.span.end_s for s in samples]),
                np.array([s.anchor_s for s in samples]),
            )


def recording_of(table: PacketTable) -> Recording:
    facts = dict(table.facts)
    if table.rotation_deg:
        facts["rotation"] = f"turned by {table.rotation_deg} degrees"
    return Recording(
        content_id(table), table.duration_s, table.width_px, table.height_px, codec=table.codec,
        size_bytes=size_of(table.path), frames=len(table), start_offset_s=table.start_offset_s, facts=facts,
    )  # fmt: skip


class FileFetcher:
    """Random access to files that were indexed: the frame on screen at a time, at the size asked for."""

    def __init__(
        self, locations: Callable[[str], Sequence[str]], *, threads: int = 0, limits: Limits = DEFAULT_LIMITS,
        table_at: Callable[[str], PacketTable] | None = None,
    ) -> None:  # fmt: skip
        """`locations` gives the places where a recording was last seen, newest first; `table_at` the packets of one that is no path too."""
        self._locations, self._decoder = locations, PyAvDecoder(threads=threads)
        self._table_at = table_at or (lambda place: scan(Path(place), limits))
        self._tables: dict[str, PacketTable | None] = {}
        self._why: dict[str, FootageError] = {}

    def extent(self, recording_id: str) -> TimeSpan | None:
        table = self.table(recording_id)
        return None if table is None else TimeSpan(0.0, table.seen_until_s)

    def fetch(self, requests: Sequence[Redecode]) -> list[Frame]:
        frames: dict[Redecode, Frame] = {}
        groups = {(r.recording_id, r.max_side_px) for r in requests}
        for recording_id, side_px in sorted(groups):
            mine = [r for r in requests if (r.recording_id, r.max_side_px) == (recording_id, side_px)]
            frames |= self._fetch(recording_id, side_px, mine)
        return [frames[request] for request in requests]

    def table(self, recording_id: str) -> PacketTable | None:
        """The packets of the file that still holds this recording; None when it is away or another file took its place."""
        if recording_id not in self._tables:
            places = sorted(self._locations(recording_id), key=lambda place: "://" in place)  # this machine's disks first
            self._tables[recording_id] = next((t for place in places if (t := self._holding(place, recording_id))), None)
        return self._tables[recording_id]

    def away(self, recording_id: str, name: str = "") -> SourceNotFound:
        """What to raise where `table` gives nothing: what was found where the file should be."""
        places, why = ", ".join(self._locations(recording_id)) or "nowhere", self._why.get(recording_id)
        text = f"the file of {name or recording_id!r} is away (last seen: {places})"
        if why is None:
            return SourceNotFound(text, hint="bring it back, or index it where it is now")
        return SourceNotFound(f"{text}: {why}", hint=why.hint)

    def _holding(self, place: str, recording_id: str) -> PacketTable | None:
        """The packets of a file if it holds that recording; whatever else stands there now is none of ours."""
        try:
            table = self._table_at(place)
            return table if content_id(table) == recording_id else None
        except FootageError as error:
            if "://" in place:
                self._why[recording_id] = error
            return None

    def _fetch(self, recording_id: str, side_px: int, requests: list[Redecode]) -> dict[Redecode, Frame]:
        table = self.table(recording_id)
        if table is None:
            raise self.away(recording_id)
        late = [r.time_s for r in requests if not 0 <= r.time_s < table.seen_until_s]
        if late:
            raise DecodeError(f"asked for {clock(late[0])}, but {table.path.name!r} can be seen until {clock(table.seen_until_s)}")
        indices = table.on_screen([r.time_s for r in requests]).tolist()
        pixels = dict(self._decoder.frames(table, sorted(set(indices)), side_px))
        lost = [r for r, i in zip(requests, indices, strict=True) if i not in pixels]
        if lost:
            raise DecodeError(f"no frame of {table.path.name!r} can be decoded at {clock(lost[0].time_s)}: it is damaged there")
        return {
            r: Frame(recording_id, TimeSpan(float(table.starts_s[i]), float(table.ends_s[i])), pixels[i])
            for r, i in zip(requests, indices, strict=True)
        }

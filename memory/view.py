"""Kept segments to a MemoryView: arrays concatenated, carriers left where they are until somebody loads them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Protocol, Self

import numpy as np

from footage.arrays import Embeds, Seconds, frozen
from footage.carriers import Carrier, MemoryView, SegmentMemory
from footage.recordings import Gap, Segment
from footage.timespan import TimeSpan, subtract, union

NOT_INDEXED = "not indexed yet"


@dataclass(frozen=True, slots=True, eq=False)
class SegmentKeys:
    """What searching needs of one segment: N carriers without their tokens."""

    fingerprint: str
    """Equal only for the same content (or, in RAM, the same commit)."""
    starts_s: Seconds
    """(N,) hull start of each carrier."""
    ends_s: Seconds
    anchors_s: Seconds
    weights_s: Seconds
    embeds: Embeds
    """(N, E); (0, 0) when the segment has no carriers."""


class KeptSegment(Protocol):
    """The carriers of one segment, wherever they lie; never changes."""

    def keys(self) -> SegmentKeys: ...

    def carriers(self, rows: Sequence[int]) -> list[Carrier]: ...


@dataclass(frozen=True, slots=True)
class SegmentFacts:
    """What the catalogue knows of one kept segment; for reports."""

    segment: Segment
    generation: str
    frames_seen: int
    frames_kept: int
    carriers: int
    tokens: int
    size_bytes: int
    seconds: Mapping[str, float]
    """Work by stage."""
    file: str = ""
    """Inside the library; empty where there are no files."""
    level: int = 0
    novelty: float = 0.0
    forgotten: Mapping[str, float] = field(default_factory=dict)
    """These three as in SegmentMemory."""

    @classmethod
    def of(cls, memory: SegmentMemory, generation: str, *, size_bytes: int, file: str = "") -> Self:
        tokens = sum(len(carrier.tokens) for carrier in memory.carriers)
        counts = memory.frames_seen, memory.frames_kept, len(memory.carriers), tokens, size_bytes
        ages = memory.level, memory.novelty, dict(memory.forgotten)
        return cls(memory.segment, generation, *counts, dict(memory.seconds), file, *ages)

    @property
    def work(self) -> dict[str, Any]:
        """What SegmentMemory says of itself beside what it holds, by field name."""
        work = {"frames_seen": self.frames_seen, "frames_kept": self.frames_kept, "seconds": self.seconds}
        return work | {"level": self.level, "novelty": self.novelty, "forgotten": self.forgotten}


@dataclass(frozen=True, slots=True)
class GenerationFacts:
    """What all segments of one generation share."""

    encoder_id: str
    embed_dim: int
    """E; 0 while no carrier was kept."""

    def check(self, memory: SegmentMemory, encoder_id: str) -> None:
        """Raises ValueError where rows would be mixed that cannot be compared."""
        if encoder_id != self.encoder_id:
            raise ValueError(f"this generation was written by encoder {self.encoder_id!r}, not by {encoder_id!r}")
        found = len(memory.carriers[0].embed) if memory.carriers else self.embed_dim
        if self.embed_dim not in (0, found):
            raise ValueError(f"embeds of this generation are {self.embed_dim} wide, not {found}")


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """One consistent reading of a store: which segments make up a view."""

    version: int
    generation: str
    encoder: GenerationFacts
    segments: tuple[Segment, ...]
    """By recording, as asked for, then by time."""
    gaps: Mapping[str, Sequence[Gap]]
    """As recorded, by recording."""
    stretches: Mapping[str, Sequence[TimeSpan]] = field(default_factory=dict)
    """By recording all the time that is kept of it, where `segments` are not all of its segments."""


class CarrierLoader:
    """Reads carriers by row of the view; holds the segments, so that a writer cannot change them under it."""

    def __init__(self, kept: Sequence[KeptSegment], first_rows: Sequence[int]) -> None:
        self._kept = kept
        self._first_rows = np.asarray(first_rows, dtype=np.int64)  # (S + 1,)

    def __call__(self, rows: Sequence[int]) -> list[Carrier]:
        """Raises IndexError for a row outside the view, StoreError for a damaged file."""
        asked = np.asarray(rows, dtype=np.int64)
        if asked.size and (asked.min() < 0 or asked.max() >= self._first_rows[-1]):
            raise IndexError(f"rows must lie in 0..{self._first_rows[-1] - 1}")
        owners: list[int] = (np.searchsorted(self._first_rows, asked, side="right") - 1).tolist()
        loaded: dict[int, Carrier] = {}
        for owner, group in groupby(sorted(range(len(asked)), key=owners.__getitem__), key=owners.__getitem__):
            places = list(group)
            carriers = self._kept[owner].carriers((asked[places] - self._first_rows[owner]).tolist())
            loaded |= zip(places, carriers, strict=True)
        return [loaded[place] for place in range(len(asked))]


def part_of(recording_ids: Sequence[str] | None, segments: Mapping[str, Collection[int]]) -> dict[str, tuple[int, ...]]:
    """What is asked for of each recording, in one order."""
    return {name: tuple(sorted(segments.get(name, ()))) for name in (segments if recording_ids is None else recording_ids)}


def build_view(snapshot: Snapshot, kept: Sequence[KeptSegment]) -> MemoryView:
    """`kept` in the order of snapshot.segments, each with its carriers in time order. No Python loop over rows."""
    keys = [segment.keys() for segment in kept]
    recording_ids = tuple(dict.fromkeys(segment.recording_id for segment in snapshot.segments))
    order = {recording_id: i for i, recording_id in enumerate(recording_ids)}
    counts = [len(key.embeds) for key in keys]
    embeds = [key.embeds for key in keys if len(key.embeds)] or [np.empty((0, snapshot.encoder.embed_dim), np.float32)]
    horizons, gaps = {}, {}
    for recording_id, segments in groupby(snapshot.segments, key=lambda segment: segment.recording_id):
        spans = snapshot.stretches.get(recording_id) or [segment.span for segment in segments]
        horizons[recording_id] = TimeSpan(min(s.start_s for s in spans), max(s.end_s for s in spans))
        gaps[recording_id] = visible_gaps(snapshot.gaps.get(recording_id, ()), spans)
    return MemoryView(
        generation=snapshot.generation,
        encoder_id=snapshot.encoder.encoder_id,
        version=snapshot.version,
        recording_ids=recording_ids,
        horizons=horizons,
        gaps=gaps,
        which=frozen(np.repeat([order[s.recording_id] for s in snapshot.segments], counts).astype(np.int32)),
        starts_s=_column([key.starts_s for key in keys]),
        ends_s=_column([key.ends_s for key in keys]),
        anchors_s=_column([key.anchors_s for key in keys]),
        weights_s=_column([key.weights_s for key in keys]),
        embeds=frozen(np.concatenate(embeds)),
        load=CarrierLoader(kept, np.concatenate([[0], np.cumsum(counts)]).tolist()),
    )


def visible_gaps(recorded: Iterable[Gap], segments: Sequence[TimeSpan]) -> tuple[Gap, ...]:
    """Gaps of one recording: touching ones of one reason joined, and the holes between its segments."""
    by_reason: dict[str, list[TimeSpan]] = {}
    for gap in recorded:
        by_reason.setdefault(gap.reason, []).append(gap.span)
    hull = TimeSpan(min(s.start_s for s in segments), max(s.end_s for s in segments))
    by_reason.setdefault(NOT_INDEXED, []).extend(subtract(hull, segments))
    return tuple(sorted(Gap(span, reason) for reason, spans in by_reason.items() for span in union(spans)))


def _column(parts: Sequence[Seconds]) -> Seconds:
    return frozen(np.concatenate(parts))

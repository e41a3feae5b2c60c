"""A library in RAM: for tests, and for asking once without keeping anything."""

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from footage.carriers import Carrier, MemoryView, SegmentMemory
from footage.errors import StoreError
from footage.recordings import Gap, Recording, Segment, TextRow
from footage.timespan import TimeSpan, union
from memory.dump import dump
from memory.refusals import check_replacement, not_kept, nothing_recorded, refuse_unkept
from memory.segment_format import check_parts
from memory.segment_times import Amount
from memory.text_search import Found, join_rows, matching, ranked, relevance, squeeze, wordings_in_ram
from memory.view import GenerationFacts, SegmentFacts, SegmentKeys, Snapshot, build_view, part_of


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """One committed segment; never changed, only replaced."""

    memory: SegmentMemory
    facts: SegmentFacts
    fingerprint: str

    def keys(self) -> SegmentKeys:
        rows = self.memory.carriers
        times = np.array([(c.span.start_s, c.span.end_s, c.anchor_s, c.weight_s) for c in rows], np.float64)
        embeds = np.stack([c.embed for c in rows]) if rows else np.empty((0, 0), np.float32)
        starts_s, ends_s, anchors_s, weights_s = times.reshape(-1, 4).T
        return SegmentKeys(self.fingerprint, starts_s, ends_s, anchors_s, weights_s, embeds)

    def carriers(self, rows: Sequence[int]) -> list[Carrier]:
        return [self.memory.carriers[row] for row in rows]


class RamStore:
    """A `Store` that forgets when the process ends. Keeps what it is given: do not write to those arrays afterwards."""

    read_only = False
    index_directory: Path | None = None

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._version = 0
        self._recordings: dict[str, Recording] = {}
        self._names: dict[str, list[str]] = {}
        self._locations: dict[str, list[str]] = {}  # newest first
        self._generations: dict[str, GenerationFacts] = {}
        self._kept: dict[tuple[str, str, int], _Kept] = {}  # by recording, generation, index

    @property
    def version(self) -> int:
        """Grows with every change."""
        return self._version

    # Recordings

    def add(self, recording: Recording, name: str, *, location: str = "") -> None:
        recording_id = recording.recording_id
        with self._lock:
            names = self._names.setdefault(recording_id, [])
            locations = self._locations.setdefault(recording_id, [])
            before = self._recordings.get(recording_id), tuple(names), tuple(locations)
            self._recordings[recording_id] = recording
            if name not in names:
                names.append(name)
            if location:
                locations[:] = [location, *(each for each in locations if each != location)]
            self._version += before != (recording, tuple(names), tuple(locations))

    def forget(self, recording_id: str) -> None:
        """Delete a recording and all that is kept of it."""
        with self._lock:
            self._version += self._recordings.pop(recording_id, None) is not None
            self._names.pop(recording_id, None)
            self._locations.pop(recording_id, None)
            self._kept = {key: kept for key, kept in self._kept.items() if key[0] != recording_id}
            used = {generation for _, generation, _ in self._kept}
            self._generations = {name: facts for name, facts in self._generations.items() if name in used}

    def recordings(self) -> list[Recording]:
        return [recording for _, recording in sorted(self._recordings.items())]

    def names(self, recording_id: str) -> tuple[str, ...]:
        return tuple(self._names.get(recording_id, ()))

    def locations(self, recording_id: str) -> tuple[str, ...]:
        return tuple(self._locations.get(recording_id, ()))

    def sizes(self, recording_id: str) -> int:
        """Bytes of tokens, embeds and thumbnails, over all generations."""
        return sum(kept.facts.size_bytes for kept in self._segments(recording_id))

    # Segments, written

    def commit(self, memory: SegmentMemory, *, generation: str, encoder_id: str) -> bool:
        with self._lock:
            if self._admit(memory, generation, encoder_id):
                return False
            self._keep(memory, generation, encoder_id)
        return True

    def rewrite(self, memory: SegmentMemory, *, generation: str, encoder_id: str) -> None:
        """As the protocol says. Raises StoreError when the segment is not kept."""
        with self._lock:
            if not self._admit(memory, generation, encoder_id):
                raise not_kept(memory.segment.recording_id, memory.segment.index)
            self._keep(memory, generation, encoder_id)

    def replace(
        self, recording_id: str, memories: Sequence[SegmentMemory], *, gone: Sequence[int], generation: str, encoder_id: str
    ) -> None:
        check_replacement(recording_id, memories)
        with self._lock:
            refuse_unkept(recording_id, gone, {index for index in gone if (recording_id, generation, index) in self._kept})
            for memory in memories:
                self._admit(memory, generation, encoder_id)
            for index in gone:
                self._version += self._kept.pop((recording_id, generation, index), None) is not None
            for memory in memories:
                self._keep(memory, generation, encoder_id)

    def drop_segment(self, recording_id: str, generation: str, index: int) -> None:
        """Forget one segment, so that the next index run makes it again."""
        with self._lock:
            self._version += self._kept.pop((recording_id, generation, index), None) is not None

    def _admit(self, memory: SegmentMemory, generation: str, encoder_id: str) -> bool:
        segment = memory.segment
        if segment.recording_id not in self._recordings:
            raise StoreError(f"recording {segment.recording_id} was never added", hint="add it before its segments")
        check_parts(memory)
        if known := self._generations.get(generation):
            known.check(memory, encoder_id)
        return (segment.recording_id, generation, segment.index) in self._kept

    def _keep(self, memory: SegmentMemory, generation: str, encoder_id: str) -> None:
        known = self._generations.get(generation)
        embed_dim = len(memory.carriers[0].embed) if memory.carriers else known.embed_dim if known else 0
        self._generations[generation] = GenerationFacts(encoder_id, embed_dim)
        size_bytes = sum(c.tokens.nbytes + c.embed.nbytes for c in memory.carriers) + sum(map(len, memory.thumbnails))
        facts = SegmentFacts.of(memory, generation, size_bytes=size_bytes)
        self._version += 1
        key = (memory.segment.recording_id, generation, memory.segment.index)
        self._kept[key] = _Kept(memory, facts, str(self._version))

    # Segments, read

    def committed(self, recording_id: str, generation: str) -> Mapping[int, TimeSpan]:
        kept = self._segments(recording_id, generation)
        return {each.memory.segment.index: each.memory.segment.span for each in kept}

    def generations(self, recording_id: str) -> tuple[str, ...]:
        return tuple(sorted({kept.facts.generation for kept in self._segments(recording_id)}))

    def encoder_id(self, generation: str) -> str:
        """Empty for a generation of which nothing is kept."""
        known = self._generations.get(generation)
        return known.encoder_id if known else ""

    def segment_facts(self, recording_id: str, generation: str) -> list[SegmentFacts]:
        """Counts of every kept segment, in time order."""
        return [kept.facts for kept in self._segments(recording_id, generation)]

    def read_segment(self, recording_id: str, generation: str, index: int) -> SegmentMemory:
        """All of one segment, as it was committed. Raises StoreError when it is not kept."""
        kept = self._kept.get((recording_id, generation, index))
        if kept is None:
            raise not_kept(recording_id, index)
        return kept.memory

    def view(
        self, recording_ids: Sequence[str] | None = None, *, generation: str, segments: Mapping[str, Collection[int]] | None = None
    ) -> MemoryView:
        part = None if segments is None else part_of(recording_ids, segments)
        recording_ids = recording_ids if part is None else list(part)
        with self._lock:
            asked, version = self._asked(recording_ids), self._version
            kept = [each for recording_id in asked for each in self._segments(recording_id, generation)]
            encoder = self._generations.get(generation)
        if not kept or encoder is None:
            raise nothing_recorded(asked, generation)
        gaps: dict[str, list[Gap]] = {}
        for each in kept:
            gaps.setdefault(each.memory.segment.recording_id, []).extend(each.memory.gaps)
        stretches: dict[str, tuple[TimeSpan, ...]] = {}
        if part is not None:
            stretches = {name: union(self.committed(name, generation).values()) for name in part}
            kept = [each for each in kept if each.memory.segment.index in part[each.memory.segment.recording_id]]
        if not kept:
            raise nothing_recorded(asked, generation)
        return build_view(Snapshot(version, generation, encoder, tuple(k.memory.segment for k in kept), gaps, stretches), kept)

    def thumbnail(self, recording_id: str, time_s: float, *, generation: str) -> bytes | None:
        for kept in self._segments(recording_id, generation):
            for carrier, jpeg in zip(kept.memory.carriers, kept.memory.thumbnails, strict=False):
                if any(time_s in span for span in carrier.spans):
                    return jpeg or None
        return None

    def written(self) -> dict[str, tuple[str, ...]]:
        """By recording the generations that are kept of it."""
        return {name: kept for name in sorted(self._recordings) if (kept := self.generations(name))}

    def amount(self, recording_ids: Sequence[str], generation: str, span: TimeSpan | None = None) -> Amount:
        """How much is kept of these recordings, or of what overlaps a span of them."""
        spans = [own for name in recording_ids for own in self.committed(name, generation).values()]
        spans = [own for own in spans if span is None or own.overlap_s(span) > 0]
        return Amount(len(spans), sum(own.duration_s for own in spans))

    def horizon(self, recording_id: str, generation: str) -> TimeSpan | None:
        """From the first kept segment to the last; None while there is none."""
        spans = list(self.committed(recording_id, generation).values())
        return TimeSpan(spans[0].start_s, spans[-1].end_s) if spans else None

    def aged_until(self, recording_id: str, generation: str, level: int) -> float | None:
        """End of the last segment that has aged to this level or further, in seconds; None where none has."""
        ends = [kept.facts.segment.span.end_s for kept in self._segments(recording_id, generation) if kept.facts.level >= max(level, 1)]
        return max(ends, default=None)

    def segments_at(self, recording_id: str, generation: str, times_s: Sequence[float]) -> list[Segment | None]:
        """For each time the kept segment that holds it."""
        kept = [each.memory.segment for each in self._segments(recording_id, generation)]
        return [next((segment for segment in kept if time_s in segment.span), None) for time_s in times_s]

    def segments_within(self, recording_id: str, generation: str, span: TimeSpan) -> list[Segment]:
        """Kept ones that overlap a span, in time order."""
        kept = [each.memory.segment for each in self._segments(recording_id, generation)]
        return [segment for segment in kept if segment.span.overlap_s(span) > 0]

    def content(self, generation: str) -> str:
        """Another one for other fingerprints."""
        return repr(sorted(self.fingerprints(generation).items()))

    def fingerprints(self, generation: str) -> dict[tuple[str, int], str]:
        """What an index of this generation should hold: (recording, segment index) to SegmentKeys.fingerprint."""
        with self._lock:
            kept = list(self._kept.items())
        return {(recording_id, index): each.fingerprint for (recording_id, g, index), each in kept if g == generation}

    def keys(self, recording_id: str, generation: str, index: int) -> SegmentKeys | None:
        """Of one segment; None when it is not kept."""
        kept = self._kept.get((recording_id, generation, index))
        return kept.keys() if kept else None

    def _segments(self, recording_id: str, generation: str | None = None) -> list[_Kept]:
        """By generation, then by time."""
        with self._lock:
            found = [(g, kept) for (r, g, _), kept in self._kept.items() if r == recording_id]
        found.sort(key=lambda each: (each[0], each[1].memory.segment.span.start_s))  # they do not overlap
        return [kept for g, kept in found if generation in (None, g)]

    def _asked(self, recording_ids: Sequence[str] | None) -> list[str]:
        return sorted(self._recordings) if recording_ids is None else list(dict.fromkeys(recording_ids))

    # Texts

    def texts(self, recording_ids: Sequence[str] | None = None, *, match: str = "", limit: int = 0) -> list[TextRow]:
        if match:
            return [row for _, row in self.search_texts(match, recording_ids, limit)]
        return join_rows(self._rows(recording_ids))[: limit or None]

    def texts_in(self, spans: Mapping[str, Sequence[TimeSpan]], *, match: str = "") -> list[TextRow]:
        """Text rows that begin inside some spans of each recording, as `texts` gives them."""
        rows = [row for row in self._rows(list(spans)) if any(row.span.start_s in span for span in spans[row.recording_id])]
        return matching(join_rows(rows), self._relevance(match) if match else None)

    def text_places(
        self, words: str, recording_ids: Sequence[str] | None = None, *, limit: int = 512, span: TimeSpan | None = None
    ) -> list[tuple[str, float]]:
        """Recording and start of text rows that hold any of the words, the most relevant first; span: only what overlaps it."""
        rows = [row for row in self._rows(recording_ids) if span is None or row.span.overlap_s(span) > 0]
        return [(row.recording_id, row.span.start_s) for row in matching(rows, self._relevance(words))][:limit]

    def _relevance(self, words: str) -> Found:
        connection = wordings_in_ram({row.text for row in self._rows(None)})
        found = relevance(connection, words)
        connection.close()
        return found

    def search_texts(self, words: str, recording_ids: Sequence[str] | None = None, limit: int = 50) -> list[tuple[float, TextRow]]:
        """(relevance in 0..1, row), best first; see memory.text_search. The words hold no syntax; limit 0 is none."""
        found = self._relevance(words)
        rows = [row for row in self._rows(recording_ids) if squeeze(row.text) in found]
        return ranked(join_rows(rows), found)[: limit or None]

    def _rows(self, recording_ids: Sequence[str] | None) -> list[TextRow]:
        rows: list[TextRow] = []
        for recording_id in self._asked(recording_ids):
            texts = [row for kept in self._segments(recording_id) for row in kept.memory.texts]
            rows += sorted(texts, key=lambda row: (row.span, row.kind, row.text))
        return rows

    def dump(self) -> Iterator[dict[str, Any]]:
        """The content alone, in one order: equal for two libraries that hold the same."""
        return dump(self)

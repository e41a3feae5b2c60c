"""What is wrong with a library: every checksum, every row against its file, the tables themselves, the indexes."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from footage.timespan import TimeSpan
from memory.database import DamagedCatalogue
from memory.recall.index import RecallIndex
from memory.stores import LibraryStore
from memory.view import SegmentFacts

Heard = Callable[[str, float, float], None]
"""Told what is worked on, how much of it is done and how much there is."""


def nobody(what: str, done: float, whole: float) -> None:
    """Hears nothing."""


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing that is not as it was written."""

    part: str
    """"catalogue", "segment" or "index"."""
    why: str
    generation: str = ""
    recording: str = ""
    """Its id; with the fields below, of a segment alone."""
    name: str = ""
    segment: int = -1
    span: TimeSpan | None = None
    file: str = ""

    def __str__(self) -> str:
        if self.span is None:
            return f"{self.part}: {self.why}"
        return f"{self.name}, segment {self.segment}, {self.span}: {self.file} is {self.why} (generation {self.generation})"

    def json(self) -> dict[str, Any]:
        """The same by field; start_s and end_s in place of the span."""
        row: dict[str, Any] = {"part": self.part, "why": self.why}
        if self.generation:
            row["generation"] = self.generation
        if self.span is not None:
            row |= {"recording": self.recording, "name": self.name, "segment": self.segment, "file": self.file}
            row |= {"start_s": self.span.start_s, "end_s": self.span.end_s}
        return row

    @classmethod
    def of(cls, facts: SegmentFacts, why: str, names: Mapping[str, str]) -> "Damage":
        segment = facts.segment
        name = names.get(segment.recording_id, segment.recording_id)
        return cls("segment", why, facts.generation, segment.recording_id, name, segment.index, segment.span, facts.file)


def examine(store: LibraryStore, heard: Heard = nobody) -> Iterator[Damage]:
    """Reads everything, the tables first; ends where these cannot be read."""
    try:
        yield from (Damage("catalogue", problem) for problem in store.catalogue_problems())
        names, kept = names_of(store), store.all_segments()
        for facts, why in store.damaged_segments(counted(kept, "segments", heard)):
            yield Damage.of(facts, why, names)
    except DamagedCatalogue as error:
        yield Damage("catalogue", str(error))
        return
    yield from damaged_indexes(store, sorted({facts.generation for facts in kept}), heard)


def damaged_indexes(store: LibraryStore, generations: list[str], heard: Heard = nobody) -> Iterator[Damage]:
    for number, generation in enumerate(generations):
        heard("indexes", number, len(generations))
        index = RecallIndex(store, generation, store.index_directory)
        yield from (Damage("index", problem, generation) for problem in index.verify())


def counted(kept: list[SegmentFacts], what: str, heard: Heard) -> Iterator[SegmentFacts]:
    """Each of them; tells how many bytes of them are done."""
    whole, done = float(sum(facts.size_bytes for facts in kept)), 0.0
    for facts in kept:
        heard(what, done, whole)
        yield facts
        done += facts.size_bytes
    heard(what, whole, whole)


def names_of(store: LibraryStore) -> dict[str, str]:
    """Recording id to what people call it."""
    return {known.recording.recording_id: next(iter(known.names), known.recording.recording_id) for known in store.known()}

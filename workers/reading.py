"""What a question may read: for each recording the memory that today's encoder can be compared with, behind one view."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from footage.carriers import MemoryView
from footage.errors import EncoderMismatch, NothingRecorded
from footage.recordings import Recording, Segment, TextRow
from footage.timespan import subtract
from memory.stores import LibraryStore
from workers.known_encoders import Names


@dataclass(frozen=True, slots=True)
class Reading:
    """A library seen through one encoder. Recordings written with other settings are read as they were written."""

    store: LibraryStore
    encoder_id: str
    preferred: str
    """The generation that today's settings write: taken wherever it is there."""
    encoder_names: Mapping[str, Names] = field(default_factory=dict)
    """Encoder id to the names that it is loaded by."""
    part: Mapping[str, tuple[Segment, ...]] | None = None
    """By recording the segments that are looked at, of a library too large to be read whole; None: all."""

    def view(self, recording_ids: Sequence[str] | None = None) -> MemoryView:
        """Raises NothingRecorded when nothing is there, EncoderMismatch when all of it is of other encoders."""
        ids = list(recording_ids if recording_ids is not None else (r.recording_id for r in self.store.recordings()))
        by_generation, part = self.by_generation(ids), self.part
        if not by_generation:
            self._refuse(ids)
        some = None if part is None else {name: [segment.index for segment in own] for name, own in part.items()}
        return MemoryView.joined([self.store.view(names, generation=g, segments=some) for g, names in by_generation.items()])

    def texts(self, recording_ids: Sequence[str] | None = None, *, match: str = "", limit: int = 0) -> list[TextRow]:
        if self.part is None:
            return self.store.texts(recording_ids, match=match, limit=limit)
        names = self.part if recording_ids is None else recording_ids
        spans = {name: [segment.span for segment in self.part.get(name, ())] for name in names}
        return self.store.texts_in(spans, match=match)[: limit or None]

    def by_generation(self, recording_ids: Sequence[str]) -> dict[str, list[str]]:
        """Those that can be read, by the generation in which they are; quick for ten thousand."""
        written, encoder_id = self.store.written(), cache(self.store.encoder_id)
        found: dict[str, list[str]] = {}
        for name in recording_ids:
            same = [g for g in written.get(name, ()) if encoder_id(g) == self.encoder_id]
            if same:
                found.setdefault(self._first(same), []).append(name)
        return found

    def readable(self) -> list[str]:
        """The recordings that a view of all would hold, in its order. Raises as `view` does."""
        ids = [recording.recording_id for recording in self.store.recordings()]
        found = [name for names in self.by_generation(ids).values() for name in names]
        if not found:
            self._refuse(ids)
        return found

    def is_whole(self, recording: Recording) -> bool:
        """Every segment can be read; False after indexing was interrupted."""
        generation = self.generation(recording.recording_id)
        kept = self.store.committed(recording.recording_id, generation).values() if generation else ()
        return not subtract(recording.span, kept, slack_s=0.1)

    def generation(self, recording_id: str) -> str:
        """The preferred one, else any of the same encoder; "" when there is none."""
        return self._first([g for g in self.store.generations(recording_id) if self.store.encoder_id(g) == self.encoder_id])

    def _first(self, same: Sequence[str]) -> str:
        return self.preferred if self.preferred in same else next(iter(same), "")

    def _refuse(self, ids: Sequence[str]) -> None:
        written = [g for name in ids for g in self.store.generations(name)]
        if not written:
            raise NothingRecorded("nothing is indexed yet", hint="index first: footage index VIDEO")
        theirs, ours = self.store.encoder_id(written[0]), self.encoder_id
        raise EncoderMismatch(
            f"the question would be embedded by {ours!r}, but the library was written by {theirs!r}",
            hint=f"ask with --encoder {self.encoder_names.get(theirs, theirs)}, or index again with today's encoder",
        )

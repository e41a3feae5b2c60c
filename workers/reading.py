"""What a question may read: for each recording the memory that today's encoder can be compared with, behind one view."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from footage.carriers import MemoryView
from footage.errors import EncoderMismatch, NothingRecorded
from footage.recordings import Recording, TextRow
from footage.timespan import subtract
from memory.local_store import LocalStore
from workers.known_encoders import Names


@dataclass(frozen=True, slots=True)
class Reading:
    """A library seen through one encoder. Recordings written with other settings are read as they were written."""

    store: LocalStore
    encoder_id: str
    preferred: str
    """The generation that today's settings write: taken wherever it is there."""
    encoder_names: Mapping[str, Names] = field(default_factory=dict)
    """Encoder id to the names that it is loaded by."""

    def view(self, recording_ids: Sequence[str] | None = None) -> MemoryView:
        """Raises NothingRecorded when nothing is there, EncoderMismatch when all of it is of other encoders."""
        ids = list(recording_ids if recording_ids is not None else (r.recording_id for r in self.store.recordings()))
        by_generation: dict[str, list[str]] = {}
        for name in ids:
            if generation := self._generation(name):
                by_generation.setdefault(generation, []).append(name)
        if not by_generation:
            self._refuse(ids)
        return MemoryView.joined([self.store.view(names, generation=g) for g, names in by_generation.items()])

    def texts(self, recording_ids: Sequence[str] | None = None, *, match: str = "", limit: int = 0) -> list[TextRow]:
        return self.store.texts(recording_ids, match=match, limit=limit)

    def is_whole(self, recording: Recording) -> bool:
        """Every segment can be read; False after indexing was interrupted."""
        generation = self._generation(recording.recording_id)
        kept = self.store.committed(recording.recording_id, generation).values() if generation else ()
        return not subtract(recording.span, kept, slack_s=0.1)

    def _generation(self, recording_id: str) -> str:
        """The preferred one, else any of the same encoder; "" when there is none."""
        same = [g for g in self.store.generations(recording_id) if self.store.encoder_id(g) == self.encoder_id]
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

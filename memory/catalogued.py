"""The reading half of every store that keeps its rows in a catalogue and its segments as payloads, wherever the two lie."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from footage.carriers import MemoryView, SegmentMemory
from footage.errors import StoreError
from footage.recordings import Gap, Recording, Segment, TextRow
from footage.timespan import TimeSpan
from memory.catalogue import Catalogue, Known
from memory.dump import dump
from memory.durable import path_part
from memory.refusals import not_kept
from memory.segment_file import SegmentFile
from memory.segment_rows import rows_of, with_rows
from memory.segment_times import Amount
from memory.text_search import join_rows, matching, ranked
from memory.view import SegmentFacts, SegmentKeys, build_view, part_of

ARCHIVE = "archive"
CATALOGUE = "catalogue.sqlite"
OTHERWISE = "not what the catalogue says"
T = TypeVar("T")


class CataloguedStore:
    """What readers see; who writes, and where to, is its subclasses'."""

    directory: Path
    """On this machine: of all that is kept, or of what belongs to it but is not kept in it."""
    read_only: bool

    def __init__(self) -> None:
        self._last_view: tuple[object, MemoryView] | None = None
        self._last_texts: tuple[object, list[TextRow]] = None, []
        self._last_recordings: tuple[int, list[Recording]] = -1, []

    @property
    def _catalogue(self) -> Catalogue:
        """As it is now."""
        raise NotImplementedError

    def _open(self, facts: SegmentFacts) -> SegmentFile:
        """Raises StoreError when the payload is missing or damaged."""
        raise NotImplementedError

    def _open_all(self, kept: Sequence[SegmentFacts], width: int) -> list[SegmentFile]:
        """width: numbers of an embed."""
        return [self._open(facts) for facts in kept]

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def version(self) -> int:
        """Grows with every change."""
        return self._catalogue.version()

    @property
    def index_directory(self) -> Path | None:
        return self.directory / "index"

    def archive_folder(self, recording_id: str) -> Path:
        """Where the packets of a stream are kept for a while; ingest.live writes and reads them."""
        return self.directory / ARCHIVE / path_part(recording_id)

    # Recordings

    def recordings(self) -> list[Recording]:
        version = self.version  # the version first: what comes later is read again
        if self._last_recordings[0] != version:
            self._last_recordings = version, self._catalogue.recordings()
        return list(self._last_recordings[1])

    def known(self) -> list[Known]:
        """Every recording with what is told of it; quick in large libraries."""
        return self._catalogue.known()

    def encoder_ids(self) -> set[str]:
        """Of all that is kept."""
        return self._catalogue.encoder_ids()

    def names(self, recording_id: str) -> tuple[str, ...]:
        return self._catalogue.names(recording_id)

    def locations(self, recording_id: str) -> tuple[str, ...]:
        return self._catalogue.locations(recording_id)

    def sizes(self, recording_id: str) -> int:
        """Bytes of its segment files, over all generations."""
        return sum(facts.size_bytes for facts in self._catalogue.segments(recording_id))

    # Segments, read

    def committed(self, recording_id: str, generation: str) -> Mapping[int, TimeSpan]:
        return {segment.index: segment.span for segment in self._catalogue.segments_within(recording_id, generation)}

    def generations(self, recording_id: str) -> tuple[str, ...]:
        return self._catalogue.generations(recording_id)

    def encoder_id(self, generation: str) -> str:
        """Empty for a generation of which nothing is kept."""
        return self._catalogue.encoder_id(generation)

    def segment_facts(self, recording_id: str, generation: str) -> list[SegmentFacts]:
        """Counts of every kept segment, in time order."""
        return self._catalogue.segments(recording_id, generation)

    def read_segment(self, recording_id: str, generation: str, index: int) -> SegmentMemory:
        """All of one segment, as it was committed. Raises StoreError when it is not kept, or damaged."""

        def read() -> SegmentMemory:
            for facts in self._catalogue.segments(recording_id, generation, index):
                file = self._open(facts)
                memory = SegmentMemory(facts.segment, tuple(file.carriers()), file.thumbnails(), **facts.work)
                return self._catalogue.with_rows(memory, facts)
            raise not_kept(recording_id, index)

        return self._settled(read)

    def view(
        self, recording_ids: Sequence[str] | None = None, *, generation: str, segments: Mapping[str, Collection[int]] | None = None
    ) -> MemoryView:
        """As the protocol says; the same object again while nothing changed."""
        part = None if segments is None else part_of(recording_ids, segments)
        of = None if recording_ids is None else tuple(recording_ids)
        asked = of, generation, None if part is None else tuple(part.items())

        def read() -> MemoryView:
            last = self._last_view
            if last is not None and last[0] == (*asked, self.version):
                return last[1]
            kept = self._catalogue.snapshot(recording_ids, generation) if part is None else self._catalogue.part(part, generation)
            snapshot, facts = kept
            view = build_view(snapshot, self._open_all(facts, snapshot.encoder.embed_dim))
            self._last_view = (*asked, snapshot.version), view
            return view

        return self._settled(read)

    def thumbnail(self, recording_id: str, time_s: float, *, generation: str) -> bytes | None:
        def read() -> bytes | None:
            facts = self._catalogue.segment_at(recording_id, generation, time_s)
            return self._open(facts).thumbnail(time_s) if facts else None

        return self._settled(read)

    def written(self) -> dict[str, tuple[str, ...]]:
        """By recording the generations that are kept of it."""
        return self._catalogue.written()

    def amount(self, recording_ids: Sequence[str], generation: str, span: TimeSpan | None = None) -> Amount:
        """How much is kept of these recordings, or of what overlaps a span of them."""
        return self._catalogue.amount(recording_ids, generation, span)

    def horizon(self, recording_id: str, generation: str) -> TimeSpan | None:
        """From the first kept segment to the last; None while there is none."""
        return self._catalogue.horizon(recording_id, generation)

    def aged_until(self, recording_id: str, generation: str, level: int) -> float | None:
        """End of the last segment that has aged to this level or further, in seconds; None where none has."""
        return self._catalogue.aged_until(recording_id, generation, level)

    def segments_at(self, recording_id: str, generation: str, times_s: Sequence[float]) -> list[Segment | None]:
        """For each time the kept segment that holds it."""
        return self._catalogue.segments_at(recording_id, generation, times_s)

    def segments_within(self, recording_id: str, generation: str, span: TimeSpan) -> list[Segment]:
        """Kept ones that overlap a span, in time order."""
        return self._catalogue.segments_within(recording_id, generation, span)

    def content(self, generation: str) -> str:
        """A hash of all fingerprints."""
        return self._catalogue.content(generation)

    def fingerprints(self, generation: str) -> dict[tuple[str, int], str]:
        """What an index of this generation should hold: (recording, segment index) to SegmentKeys.fingerprint."""
        return {key: file.rpartition("/")[2] for key, file in self._catalogue.files(generation).items()}

    def keys(self, recording_id: str, generation: str, index: int) -> SegmentKeys | None:
        """Of one segment; None when it is not kept."""

        def read() -> SegmentKeys | None:
            kept = self._catalogue.segments(recording_id, generation, index)
            return self._open(kept[0]).keys() if kept else None

        return self._settled(read)

    def _settled(self, read: Callable[[], T]) -> T:
        """Reads again where a writer replaced a file between its row and its opening."""
        while True:
            version = self.version
            try:
                return read()
            except StoreError:
                if self.version == version:
                    raise

    # Upkeep

    def verify(self) -> list[str]:
        """Reads everything and says what is damaged; empty when nothing is."""
        damaged = (
            f"segment {f.segment.index} of {f.segment.recording_id} in generation {f.generation}: {f.file} is {why}"
            for f, why in self.damaged_segments()
        )
        return [*self.catalogue_problems(), *damaged]

    def catalogue_problems(self) -> list[str]:
        """What is wrong with the tables themselves; empty when nothing."""
        return [f"{CATALOGUE}: {problem}" for problem in self._catalogue.problems()]

    def damaged_segments(self, kept: Iterable[SegmentFacts] | None = None) -> Iterator[tuple[SegmentFacts, str]]:
        """Of these segments, or of all: whose payload is "missing" or "damaged", or says otherwise than the catalogue.

        `drop_segment` and another index run mend them.
        """
        for facts in self.all_segments() if kept is None else kept:
            why = self._damage(facts) or self._difference(facts)
            if why and facts in self.segment_facts(facts.segment.recording_id, facts.generation):  # else it was replaced meanwhile
                yield facts, why

    def all_segments(self) -> list[SegmentFacts]:
        """By recording, generation and time."""
        return self._catalogue.segments()

    def segment_from_file(self, facts: SegmentFacts) -> SegmentMemory | None:
        """A segment as its payload alone tells it, work by stage left out; None in older ones, that tell carriers alone."""
        file = self._open(facts)
        rows, bare = file.rows(), SegmentMemory(facts.segment, tuple(file.carriers()), file.thumbnails())
        return None if rows is None else with_rows(bare, rows)

    def gaps(self, recording_id: str, generation: str) -> tuple[Gap, ...]:
        """As recorded, in time order."""
        return self._catalogue.gaps(recording_id, generation)

    def segment_rows(self, facts: SegmentFacts) -> SegmentMemory:
        """A segment as the catalogue alone tells it: without carriers and pictures."""
        return self._catalogue.with_rows(SegmentMemory(facts.segment, (), **facts.work), facts)

    def encoding(self, facts: SegmentFacts) -> str:
        """Of a segment's tokens at rest: "float16" or "int8". Raises StoreError where its payload is away."""
        return self._open(facts).encoding

    def _damage(self, facts: SegmentFacts) -> str:
        """Reads the payload whole: "missing", "damaged", or ""."""
        raise NotImplementedError

    def _difference(self, facts: SegmentFacts) -> str:
        try:
            said = self._open(facts).rows()
        except StoreError as error:
            return f"unreadable: {error}"
        try:
            return "" if said in (None, rows_of(self.segment_rows(facts))) else OTHERWISE
        except (StoreError, ValueError, TypeError):  # values that nothing of ours would have written
            return OTHERWISE

    # Texts

    def texts(self, recording_ids: Sequence[str] | None = None, *, match: str = "", limit: int = 0) -> list[TextRow]:
        if match:
            return [row for _, row in self.search_texts(match, recording_ids, limit)]
        asked = None if recording_ids is None else tuple(recording_ids), self.version  # the version first: what comes later is read again
        last = self._last_texts
        if last[0] != asked:
            self._last_texts = last = asked, join_rows(self._catalogue.texts(recording_ids))
        return last[1][: limit or None]

    def texts_in(self, spans: Mapping[str, Sequence[TimeSpan]], *, match: str = "") -> list[TextRow]:
        """Text rows that begin inside some spans of each recording, as `texts` gives them."""
        return matching(join_rows(self._catalogue.texts_in(spans)), self._catalogue.relevance(match) if match else None)

    def text_places(
        self, words: str, recording_ids: Sequence[str] | None = None, *, limit: int = 512, span: TimeSpan | None = None
    ) -> list[tuple[str, float]]:
        """Recording and start of text rows that hold any of the words, the most relevant first; span: only what overlaps it."""
        return self._catalogue.text_places(words, recording_ids, limit, span)

    def search_texts(self, words: str, recording_ids: Sequence[str] | None = None, limit: int = 50) -> list[tuple[float, TextRow]]:
        """(relevance in 0..1, row), best first; see memory.text_search. The words hold no syntax; limit 0 is none."""
        rows, found = self._catalogue.search(words, recording_ids, limit)
        return ranked(join_rows(rows), found)[: limit or None]

    def dump(self) -> Iterator[dict[str, Any]]:
        """The content alone, in one order: equal for two libraries that hold the same."""
        return dump(self)

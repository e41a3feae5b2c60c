"""A library in a directory: immutable segment files under one SQLite catalogue.

    catalogue.sqlite    what is kept (WAL: readers and the writer do not wait for each other)
    segments/           memory.segment_folder
    index/              memory.index: caches that can be made again
    archive/            ingest.live: the last hours of streams, as they came
    writer.lock         held by the one writer

A segment is there once its catalogue row is committed. Its file was whole on the disk before that, so a crash loses at
most the open segment; what it leaves is a file without a row, which no reader looks at and the next writer sweeps.
"""

import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from footage.carriers import MemoryView, SegmentMemory
from footage.errors import NothingRecorded, StoreError
from footage.recordings import Recording, TextRow
from footage.timespan import TimeSpan
from memory.catalogue import Catalogue, Known, not_kept
from memory.dump import dump
from memory.durable import WriterLock, make_folder, path_part
from memory.segment_folder import SegmentFolder
from memory.text_search import join_rows, ranked
from memory.view import SegmentFacts, SegmentKeys, build_view

CATALOGUE = "catalogue.sqlite"
ARCHIVE = "archive"
T = TypeVar("T")


class LocalStore:
    """A `Store` in a directory: one writing process, any number of reading ones; threads may share it."""

    def __init__(self, directory: Path, *, read_only: bool = False) -> None:
        """Made when it is not there; with read_only nothing is made or changed.

        Raises:
            NothingRecorded: read_only, and there is no library.
            StoreError: it cannot be used, or another writer has it.
        """
        self.directory, self.read_only = Path(directory), read_only
        if read_only and not (self.directory / CATALOGUE).exists():
            raise NothingRecorded(f"there is no library in {directory}", hint="index first: footage index VIDEO")
        self._changing = threading.Lock()
        self._folder = SegmentFolder(self.directory)
        self._last_view: tuple[object, MemoryView] | None = None
        self._last_texts: tuple[object, list[TextRow]] = None, []
        self._last_recordings: tuple[int, list[Recording]] = -1, []
        self._lock = None if read_only else _claim(self.directory)
        try:
            self._catalogue = Catalogue(self.directory / CATALOGUE, read_only=read_only)
            if not read_only:
                self._folder.sweep(self._catalogue.segments())
        except BaseException:
            self._release()
            raise

    def close(self) -> None:
        """Lets another writer in. Views that were taken keep working."""
        self._catalogue.close()
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()

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

    def add(self, recording: Recording, name: str, *, location: str = "") -> None:
        self._must_write()
        self._catalogue.add(recording, name, location)

    def forget(self, recording_id: str) -> None:
        """Delete a recording and all that is kept of it."""
        self._must_write()
        with self._changing:
            self._folder.remove(self._catalogue.forget(recording_id))
            if recording_id:  # else it would be everybody's
                shutil.rmtree(self.archive_folder(recording_id), ignore_errors=True)

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

    # Segments, written

    def commit(self, memory: SegmentMemory, *, generation: str, encoder_id: str) -> bool:
        self._must_write()
        with self._changing:
            if self._catalogue.admit(memory, generation=generation, encoder_id=encoder_id):
                return False
            facts = self._folder.write(memory, generation)
            self._catalogue.keep(memory, facts, encoder_id=encoder_id)
        return True

    def rewrite(self, memory: SegmentMemory, *, generation: str, encoder_id: str) -> None:
        """As the protocol says. Raises StoreError when the segment is not kept."""
        self._must_write()
        with self._changing:
            before = self._catalogue.admit(memory, generation=generation, encoder_id=encoder_id)
            if before is None:
                raise not_kept(memory.segment.recording_id, memory.segment.index)
            facts = self._folder.write(memory, generation)
            self._catalogue.keep(memory, facts, encoder_id=encoder_id)
            self._folder.remove({before.file} - {facts.file})

    def drop_segment(self, recording_id: str, generation: str, index: int) -> None:
        """Forget one segment, so that the next index run makes it again."""
        self._must_write()
        with self._changing:
            files = [facts.file for facts in self._catalogue.segments(recording_id, generation, index)]
            self._catalogue.drop(recording_id, generation, index)
            self._folder.remove(files)

    def _must_write(self) -> None:
        if self.read_only:
            raise StoreError(f"{self.directory} is open for reading only", hint="open it with read_only=False to change it")

    # Segments, read

    def committed(self, recording_id: str, generation: str) -> Mapping[int, TimeSpan]:
        return {facts.segment.index: facts.segment.span for facts in self._catalogue.segments(recording_id, generation)}

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
                file = self._folder.open(facts)
                memory = SegmentMemory(facts.segment, tuple(file.carriers()), file.thumbnails(), **facts.work)
                return self._catalogue.with_rows(memory, generation)
            raise not_kept(recording_id, index)

        return self._settled(read)

    def view(self, recording_ids: Sequence[str] | None = None, *, generation: str) -> MemoryView:
        """As the protocol says; the same object again while nothing changed."""

        def read() -> MemoryView:
            asked, last = (None if recording_ids is None else tuple(recording_ids), generation), self._last_view
            if last is not None and last[0] == (*asked, self.version):
                return last[1]
            snapshot, facts = self._catalogue.snapshot(recording_ids, generation)
            view = build_view(snapshot, [self._folder.open(each) for each in facts])
            self._last_view = (*asked, snapshot.version), view
            return view

        return self._settled(read)

    def thumbnail(self, recording_id: str, time_s: float, *, generation: str) -> bytes | None:
        def read() -> bytes | None:
            facts = self._catalogue.segment_at(recording_id, generation, time_s)
            return self._folder.open(facts).thumbnail(time_s) if facts else None

        return self._settled(read)

    def fingerprints(self, generation: str) -> dict[tuple[str, int], str]:
        """What an index of this generation should hold: (recording, segment index) to SegmentKeys.fingerprint."""
        return {key: file.rpartition("/")[2] for key, file in self._catalogue.files(generation).items()}

    def keys(self, recording_id: str, generation: str, index: int) -> SegmentKeys | None:
        """Of one segment; None when it is not kept."""

        def read() -> SegmentKeys | None:
            kept = self._catalogue.segments(recording_id, generation, index)
            return self._folder.open(kept[0]).keys() if kept else None

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

    # Texts

    def texts(self, recording_ids: Sequence[str] | None = None, *, match: str = "", limit: int = 0) -> list[TextRow]:
        if match:
            return [row for _, row in self.search_texts(match, recording_ids, limit)]
        asked = None if recording_ids is None else tuple(recording_ids), self.version  # the version first: what comes later is read again
        last = self._last_texts
        if last[0] != asked:
            self._last_texts = last = asked, join_rows(self._catalogue.texts(recording_ids))
        return last[1][: limit or None]

    def search_texts(self, words: str, recording_ids: Sequence[str] | None = None, limit: int = 50) -> list[tuple[float, TextRow]]:
        """(relevance in 0..1, row), best first; see memory.text_search. The words hold no syntax; limit 0 is none."""
        rows, found = self._catalogue.search(words, recording_ids)
        return ranked(join_rows(rows), found)[: limit or None]

    # Upkeep

    def dump(self) -> Iterator[dict[str, Any]]:
        """The content alone, in one order: equal for two libraries that hold the same."""
        return dump(self)

    def verify(self) -> list[str]:
        """Reads everything and says what is damaged; empty when nothing is."""
        damaged = (
            f"segment {f.segment.index} of {f.segment.recording_id} in generation {f.generation}: {f.file} is {why}"
            for f, why in self.damaged_segments()
        )
        return [f"{CATALOGUE}: {problem}" for problem in self._catalogue.problems()] + list(damaged)

    def damaged_segments(self) -> Iterator[tuple[SegmentFacts, str]]:
        """Segments whose file is "missing" or "damaged"; `drop_segment` and another index run mend them."""
        return self._folder.damaged(self._catalogue.segments())


def _claim(directory: Path) -> WriterLock:
    if directory.exists() and not directory.is_dir():
        raise StoreError(f"{directory} is a file, expected a directory", hint="name another place: --library DIR")
    try:
        make_folder(directory)
        return WriterLock(directory / "writer.lock")
    except OSError as error:
        hint = "name a place that can be written: --library DIR"
        raise StoreError(f"{directory} cannot be written: {error.strerror}", hint=hint) from error

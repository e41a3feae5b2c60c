"""A library in a directory: immutable segment files under one SQLite catalogue.

    catalogue.sqlite    what is kept (WAL: readers and the writer do not wait for each other)
    segments/           memory.segment_folder
    index/              memory.recall: caches that can be made again
    archive/            ingest.live: the last hours of streams, as they came
    writer.lock         held by the one writer

A segment is there once its catalogue row is committed. Its file was whole on the disk before that, so a crash loses at
most the open segment; what it leaves is a file without a row, which no reader looks at and the next writer sweeps.
"""

import json
import shutil
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from footage.carriers import SegmentMemory
from footage.errors import NothingRecorded, StoreError
from footage.recordings import Recording
from memory.catalogue import Catalogue
from memory.catalogued import CATALOGUE, CataloguedStore
from memory.database import DamagedCatalogue
from memory.durable import WriterLock, make_folder, write_durably
from memory.refusals import check_replacement, not_kept, refuse_unkept
from memory.segment_file import SegmentFile
from memory.segment_folder import SegmentFolder
from memory.view import SegmentFacts


class LocalStore(CataloguedStore):
    """A `Store` in a directory: one writing process, any number of reading ones; threads may share it."""

    def __init__(self, directory: Path, *, read_only: bool = False) -> None:
        """Made when it is not there; with read_only nothing is made or changed.

        Raises:
            NothingRecorded: read_only, and there is no library.
            StoreError: it cannot be used, or another writer has it.
        """
        super().__init__()
        self.directory, self.read_only = Path(directory), read_only
        if read_only and not (self.directory / CATALOGUE).exists():
            raise NothingRecorded(f"there is no library in {directory}", hint="index first: footage index VIDEO")
        if not (self.directory / CATALOGUE).exists() and any(self.directory.glob("segments/*/*/*")):
            raise DamagedCatalogue(self.directory / CATALOGUE, "it is gone, and there are segments")  # a writer would sweep them
        self._changing = threading.Lock()
        self._folder = SegmentFolder(self.directory)
        self._lock = None if read_only else _claim(self.directory)
        try:
            self._rows = Catalogue(self.directory / CATALOGUE, read_only=read_only)
            if not read_only:
                self._folder.sweep(self._catalogue.segments())
        except BaseException:
            self._release()
            raise

    def close(self) -> None:
        """Lets another writer in. Views that were taken keep working."""
        self._rows.close()
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()

    @property
    def _catalogue(self) -> Catalogue:
        return self._rows

    def _open(self, facts: SegmentFacts) -> SegmentFile:
        return self._folder.open(facts)

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

    def replace(
        self, recording_id: str, memories: Sequence[SegmentMemory], *, gone: Sequence[int], generation: str, encoder_id: str
    ) -> None:
        self._must_write()
        check_replacement(recording_id, memories)
        with self._changing:
            kept = self._catalogue.files_of(recording_id, generation, [*gone, *(memory.segment.index for memory in memories)])
            refuse_unkept(recording_id, gone, kept)
            for memory in memories:
                self._catalogue.admit(memory, generation=generation, encoder_id=encoder_id)
            come = [(memory, self._folder.write(memory, generation)) for memory in memories]
            self._catalogue.replace(recording_id, generation, gone, come, encoder_id=encoder_id)
            self._folder.remove(set(kept.values()) - {facts.file for _, facts in come})

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

    # Notes

    def note(self, name: str) -> dict[str, Any] | None:
        """Small JSON that belongs to the library; None where none was kept under that name."""
        path = self.directory / f"{name}.json"
        return dict(json.loads(path.read_text())) if path.exists() else None

    def keep_note(self, name: str, note: Mapping[str, Any]) -> None:
        """In place of what was kept under that name; written whole or not at all."""
        self._must_write()
        data = json.dumps(note, indent=1).encode()
        write_durably(self.directory / f"{name}.json", data)

    # Upkeep

    def leftovers(self) -> set[str]:
        """Files that no row names: those of a writer that did not finish, which the next one sweeps, or is making now."""
        return self._folder.leftovers(self._catalogue.segments())

    def compact(self) -> None:
        """Give back the room of what was forgotten."""
        self._must_write()
        self._catalogue.compact()

    def _damage(self, facts: SegmentFacts) -> str:
        return self._folder.damage(facts)


def _claim(directory: Path) -> WriterLock:
    if directory.exists() and not directory.is_dir():
        raise StoreError(f"{directory} is a file, expected a directory", hint="name another place: --library DIR")
    try:
        make_folder(directory)
        return WriterLock(directory / "writer.lock")
    except OSError as error:
        hint = "name a place that can be written: --library DIR"
        raise StoreError(f"{directory} cannot be written: {error.strerror}", hint=hint) from error

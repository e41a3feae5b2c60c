"""Mends what can be mended, and says what must be indexed again. What is sound is never deleted."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from footage.addresses import scheme_of
from footage.carriers import SegmentMemory
from footage.errors import NothingRecorded
from footage.recordings import Gap
from memory.catalogue import Catalogue
from memory.catalogued import CATALOGUE, OTHERWISE
from memory.database import DamagedCatalogue
from memory.durable import WriterLock, path_part
from memory.recall.index import RecallIndex
from memory.salvage import salvage
from memory.stores import LibraryStore
from memory.view import SegmentFacts
from workers import known_encoders
from workers.library.damage import Damage, Heard, counted, damaged_indexes, names_of, nobody
from workers.recording_job import GIVEN_UP

LOST = GIVEN_UP + "what was remembered of it was damaged"


@dataclass(frozen=True, slots=True)
class Again:
    """A recording with segments that are to be made again."""

    recording: str
    name: str
    location: str
    """Where its source lies; where it was seen last, if it is not there now."""
    is_there: bool
    encoder: str
    """As flags of the command line, after --encoder; "" where that is not known."""


def mended_catalogue(directory: Path) -> Path | None:
    """Makes a damaged catalogue again; where the damaged one lies then, None where it was sound.

    Raises:
        NothingRecorded: there is no library.
        StoreError: somebody writes the library, or it is of a newer footage.
    """
    path = directory / CATALOGUE
    if not directory.is_dir() or not (path.exists() or any(directory.glob("segments/*/*/*"))):
        raise NothingRecorded(f"there is no library in {directory}", hint="name another place: --library DIR")
    lock = WriterLock(directory / "writer.lock")
    try:
        return None if path.exists() and _is_sound(path) else salvage(path, encoder_ids=_encoder_ids(directory))
    finally:
        lock.release()


def _is_sound(path: Path) -> bool:
    try:
        catalogue = Catalogue(path)
        try:
            catalogue.known()
            catalogue.segments()
            return not catalogue.problems()
        finally:
            catalogue.close()
    except DamagedCatalogue:
        return False


def _encoder_ids(directory: Path) -> list[str]:
    """As the library remembers them beside its tables."""
    try:
        return list(json.loads((directory / f"{known_encoders.NOTE}.json").read_text()))
    except (OSError, ValueError, TypeError):
        return []


def mend(store: LibraryStore, heard: Heard = nobody) -> Iterator[tuple[Damage, str]]:
    """Each damage of a library whose tables are sound, and what was done about it."""
    names = names_of(store)
    kept = store.all_segments()
    for facts, why in store.damaged_segments(counted(kept, "segments", heard)):
        yield Damage.of(facts, why, names), _mend_segment(store, facts, why)
    for generation in sorted({facts.generation for facts in kept}):
        for damage in list(damaged_indexes(store, [generation], heard)):
            if store.index_directory is not None:
                shutil.rmtree(store.index_directory / path_part(generation), ignore_errors=True)
            yield damage, "made again"
        RecallIndex.open(store, generation)


def _mend_segment(store: LibraryStore, facts: SegmentFacts, why: str) -> str:
    """A sound file is believed; a damaged one becomes a gap, with the texts that the catalogue still has."""
    told = store.segment_from_file(facts) if why == OTHERWISE else None
    segment, generation = facts.segment, facts.generation
    named = {"generation": generation, "encoder_id": store.encoder_id(generation)}
    if told is not None and told.segment.index == segment.index:
        store.rewrite(replace(told, seconds=facts.seconds), **named)
        return "the catalogue says again what the file says"
    left = store.segment_rows(facts)
    empty = SegmentMemory(segment, (), texts=left.texts, gaps=(Gap(segment.span, LOST),), level=facts.level)
    store.rewrite(empty, **named)
    return "a gap now, until it is indexed again"


def to_index_again(store: LibraryStore) -> list[Again]:
    """Recordings with gaps that the next index run closes."""
    names, encoders = names_of(store), known_encoders.known(store)
    found = []
    for known in store.known():
        recording_id = known.recording.recording_id
        for generation in known.generations:
            if not any(gap.reason == LOST for gap in store.gaps(recording_id, generation)):
                continue
            there = [place for place in known.locations if _is_there(place)]
            location = next(iter([*there, *known.locations]), "")
            encoder = str(encoders.get(store.encoder_id(generation), ""))
            found.append(Again(recording_id, names[recording_id], location, bool(there), encoder))
    return found


def _is_there(place: str) -> bool:
    scheme = scheme_of(place)
    return place.startswith("synthetic:") or (scheme in ("http", "https") if scheme else Path(place).is_file())

"""All that one library holds, into another one, wherever the two lie; what is there already is not copied again."""

from collections.abc import Sequence
from dataclasses import dataclass

from footage.errors import StoreError
from memory.dump import segment_entry
from memory.stores import LibraryStore
from memory.view import SegmentFacts
from workers import known_encoders
from workers.library.damage import Heard, counted, names_of, nobody

NOTES = (known_encoders.NOTE,)


@dataclass(frozen=True, slots=True)
class Copied:
    recordings: int
    segments: int
    """Copied now."""
    there: int
    """Segments that were there already."""
    size_bytes: int
    """Of the segments copied now, as they lay in the source."""


def copy(source: LibraryStore, target: LibraryStore, recording_ids: Sequence[str] | None = None, heard: Heard = nobody) -> Copied:
    """Run again after an interruption, it goes on. Archives of streams and kept answers stay where they are.

    Raises:
        StoreError: a segment of the source is damaged, the target refuses, or holds something else under the same name.
    """
    known = [k for k in source.known() if recording_ids is None or k.recording.recording_id in recording_ids]
    for each in known:
        for location in reversed(each.locations):  # the newest last, so that it is the newest there too
            target.add(each.recording, each.names[0], location=location)
        for name in each.names:
            target.add(each.recording, name)
    for note in NOTES:
        if (kept := source.note(note)) is not None:
            target.keep_note(note, {**(target.note(note) or {}), **kept})
    segments = [facts for k in known for g in k.generations for facts in source.segment_facts(k.recording.recording_id, g)]
    there = {(k.recording.recording_id, g): target.committed(k.recording.recording_id, g) for k in known for g in k.generations}
    made = []
    for facts in counted(segments, "segments", heard):
        is_there = facts.segment.index in there[facts.segment.recording_id, facts.generation]
        if not is_there and _copy_segment(source, target, facts):
            made.append(facts)
    return Copied(len(known), len(made), len(segments) - len(made), sum(facts.size_bytes for facts in made))


def _copy_segment(source: LibraryStore, target: LibraryStore, facts: SegmentFacts) -> bool:
    recording_id, generation, index = facts.segment.recording_id, facts.generation, facts.segment.index
    memory = source.read_segment(recording_id, generation, index)
    return bool(target.commit(memory, generation=generation, encoder_id=source.encoder_id(generation)))


def compare(source: LibraryStore, target: LibraryStore, recording_ids: Sequence[str] | None = None, heard: Heard = nobody) -> None:
    """Reads both. Raises StoreError where a segment of the source is another one in the target, naming it."""
    names = names_of(source)
    wanted = [facts for facts in source.all_segments() if recording_ids is None or facts.segment.recording_id in recording_ids]
    for facts in counted(wanted, "compared", heard):
        segment, generation = facts.segment, facts.generation
        key = (segment.recording_id, generation, segment.index)
        if segment_entry(source.read_segment(*key)) != segment_entry(target.read_segment(*key)):
            place = f"{names[segment.recording_id]}, segment {segment.index}, {segment.span}"
            raise StoreError(
                f"{place}: the target holds another one (generation {generation})",
                hint="it was indexed into both: forget that recording in the target, or copy into an empty library",
            )

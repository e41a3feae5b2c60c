"""What a library holds, in numbers."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from footage.errors import StoreError
from memory.durable import path_part
from memory.recall.index import RecallIndex
from memory.schema import MIGRATIONS
from memory.stores import LibraryStore
from memory.view import SegmentFacts
from workers.library.damage import Heard, counted, nobody

AWAY = "cannot be read"


@dataclass(frozen=True, slots=True)
class Kept:
    """All segments of one generation, level and encoding."""

    generation: str
    level: int
    """0 as made, more after retention made them coarser."""
    encoding: str
    segments: int
    carriers: int
    tokens: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class LibraryFacts:
    """`footage library info`."""

    location: str
    schema: int
    version: int
    recordings: int
    seconds: float
    """Of footage that segments stand for, each generation counted once a recording."""
    kept: tuple[Kept, ...]
    indexes: dict[str, str]
    """Generation to the state of its index."""
    archive_bytes: int
    leftovers: int
    problems: tuple[str, ...]
    """What a short look finds damaged; `footage library verify` reads everything."""

    @property
    def size_bytes(self) -> int:
        return sum(each.size_bytes for each in self.kept)

    def json(self) -> dict[str, Any]:
        """All fields, `kept` as objects, and bytes: of all segments together."""
        return {**asdict(self), "bytes": self.size_bytes}


def facts_of(store: LibraryStore, location: str, heard: Heard = nobody) -> LibraryFacts:
    """Reads the tables and the head of every segment. Raises StoreError where the tables are damaged."""
    segments, recordings = store.all_segments(), store.recordings()
    kept = _kept(store, segments, heard)
    generations = sorted({facts.generation for facts in segments})
    longest = {r.recording_id: 0.0 for r in recordings}
    for (recording_id, _), seconds in _seconds(segments).items():
        longest[recording_id] = max(seconds, longest.get(recording_id, 0.0))
    problems = [*store.catalogue_problems(), *_missing(store, segments, kept)]
    archives = (store.archive_folder(recording.recording_id) for recording in recordings)
    return LibraryFacts(
        location, len(MIGRATIONS), store.version, len(recordings), sum(longest.values()), kept,
        {generation: _index_state(store, generation) for generation in generations},
        sum(map(_bytes_in, archives)), len(store.leftovers()), tuple(problems),
    )  # fmt: skip


def _kept(store: LibraryStore, segments: list[SegmentFacts], heard: Heard) -> tuple[Kept, ...]:
    sums: dict[tuple[str, int, str], Counter[str]] = {}
    for facts in counted(segments, "segments", heard):
        try:
            encoding = store.encoding(facts)
        except StoreError:
            encoding = AWAY
        amounts = {"segments": 1, "carriers": facts.carriers, "tokens": facts.tokens, "size_bytes": facts.size_bytes}
        sums.setdefault((facts.generation, facts.level, encoding), Counter()).update(amounts)
    return tuple(
        Kept(*key, count["segments"], count["carriers"], count["tokens"], count["size_bytes"]) for key, count in sorted(sums.items())
    )


def _seconds(segments: Iterable[SegmentFacts]) -> dict[tuple[str, str], float]:
    """By recording and generation."""
    sums: dict[tuple[str, str], float] = {}
    for facts in segments:
        key = facts.segment.recording_id, facts.generation
        sums[key] = sums.get(key, 0.0) + facts.segment.span.duration_s
    return sums


def _missing(store: LibraryStore, segments: list[SegmentFacts], kept: tuple[Kept, ...]) -> list[str]:
    away = sum(each.segments for each in kept if each.encoding == AWAY)
    return [f"{away} of {len(segments)} segments cannot be read"] if away else []


def _index_state(store: LibraryStore, generation: str) -> str:
    folder = None if store.index_directory is None else store.index_directory / path_part(generation)
    if folder is None or not folder.is_dir():
        return "none yet: made by the next index run, or by the first question in its memory"
    problems = RecallIndex(store, generation, store.index_directory).verify()
    return f"damaged: {problems[0]}" if problems else f"{_bytes_in(folder) / 1e6:.2f} MB"


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0

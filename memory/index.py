"""RecallIndex: which carriers of a whole library are nearest to a question. A cache: the store is the truth.

Saved beside the library as index/<generation>.faiss, .times.npy and .json; the last says which segments (by content)
the other two hold, and their checksums. What is missing is added, what is gone removed, what is damaged made again.
"""

import json
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from footage.arrays import AnyArray, Bools, Embeds
from footage.errors import EncoderMismatch
from footage.timespan import TimeSpan
from memory.durable import file_sha256, make_folder, path_part, replace_file, write_durably
from memory.vectors import BLOCK_ROWS, FaissVectors, Vectors, empty_vectors, has_faiss
from memory.view import SegmentKeys

log = logging.getLogger(__name__)
SCORE_DIGITS = 6  # below this, scores of half-precision vectors are noise, and ties would be broken by it


@dataclass(frozen=True, slots=True)
class Hit:
    """One carrier that a search found."""

    recording_id: str
    span: TimeSpan
    anchor_s: float
    score: float
    """Inner product of unit vectors: the cosine."""


class KeyStore(Protocol):
    """What an index needs of a store."""

    @property
    def version(self) -> int: ...

    @property
    def read_only(self) -> bool: ...

    @property
    def index_directory(self) -> Path | None: ...

    def fingerprints(self, generation: str) -> Mapping[tuple[str, int], str]: ...

    def keys(self, recording_id: str, generation: str, index: int) -> SegmentKeys | None: ...


@dataclass(frozen=True, slots=True)
class _Block:
    """Consecutive rows that came from one segment."""

    recording_id: str
    index: int
    fingerprint: str
    rows: int


class RecallIndex:
    """Exact search over the carriers of one generation. Threads may share it."""

    def __init__(self, store: KeyStore, generation: str, directory: Path | None) -> None:
        self._store, self._generation, self._directory = store, generation, directory
        self._lock = threading.Lock()
        self._version = -1
        self._clear()

    @classmethod
    def open(cls, store: KeyStore, generation: str, directory: Path | None = None) -> "RecallIndex":
        """The saved index brought up to date, or a new one; saved again by a writer, kept in RAM by a reader.

        Args:
            directory: where it is saved; by default beside the store's own files.
        """
        index = cls(store, generation, directory or store.index_directory)
        index._load()
        if index.refresh():
            index.save()
        return index

    def __len__(self) -> int:
        return 0 if self._vectors is None else len(self._vectors)

    def search(self, embed: Embeds, k: int, recording_ids: Sequence[str] | None = None) -> list[Hit]:
        """The k nearest carriers, best first, ties by recording and time; nothing for an all-zero embed.

        Raises:
            EncoderMismatch: embed is not as wide as what is kept.
        """
        with self._lock:
            if self._vectors is None or k < 1 or not np.any(embed):
                return []
            if len(embed) != self._vectors.width:
                found = f"the question's embed is {len(embed)} wide, generation {self._generation!r} {self._vectors.width}"
                raise EncoderMismatch(found, hint="ask with the encoder that wrote it, or index again with this one")
            allowed = None if recording_ids is None else self._of(recording_ids)
            rows, scores = self._best(self._vectors, embed.astype(np.float32), k, allowed)
            return [self._hit(row, score) for row, score in zip(rows.tolist(), scores.tolist(), strict=True)]

    def _best(self, vectors: Vectors, embed: Embeds, k: int, allowed: Bools | None) -> tuple[AnyArray, AnyArray]:
        """Takes in all that tie with the k-th before it cuts, so that a rebuilt index gives the same hits."""
        reach = len(vectors) if allowed is None else int(allowed.sum())
        take = min(k + 1, reach)
        while take:
            rows, scores = vectors.search(embed, take, allowed)
            scores = np.round(scores, SCORE_DIGITS)
            if take == reach or scores[-1] < scores[k - 1]:
                order = np.lexsort((self._times[0, rows], self._which[rows], -scores))[:k]
                return rows[order], scores[order]
            take = min(4 * take, reach)
        return np.empty(0, np.int64), np.empty(0)

    def _of(self, recording_ids: Sequence[str]) -> Bools:
        wanted = [i for i, recording_id in enumerate(self._recording_ids) if recording_id in set(recording_ids)]
        return np.isin(self._which, wanted)

    def _hit(self, row: int, score: float) -> Hit:
        start_s, end_s, anchor_s = self._times[:, row].tolist()
        return Hit(self._recording_ids[self._which[row]], TimeSpan(start_s, end_s), anchor_s, score)

    # Keeping up with the store

    def refresh(self) -> bool:
        """Take in what the store has now; True when anything changed. Costs nothing while the store did not change."""
        with self._lock:
            version = self._store.version  # read first: what comes later is seen again next time
            if version == self._version:
                return False
            wanted = self._store.fingerprints(self._generation)
            stale = [wanted.get((b.recording_id, b.index)) != b.fingerprint for b in self._blocks]
            if any(stale):
                self._remove(stale)
            held = {(block.recording_id, block.index) for block in self._blocks}
            missing = sorted(wanted.keys() - held)
            self._add(missing)
            self._version = version
            return any(stale) or bool(missing)

    def _clear(self) -> None:
        self._vectors: Vectors | None = None
        self._blocks: list[_Block] = []
        self._times: AnyArray = np.empty((3, 0))  # (3, N): start, end, anchor
        self._count_rows()

    def _remove(self, stale: Sequence[bool]) -> None:
        gone = np.repeat(np.array(stale), [block.rows for block in self._blocks])
        if self._vectors is not None:
            self._vectors.remove(gone)
        self._times = self._times[:, ~gone]
        self._blocks = [block for block, is_stale in zip(self._blocks, stale, strict=True) if not is_stale]
        self._count_rows()

    def _add(self, segments: Sequence[tuple[str, int]]) -> None:
        waiting: list[SegmentKeys] = []
        for i, (recording_id, index) in enumerate(segments):
            keys = self._store.keys(recording_id, self._generation, index)
            if keys is not None:
                waiting.append(keys)
                self._blocks.append(_Block(recording_id, index, keys.fingerprint, len(keys.embeds)))
            if i == len(segments) - 1 or sum(len(each.embeds) for each in waiting) >= BLOCK_ROWS:
                self._take(waiting)
                waiting = []
        self._count_rows()

    def _take(self, waiting: Sequence[SegmentKeys]) -> None:
        filled = [keys for keys in waiting if len(keys.embeds)]
        if not filled:
            return
        if self._vectors is None:
            self._vectors = empty_vectors(filled[0].embeds.shape[1])
        self._vectors.add(np.concatenate([keys.embeds for keys in filled]))
        times = [np.stack([keys.starts_s, keys.ends_s, keys.anchors_s]) for keys in filled]
        self._times = np.concatenate([self._times, *times], axis=1)

    def _count_rows(self) -> None:
        """Which recording each row belongs to; recordings in order of their ids, so that ties are too."""
        self._recording_ids = sorted({block.recording_id for block in self._blocks})
        order = {recording_id: i for i, recording_id in enumerate(self._recording_ids)}
        numbers = np.array([order[block.recording_id] for block in self._blocks], np.int32)
        self._which: AnyArray = np.repeat(numbers, [block.rows for block in self._blocks])

    # Files

    def save(self) -> None:
        """Keep it for the next process; does nothing for a reader, without a place or without FAISS."""
        if self._directory is None or self._store.read_only or not isinstance(self._vectors, FaissVectors):
            return
        vectors, times, facts = self._paths(self._directory)
        try:
            make_folder(self._directory)
            sums = [replace_file(vectors, self._vectors.write), replace_file(times, self._write_times)]
            blocks = [[b.recording_id, b.index, b.fingerprint, b.rows] for b in self._blocks]
            about = {"generation": self._generation, "version": self._version, "rows": len(self)}
            write_durably(facts, json.dumps({**about, "sha256": sums, "segments": blocks}).encode())
        except (OSError, RuntimeError) as error:  # FAISS knows no OSError
            log.warning("index of %s not saved: %s", self._generation, error)

    def _load(self) -> None:
        """What was saved, if it is whole; otherwise nothing, and `refresh` makes it again."""
        if self._directory is None or not has_faiss():
            return
        vectors, times, facts = self._paths(self._directory)
        try:
            about: dict[str, Any] = json.loads(facts.read_bytes())
            if about["sha256"] != [file_sha256(vectors), file_sha256(times)]:
                raise ValueError("checksums differ")
            self._blocks = [_Block(*block) for block in about["segments"]]
            self._vectors, self._times = FaissVectors.read(vectors), np.load(times, allow_pickle=False)
            self._count_rows()
            if not len(self) == len(self._which) == self._times.shape[1]:
                raise ValueError("row counts differ")
        except FileNotFoundError as error:
            log.info("index of %s is made anew: no %s", self._generation, error.filename)
            self._clear()
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            log.warning("index of %s is damaged and made anew: %s", self._generation, error)
            self._clear()

    def _write_times(self, path: Path) -> None:
        with path.open("wb") as file:  # a name would get another suffix
            np.save(file, self._times)

    def _paths(self, directory: Path) -> tuple[Path, Path, Path]:
        name = path_part(self._generation)
        return directory / f"{name}.faiss", directory / f"{name}.times.npy", directory / f"{name}.json"

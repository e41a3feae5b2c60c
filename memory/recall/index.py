"""RecallIndex: which carriers of a whole library are nearest to a question. A cache: the store is the truth.

Small libraries are searched exactly, in RAM. Of large ones all but the newest rows are sealed in mapped files (part_files): one-bit codes
say which rows are worth a look, their half-precision vectors give the scores. So a score is always exact; what a search misses is the
price of lists (docs/search-index.md). What is missing is added, what is gone left out, what is damaged made again from the store.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import numpy as np

from footage.arrays import Embeds
from footage.errors import EncoderMismatch
from footage.timespan import TimeSpan
from memory.durable import path_part
from memory.recall.growth import NewRows, Tuning, compacted, frames_of, grown, part_of, scene_of, tidied
from memory.recall.nearest import Found, Shelf, nearest
from memory.recall.part import Part, Where
from memory.recall.part_files import Damaged, PartFiles, damaged_files, open_part, read_manifest, sweep, write_manifest, write_part
from memory.recall.vectors import BLOCK_ROWS, has_faiss, has_gpu
from memory.view import SegmentKeys

log = logging.getLogger(__name__)
Kind: TypeAlias = Literal["frame", "scene"]
ROWS_OF: dict[Kind, Callable[[str, int, SegmentKeys], NewRows]] = {"frame": frames_of, "scene": scene_of}
OPENERS = 4  # threads that read and check saved parts
GPU_ROWS = 4_194_304  # exact on a GPU up to here: 6 GB at width 768


@dataclass(frozen=True, slots=True)
class Hit:
    """One carrier that a search found; or one segment, among scenes."""

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

    def content(self, generation: str) -> str:
        """Another one for other fingerprints, told without reading them one by one."""
        ...

    def fingerprints(self, generation: str) -> Mapping[tuple[str, int], str]: ...

    def keys(self, recording_id: str, generation: str, index: int) -> SegmentKeys | None: ...


class RecallIndex:
    """Search over the carriers, and the segments, of one generation. Threads may share it; a search waits for nobody."""

    def __init__(self, store: KeyStore, generation: str, directory: Path | None, tuning: Tuning | None = None) -> None:
        self._store, self._generation = store, generation
        self._folder = None if directory is None or not has_faiss() else directory / path_part(generation)
        self._tuning = tuning or (Tuning(exact_rows=GPU_ROWS, shard_rows=GPU_ROWS) if has_gpu() else Tuning())
        self._changing = threading.Lock()
        self._version = -1
        self._content = ""
        """Of the store, as all parts together hold it; "" where that is not known."""
        self._shelves: dict[Kind, Shelf] = dict.fromkeys(ROWS_OF, Shelf())  # what is searched
        self._parts: dict[Kind, list[Part]] = {kind: [] for kind in ROWS_OF}  # what it becomes while it changes
        self._files: dict[str, PartFiles] = {}

    @classmethod
    def open(cls, store: KeyStore, generation: str, directory: Path | None = None, *, tuning: Tuning | None = None) -> "RecallIndex":
        """The saved index brought up to date, or a new one; saved again by a writer, kept in RAM by a reader.

        Args:
            directory: where it is saved; by default beside the store's own files.
        """
        index = cls(store, generation, directory or store.index_directory, tuning)
        index._load()
        if index.refresh():
            index.save()
        return index

    def __len__(self) -> int:
        """Carriers."""
        return len(self._shelves["frame"])

    def search(
        self, embed: Embeds, k: int, recording_ids: Sequence[str] | None = None, *, span: TimeSpan | None = None, kind: Kind = "frame"
    ) -> list[Hit]:
        """The k nearest, best first, ties by recording and time; nothing for an all-zero embed.

        Args:
            recording_ids: only carriers of these.
            span: only carriers that overlap it, in seconds of their recording.
            kind: "frame" for carriers, "scene" for whole segments by the mean of their carriers.

        Raises:
            EncoderMismatch: embed is not as wide as what is kept.
        """
        shelf = self._shelves[kind]  # one moment of it, whatever a refresh does meanwhile
        if not shelf.width or k < 1 or not np.any(embed):
            return []
        if len(embed) != shelf.width:
            found = f"the question's embed is {len(embed)} wide, generation {self._generation!r} {shelf.width}"
            raise EncoderMismatch(found, hint="ask with the encoder that wrote it, or index again with this one")
        where = Where(None if recording_ids is None else frozenset(recording_ids), span)
        hits = nearest(shelf, embed.astype(np.float32), k, where, self._tuning.probes)
        return [_hit(each) for each in self._whole(hits, kind)]

    def _whole(self, found: Sequence[Found], kind: Kind) -> list[Found]:
        """Without rows whose file was damaged; their part is left out from now on and made again at the next refresh."""
        bad = {each.part.name for each in found if not each.part.is_whole(each.row)}
        if bad:
            with self._changing:
                log.warning("index of %s is damaged, parts=%s are made anew", self._generation, sorted(bad))
                self._parts[kind] = [part for part in self._parts[kind] if part.name not in bad]
                self._show()
                self._version, self._content = -1, ""
        return [each for each in found if each.part.name not in bad]

    # Keeping up with the store

    def refresh(self) -> bool:
        """Take in what the store has now; True when anything changed. Costs nothing while the store did not change."""
        with self._changing:
            version = self._store.version  # read first: what comes later is seen again next time
            if version == self._version:
                return False
            content = self._store.content(self._generation)
            if content == self._content:  # as it was saved: a minute of video each, 600,000 a year, are not compared
                self._version = version
                return self._show()
            self._content, wanted = "", self._store.fingerprints(self._generation)
            for kind, parts in self._parts.items():
                self._parts[kind] = tidied([part.against(wanted) for part in parts], self._can_seal)
            self._add(wanted)
            is_whole = all(part.stale is None for parts in self._parts.values() for part in parts)
            self._version, self._content = version, content if is_whole else ""
            return self._show()

    def _add(self, wanted: Mapping[tuple[str, int], str]) -> None:
        held = {kind: {segment for part in parts for segment in part.held()} for kind, parts in self._parts.items()}
        for batch in self._read(sorted(wanted.keys() - set.intersection(*held.values()))):
            was_sealed = False
            for kind, rows_of in ROWS_OF.items():
                new = [rows_of(*segment, keys) for segment, keys in batch if segment not in held[kind]]
                was_sealed |= self._take(kind, new, is_last=False)
            if was_sealed:
                with suppress(OSError, RuntimeError, Damaged):  # `save` will tell
                    self._write()  # a first build of hours goes on where it ended
        for kind in ROWS_OF:
            self._take(kind, [], is_last=True)

    def _read(self, segments: Sequence[tuple[str, int]]) -> Iterator[list[tuple[tuple[str, int], SegmentKeys]]]:
        """Their keys, so many segments at a time that copies of them stay small."""
        batch: list[tuple[tuple[str, int], SegmentKeys]] = []
        rows = 0
        for recording_id, index in segments:
            keys = self._store.keys(recording_id, self._generation, index)
            if keys is not None:
                batch.append(((recording_id, index), keys))
                rows += len(keys.embeds)
            if rows >= BLOCK_ROWS:
                yield batch
                batch, rows = [], 0
        yield batch

    def _take(self, kind: Kind, new: Sequence[NewRows], *, is_last: bool) -> bool:
        """Whether anything was sealed."""
        before = self._parts[kind]
        self._parts[kind] = parts = [*before, *([part_of(new)] if new else [])]
        try:
            self._parts[kind] = parts = grown(parts, self._tuning, self._seal if self._can_seal else None, is_last=is_last)
        except (OSError, RuntimeError, Damaged) as error:  # FAISS knows no OSError
            log.warning("index of %s stays in RAM: %s", self._generation, error)
        return any(part.lists is not None and part not in before for part in parts)

    def _show(self) -> bool:
        """Searches see what there is now, in one step; True where that is something else."""
        before = self._shelves
        self._shelves = {kind: Shelf.of(parts, before[kind]) for kind, parts in self._parts.items()}
        return any(shelf.parts != before[kind].parts for kind, shelf in self._shelves.items())

    # Files

    @property
    def _can_seal(self) -> bool:
        return self._folder is not None and not self._store.read_only

    def _seal(self, parts: Sequence[Part], list_rows: int = 0) -> Part:
        assert self._folder is not None
        files = write_part(self._folder, parts, list_rows)
        self._files[files.name] = files
        return open_part(self._folder, files)

    def save(self) -> None:
        """Keep it for the next process; does nothing for a reader, without a place or without FAISS."""
        if self._folder is None or not self._can_seal:
            return
        with self._changing:
            try:
                listed = self._write()
                self._show()
                sweep(self._folder, listed)
                _remove_old_layout(self._folder)
            except (OSError, RuntimeError, Damaged) as error:
                log.warning("index of %s not saved: %s", self._generation, error)

    def _write(self) -> list[PartFiles]:
        """Files for what has none, then the manifest; returns all that it names."""
        assert self._folder is not None
        for kind, parts in self._parts.items():
            self._parts[kind] = [part if part.name else self._seal([part]) for part in parts]
        kept = {str(kind): [self._files[part.name] for part in parts] for kind, parts in self._parts.items()}
        write_manifest(self._folder, {"generation": self._generation, "content": self._content}, kept)
        return [files for each in kept.values() for files in each]

    def compact(self) -> None:
        """Sealed parts that lost rows or are small are made again as fewer; a writer's, saved."""
        if not self._can_seal:
            return
        with self._changing:
            for kind, parts in self._parts.items():
                self._parts[kind] = compacted(parts, self._tuning, self._seal)
        self.save()

    def verify(self) -> list[str]:
        """Reads all files that were saved and says what is damaged; empty when nothing is. The next writer makes it again."""
        return [] if self._folder is None else damaged_files(self._folder)

    def _load(self) -> None:
        """What was saved and is whole; `refresh` makes the rest."""
        if self._folder is None:
            return
        for _ in range(3):  # a writer may put another manifest in place, and sweep, while its files are opened
            try:
                content, listed = read_manifest(self._folder)
                with ThreadPoolExecutor(OPENERS) as pool:  # reading and checksums leave the interpreter to others
                    opened = {kind: list(pool.map(self._opened, listed.get(kind, []))) for kind in ROWS_OF}
                self._parts = {kind: [part for part in parts if part is not None] for kind, parts in opened.items()}
                is_whole = all(None not in parts for parts in opened.values())
                self._content = content if is_whole else ""
                if is_whole or listed == read_manifest(self._folder)[1]:
                    return
            except (OSError, Damaged) as error:
                self._tell(error)
                return

    def _opened(self, files: PartFiles) -> Part | None:
        assert self._folder is not None
        try:
            part = open_part(self._folder, files)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            self._tell(error)
            return None
        self._files[files.name] = files
        return part

    def _tell(self, error: Exception) -> None:
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            log.info("index of %s is made anew: no %s", self._generation, error.filename)
        else:
            log.warning("index of %s is damaged and made anew: %s", self._generation, error)


def _hit(found: Found) -> Hit:
    start_s, end_s, anchor_s = (float(found.part.rows[name][found.row]) for name in ("start_s", "end_s", "anchor_s"))
    return Hit(found.part.recording_of(found.row), TimeSpan(start_s, end_s), anchor_s, found.score)


def _remove_old_layout(folder: Path) -> None:
    """One exact index a generation, as files beside its folder: what was saved before there were parts."""
    for suffix in (".faiss", ".times.npy", ".json"):
        folder.with_name(folder.name + suffix).unlink(missing_ok=True)

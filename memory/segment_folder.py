"""The segment files of a library: written once, opened by many, swept after a crash."""

import logging
from collections.abc import Iterable
from pathlib import Path
from weakref import WeakValueDictionary

from footage.carriers import SegmentMemory
from footage.errors import StoreError
from footage.recordings import Segment
from memory.durable import LEFTOVER, path_part, write_durably
from memory.segment_file import MappedBytes, SegmentFile
from memory.segment_format import content_hash, pack
from memory.view import SegmentFacts

log = logging.getLogger(__name__)
SUFFIX = ".safetensors"


class SegmentFolder:
    """segments/R/G/I-H.safetensors: R recording, G generation, I index of the segment, H content hash."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._opened: WeakValueDictionary[str, SegmentFile] = WeakValueDictionary()  # mapped while a view holds them

    def write(self, memory: SegmentMemory, generation: str) -> SegmentFacts:
        """On the disk when this returns. Raises StoreError when the disk refuses."""
        data = pack(memory)
        facts = SegmentFacts.of(memory, generation, size_bytes=len(data), file=_place(memory.segment, generation, data))
        try:
            write_durably(self._directory / facts.file, data)
        except OSError as error:
            raise StoreError(
                f"{self._directory / facts.file} cannot be written: {error.strerror}",
                hint="make room, or use another library (--library DIR); what is committed is safe",
            ) from error
        return facts

    def open(self, facts: SegmentFacts) -> SegmentFile:
        """Raises StoreError when the file is missing or damaged."""
        file = self._opened.get(facts.file)
        if file is None:
            file = SegmentFile(MappedBytes(self._directory / facts.file), facts.segment.recording_id)
            self._opened[facts.file] = file
        return file

    def remove(self, files: Iterable[str]) -> None:
        """Views that hold them keep reading: a mapped file lives until it is unmapped."""
        for file in files:
            path = self._directory / file
            path.unlink(missing_ok=True)
            for folder in list(path.parents)[:2]:  # of the generation, of the recording
                if not folder.is_dir() or any(folder.iterdir()):
                    break
                folder.rmdir()

    def sweep(self, kept: Iterable[SegmentFacts]) -> None:
        """Remove what a crash left."""
        leftovers = self.leftovers(kept)
        if leftovers:
            log.info("swept leftovers=%d of a writer that did not finish in %s", len(leftovers), self._directory)
        self.remove(leftovers)

    def damage(self, facts: SegmentFacts) -> str:
        """Reads the file whole: "missing", "damaged", or "" where it is as it was written."""
        path = self._directory / facts.file
        if not path.is_file():
            return "missing"
        return "" if facts.file.endswith(f"-{content_hash(path.read_bytes())}{SUFFIX}") else "damaged"

    def leftovers(self, kept: Iterable[SegmentFacts]) -> set[str]:
        """Files that no row names: unfinished ones, and finished ones whose row was never committed."""
        found = (path for path in self._directory.glob("segments/*/*/*") if path.suffix in (SUFFIX, LEFTOVER))
        return {path.relative_to(self._directory).as_posix() for path in found} - {facts.file for facts in kept}


def _place(segment: Segment, generation: str, data: bytes) -> str:
    folder = f"segments/{path_part(segment.recording_id)}/{path_part(generation)}"
    return f"{folder}/{segment.index:06d}-{content_hash(data)}{SUFFIX}"

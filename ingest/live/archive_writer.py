"""The rolling archive of one stream: its packets, not encoded again, in chunks that each begin with a key frame.

A chunk ends with the key frame that begins the next one, and with the pictures that are shown before that key frame but lean on it (open
groups). So every picture can be decoded from one chunk, and a chunk that does not end so is followed by a hole.
"""

import contextlib
import logging
from pathlib import Path
from typing import Any

import av

from ingest.live.chunk_file import ChunkFile, ClockJumped
from ingest.live.chunks import chunk_path, grid_ms
from ingest.live.config import LiveConfig

log = logging.getLogger(__name__)

PAUSE_MS = 60_000  # of recording time, before a disk that refused is tried again
REFUSALS = (av.error.FFmpegError, OSError, ValueError)


class ArchiveWriter:
    """Never raises: what the disk or a packet refuses stops the archive for a minute and is said once."""

    def __init__(self, folder: Path, config: LiveConfig) -> None:
        """folder: of one recording; made with its first chunk. Chunks last about config.segment_s."""
        self._folder, self._length_ms = folder, grid_ms(config.segment_s)
        self._streams: list[Any] = []
        self._chunk: ChunkFile | None = None
        self._ending: ChunkFile | None = None  # the chunk before, while pictures of its last moment may still come
        self._start_ms, self._ending_ms, self._resumes_ms, self._is_paused = 0, 0, 0, False
        self._said: set[str] = set()

    def begin(self, stream: Any, sound: Any = None) -> None:
        """A connection, or a clock that jumped: the next key frame begins a chunk.

        stream, sound: PyAV's, of the container that the packets come from; valid until the next begin or close.
        """
        self.close()
        if stream.codec_context.name == "rawvideo":
            self._say_once("raw video is not archived")
        else:
            self._streams = [stream] if sound is None else [stream, sound]

    def write(self, packet: Any, time_s: float) -> None:
        """Keep a packet that is shown at time_s, recording time; it stays as it is. Before the first key frame nothing is kept."""
        if not packet.size or packet.stream.index not in [stream.index for stream in self._streams]:
            return
        at_ms = grid_ms(time_s)
        try:
            self._keep(packet, at_ms)
        except ClockJumped:
            self._leave()
        except REFUSALS as error:
            if not self._is_paused:
                log.warning("the archive of %s pauses: %s", self._folder.name, error)
            self._is_paused, self._resumes_ms = True, at_ms + PAUSE_MS
            self._leave()

    def close(self) -> None:
        """End of a connection; begin() goes on."""
        self._leave()
        self._streams = []

    def _keep(self, packet: Any, at_ms: int) -> None:
        is_video = packet.stream.index == self._streams[0].index
        if is_video and packet.is_keyframe and at_ms >= self._due_ms():
            self._cut(packet, at_ms)
        if self._ending is not None and at_ms < self._start_ms:
            self._ending.mux(packet, at_ms - self._ending_ms)
        elif self._chunk is not None and at_ms >= self._start_ms:
            self._chunk.mux(packet, at_ms - self._start_ms)
            if is_video and at_ms > self._start_ms:
                self._end()

    def _due_ms(self) -> int:
        return self._resumes_ms if self._chunk is None else self._start_ms + self._length_ms

    def _cut(self, key: Any, at_ms: int) -> None:
        """Begin a chunk with a key frame, which is the last one of the chunk before as well."""
        path = chunk_path(self._folder, at_ms)
        if path.exists():  # a clock that was set back: what is there stays
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        self._end()
        if self._chunk is not None:
            self._chunk.mux(key, at_ms - self._start_ms)
        self._ending, self._ending_ms, self._chunk = self._chunk, self._start_ms, None
        self._chunk, self._start_ms = self._opened(path), at_ms

    def _opened(self, path: Path) -> ChunkFile:
        try:
            return ChunkFile(path, self._streams)
        except REFUSALS as error:
            if len(self._streams) == 1:
                raise
            self._say_once(f"the sound is not archived: {error}")
            del self._streams[1]
            return ChunkFile(path, self._streams)

    def _end(self) -> None:
        """Close the chunk before the present one."""
        ending, self._ending = self._ending, None
        if ending is not None:
            ending.close()
            self._is_paused = False

    def _leave(self) -> None:
        """Close what is open, as far as the disk allows."""
        for chunk in (self._ending, self._chunk):
            if chunk is not None:
                with contextlib.suppress(*REFUSALS):
                    chunk.close()
                with contextlib.suppress(OSError):
                    if not chunk.packets:
                        chunk.path.unlink()
        self._ending = self._chunk = None

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            log.warning("%s (%s)", text, self._folder.name)
        self._said.add(text)

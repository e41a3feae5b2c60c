"""A library on a Redis server (6.2 or newer, or Valkey): the same content and behaviour as in a directory, with many writers at once.

Payloads come first, then row and log entry in one script (memory.redis.scripts), so readers see whole commits only. They read rows from a
mirror on their own machine, and payloads in chunks, of which they fetch those that they need.
"""

import json
import secrets
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any

from footage.carriers import SegmentMemory
from footage.errors import StoreError
from footage.recordings import Recording
from memory.catalogue import Catalogue
from memory.catalogued import CataloguedStore
from memory.durable import make_folder, path_part
from memory.redis.address import Address
from memory.redis.config import RedisConfig
from memory.redis.connection import Connection, Script
from memory.redis.journal import Journal
from memory.redis.keys import Keys, text
from memory.redis.mirror import Mirror, no_library
from memory.redis.payloads import PayloadBytes, Payloads
from memory.redis.rows import RecordingRow, embed_dim, segment_text
from memory.redis.scripts import ADD, CHANGE, FORGET, OPEN, SCHEMA
from memory.refusals import check_replacement, not_kept
from memory.segment_file import SegmentFile
from memory.segment_format import check_parts, content_hash, pack
from memory.view import GenerationFacts, SegmentFacts

TRIES = 5  # of a payload that is gone again before its row is there


class RedisStore(CataloguedStore):
    """A `Store` on a server: any number of writing and reading processes; threads may share it."""

    def __init__(self, location: str, *, read_only: bool = False, config: RedisConfig | None = None) -> None:
        """Made when it is not there; with read_only nothing is made or changed.

        Raises:
            NothingRecorded: read_only, and there is no library. ConfigError: the address cannot be used.
            StoreError: the server cannot be reached, refuses, or could throw away what is kept; the library is of a newer footage.
        """
        super().__init__()
        self.address, self.read_only, self._config = Address.parse(location), read_only, config or RedisConfig()
        self.directory = self.address.folder(self._config.folder)
        self._keys, self._by, self._serial = Keys(self.address.name), secrets.token_hex(6), count()
        self._connection = Connection(self.address, self._config)
        try:
            self._begin()
            self._payloads = Payloads(self._connection, self._keys.payloads)
            self._mirror = Mirror(self._connection, self._keys, self.directory)
        except BaseException:
            self._connection.close()
            raise
        self._journal = Journal(self._connection, self._keys)
        self._add, self._change, self._forget = map(self._connection.script, (ADD, CHANGE, FORGET))

    def _begin(self) -> None:
        if not self.read_only:
            self._connection.refuse_replica()
        self._connection.refuse_eviction(is_only_read=self.read_only)
        found = self._connection.call("hget", self._keys.library, "schema")
        if found is None and self.read_only:
            raise no_library(self._connection)
        if found is None:
            found = self._connection.script(OPEN)([self._keys.library, self._keys.log], [SCHEMA])
        if int(found) > SCHEMA:
            raise StoreError(
                f"{self.address} has schema version {int(found)}, this program knows {SCHEMA}",
                hint="it was written by a newer footage: update this one, or use another library",
            )
        try:
            make_folder(self.directory)
        except OSError as error:
            hint = "set redis.folder (FOOTAGE_REDIS__FOLDER) to a place that can be written"
            raise StoreError(f"{self.directory} cannot be written: {error.strerror}", hint=hint) from error

    def close(self) -> None:
        """Views that were taken need the server for what they have not loaded yet, and keep a connection of their own."""
        self._mirror.close()
        self._connection.close()

    @property
    def _catalogue(self) -> Catalogue:
        self._journal.check()
        return self._mirror.now()

    def _open(self, facts: SegmentFacts) -> SegmentFile:
        return SegmentFile(PayloadBytes(self._payloads, facts.file, facts.size_bytes), facts.segment.recording_id)

    def _open_all(self, kept: Sequence[SegmentFacts], width: int) -> list[SegmentFile]:
        self._payloads.fetch_keys(kept, width)
        return [self._open(facts) for facts in kept]

    # Written

    def add(self, recording: Recording, name: str, *, location: str = "") -> None:
        self._must_write()
        said = "again"
        while said == "again":  # somebody else changed it meanwhile
            found = self._connection.call("hget", self._keys.recordings, recording.recording_id)
            row = RecordingRow.parse(text(found)) if found else RecordingRow(recording)
            before, after = text(found or ""), str(row.seen(recording, name, location))
            if before == after:
                return
            said, *version = self._asked(self._add, recording.recording_id, recording.recording_id, before, after)
        self._journal.keep(version[0], len(after), partial(self.add, recording, name, location=location))

    def forget(self, recording_id: str) -> None:
        """Delete a recording and all that is kept of it."""
        self._must_write()
        _, *version = self._asked(self._forget, recording_id, self._grace_ms, self._keys.payloads, recording_id)
        if version:
            self._journal.keep(version[0], 0, partial(self.forget, recording_id))
        if recording_id:  # else it would be everybody's
            shutil.rmtree(self.archive_folder(recording_id), ignore_errors=True)

    def commit(self, memory: SegmentMemory, *, generation: str, encoder_id: str) -> bool:
        return self._put("commit", memory.segment.recording_id, [memory], (), generation, encoder_id)

    def rewrite(self, memory: SegmentMemory, *, generation: str, encoder_id: str) -> None:
        """As the protocol says. Raises StoreError when the segment is not kept."""
        self._put("rewrite", memory.segment.recording_id, [memory], (), generation, encoder_id)

    def replace(
        self, recording_id: str, memories: Sequence[SegmentMemory], *, gone: Sequence[int], generation: str, encoder_id: str
    ) -> None:
        check_replacement(recording_id, memories)
        self._put("replace", recording_id, memories, gone, generation, encoder_id)

    def drop_segment(self, recording_id: str, generation: str, index: int) -> None:
        """Forget one segment, so that the next index run makes it again."""
        self._put("drop", recording_id, (), [index], generation, "")

    def _put(
        self, mode: str, recording_id: str, memories: Sequence[SegmentMemory], gone: Sequence[int], generation: str, encoder_id: str
    ) -> bool:
        """Payloads, then rows; False where a commit found its segment there. Run again after a lost reply it changes nothing more."""
        self._must_write()
        packed = [self._packed(memory, generation) for memory in memories]
        width = max(map(embed_dim, memories), default=0)
        rows: list[str | int] = []
        for memory, (facts, _) in zip(memories, packed, strict=True):
            rows += [memory.segment.index, segment_text(memory, facts, encoder_id, f"{self._by}-{next(self._serial)}")]
        what = (self._grace_ms, self._keys.payloads, mode, recording_id, generation, encoder_id, width, len(gone), *gone, *rows)
        for _ in range(TRIES):
            for facts, data in packed:
                self._payloads.write(facts.file, data)
            said, *more = self._asked(self._change, recording_id, *what)
            if said == "done" and more:
                again = partial(self._put, mode, recording_id, memories, gone, generation, encoder_id)
                self._journal.keep(more[0], sum(facts.size_bytes for facts, _ in packed), again)
            if said != "payload":
                return self._heard(said, more, recording_id, memories, encoder_id)
        raise StoreError(f"{self.address} throws payloads away as they come", hint="it is full: raise its maxmemory, or make room")

    def _asked(self, script: Script, recording_id: str, *args: str | int) -> list[str]:
        """What a script says, once what the server lost before is made good."""
        keys = [self._keys.library, self._keys.log, self._keys.recordings, self._keys.rows(recording_id), self._keys.generations]
        while True:
            said = list(map(text, script(keys, [SCHEMA, self._config.log_length, self._journal.last, *args])))
            if said[0] == "schema":
                raise self._gone()
            if said[0] != "lost":
                return said
            self._journal.make_good()

    def _packed(self, memory: SegmentMemory, generation: str) -> tuple[SegmentFacts, bytes]:
        check_parts(memory)
        data, segment = pack(memory), memory.segment
        payload = f"{path_part(segment.recording_id)}/{path_part(generation)}/{segment.index:06d}-{content_hash(data)}"
        return SegmentFacts.of(memory, generation, size_bytes=len(data), file=payload), data

    def _heard(
        self, said: str, more: Sequence[str], recording_id: str, memories: Sequence[SegmentMemory], encoder_id: str
    ) -> bool:  # fmt: skip
        """Raises what the script found wrong."""
        if said == "unknown":
            raise StoreError(f"recording {recording_id} was never added", hint="add it before its segments")
        if said == "absent":
            raise not_kept(recording_id, int(more[0]))
        if said == "encoder":
            GenerationFacts(more[0], 0).check(memories[0], encoder_id)
        if said == "width":
            for memory in memories:
                GenerationFacts(encoder_id, int(more[0])).check(memory, encoder_id)
        return said == "done"

    @property
    def _grace_ms(self) -> int:
        return max(1, int(self._config.grace_s * 1000))

    def _must_write(self) -> None:
        if self.read_only:
            raise StoreError(f"{self.address} is open for reading only", hint="open it with read_only=False to change it")

    def _gone(self) -> StoreError:
        return StoreError(
            f"the library in {self.address} was emptied while it was open, or a newer footage has taken it over",
            hint="did the server restart without its data (appendonly)? open the library again to go on",
        )

    # Notes

    def note(self, name: str) -> dict[str, Any] | None:
        """Small JSON that belongs to the library; None where none was kept under that name."""
        found = self._connection.call("hget", self._keys.notes, name)
        return None if found is None else dict(json.loads(text(found)))

    def keep_note(self, name: str, note: Mapping[str, Any]) -> None:
        """In place of what was kept under that name."""
        self._must_write()
        self._connection.call("hset", self._keys.notes, name, json.dumps(note))

    # Upkeep

    def leftovers(self) -> set[str]:
        """None: payloads that no row names expire by themselves."""
        return set()

    def compact(self) -> None:
        """Give back the room of what was forgotten: here that of the mirror, the server gives back its own."""
        self._must_write()
        self._catalogue.compact()

    def _damage(self, facts: SegmentFacts) -> str:
        data = self._payloads.whole(facts.file, facts.size_bytes)
        if data is None:
            return "missing"
        return "" if facts.file.endswith(f"-{content_hash(data)}") else "damaged"

    def accounting(self) -> dict[str, int | str]:
        """Bytes: of payloads, of all that the server holds for everybody, and its limit (0: none); and what it does when it is full."""
        memory = self._connection.info("memory")
        payload_bytes = sum(facts.size_bytes for facts in self._catalogue.segments())
        return {
            "payload_bytes": payload_bytes, "server_bytes": int(memory["used_memory"]),
            "server_limit_bytes": int(memory.get("maxmemory", 0)), "server_when_full": str(memory.get("maxmemory_policy", "")),
        }  # fmt: skip

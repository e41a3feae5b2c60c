"""Payloads in Redis: written in chunks that expire until a row names them, read in chunks that are kept for a while."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from footage.errors import StoreError
from memory.redis.connection import Connection
from memory.redis.scripts import CHUNK_BYTES
from memory.view import SegmentFacts

if TYPE_CHECKING:
    from redis import Redis

UNNAMED_S = 900  # a writer that died leaves a payload without a row for so long
CACHE_BYTES = 128 * 2**20
HEADER_BYTES, ROW_BYTES = 2048, 64  # of a packed segment: its beginning, and what stands there of a carrier beside its embed
BATCH = 256  # chunks in one round trip: 16 MiB
AWAY = "index that recording again; a view that was taken long ago must be taken again"


def chunk_count(size_bytes: int) -> int:
    return -(-size_bytes // CHUNK_BYTES)


class Payloads:
    """Of one library. Threads may share it."""

    def __init__(self, connection: Connection, prefix: str) -> None:
        self._connection, self.prefix = connection, prefix
        self._chunks: OrderedDict[str, bytes] = OrderedDict()  # newest last
        self._held_bytes, self._lock = 0, threading.Lock()

    def write(self, name: str, data: bytes) -> None:
        """Harmless where it is there already; what is damaged there is mended."""
        chunks = {self._key(name, i): data[i * CHUNK_BYTES : (i + 1) * CHUNK_BYTES] for i in range(chunk_count(len(data)))}

        def send(client: "Redis") -> None:
            pipe = client.pipeline(transaction=False)
            for key, chunk in chunks.items():
                pipe.set(key, chunk, ex=UNNAMED_S, nx=True)
            there = [key for key, is_new in zip(chunks, pipe.execute(), strict=True) if not is_new]
            for key in there:
                if client.get(key) != chunks[key]:
                    client.set(key, chunks[key], xx=True, keepttl=True)
                    self._drop(key)

        self._connection.run(send)

    def chunks(self, wanted: Sequence[tuple[str, int]]) -> list[bytes]:
        """By payload and number; what is not here yet comes in one round trip. Raises StoreError where one is missing."""
        keys = [self._key(name, number) for name, number in wanted]
        with self._lock:
            held = {key: self._chunks[key] for key in keys if key in self._chunks}
        absent = [key for key in dict.fromkeys(keys) if key not in held]
        for first in range(0, len(absent), BATCH):
            batch = absent[first : first + BATCH]
            for key, chunk in zip(batch, self._connection.call("mget", batch), strict=True):
                if chunk is None:
                    raise StoreError(f"{self._connection.address} no longer holds {key}", hint=AWAY)
                held[key] = chunk
        self._hold(absent, held)
        return [held[key] for key in keys]

    def whole(self, name: str, size_bytes: int) -> bytes | None:
        """As it is on the server; None where a chunk is missing."""
        chunks = self._connection.call("mget", [self._key(name, number) for number in range(chunk_count(size_bytes))])
        return None if None in chunks else b"".join(chunks)

    def fetch_keys(self, kept: Sequence[SegmentFacts], embed_dim: int) -> None:
        """The beginnings of many payloads, where their keys lie, in few round trips; missing ones are left to whoever reads them."""
        wanted = []
        for facts in kept:
            beginning = min(facts.size_bytes, HEADER_BYTES + facts.carriers * (ROW_BYTES + 4 * embed_dim))
            wanted += [(facts.file, number) for number in range(chunk_count(beginning))]
        try:
            self.chunks(wanted[: CACHE_BYTES // CHUNK_BYTES])
        except StoreError:
            return

    def _key(self, name: str, number: int) -> str:
        return f"{self.prefix}{name}:{number}"

    def _drop(self, key: str) -> None:
        with self._lock:
            self._held_bytes -= len(self._chunks.pop(key, b""))

    def _hold(self, keys: Sequence[str], held: dict[str, bytes]) -> None:
        with self._lock:
            for key in keys:
                if key not in self._chunks:
                    self._chunks[key] = held[key]
                    self._held_bytes += len(held[key])
            while self._held_bytes > CACHE_BYTES:
                self._held_bytes -= len(self._chunks.popitem(last=False)[1])


class PayloadBytes:
    """The bytes of one payload (memory.segment_file.Bytes)."""

    def __init__(self, payloads: Payloads, name: str, size: int) -> None:
        self._payloads, self.name, self.size = payloads, name, size

    def read(self, start: int, end: int) -> memoryview:
        """Raises StoreError where it is away."""
        numbers = range(start // CHUNK_BYTES, chunk_count(max(start + 1, end)))
        parts = self._payloads.chunks([(self.name, number) for number in numbers]) if end > start else []
        offset = start - numbers.start * CHUNK_BYTES
        whole = parts[0] if len(parts) == 1 else b"".join(parts)
        return memoryview(whole)[offset : offset + end - start]

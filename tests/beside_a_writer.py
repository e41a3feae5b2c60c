"""Readers that know what every value must be (content follows from recording, index and seed, and times tell the seed), beside a writer.

python beside_a_writer.py LOCATION FOLDER SECONDS READERS SEED
"""

import json
import os
import random
import sys
import time
import zlib
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from acknowledged import RECORDINGS, WIDTH, State, after, carrier_of, choose, line_of, part_of, perform
from contracts_store import GENERATION, SEGMENT_S
from forks import Journal, forked

from footage import Carrier, MemoryView, NothingRecorded, StoreError
from memory.recall.index import RecallIndex
from memory.stores import open_store


def open_at(location: str, *, read_only: bool = False) -> Any:
    return open_store(location, read_only=read_only)


class Reader:
    """Reads at random for as long as it is asked to; a wrong value is an AssertionError."""

    def __init__(self, location: str, seed: int) -> None:
        self._location, self._rng, self._store, self._index = location, random.Random(seed), None, None
        self.reads, self.longest_s = Counter[str](), 0.0
        self.seen: dict[int, int] = {}
        """Version of a view to what it held."""

    def step(self) -> None:
        """One read."""
        read = self._rng.choice([self._carriers, self._carriers, self._search, self._texts, self._words, self._thumbnail, self._segment])
        begun = time.perf_counter()
        try:
            if self._store is None:
                self._store = open_at(self._location, read_only=True)
            read(self._store)
        except NothingRecorded:  # not made yet, or all of it forgotten
            self.reads["nothing there"] += 1
            time.sleep(0.02)  # eight that ask again at once leave the writer no time to make it
        else:
            self.longest_s = max(self.longest_s, time.perf_counter() - begun)
            self.reads[read.__name__.strip("_")] += 1

    def _carriers(self, store: Any) -> None:
        view = store.view(generation=GENERATION)
        check_view(view)
        self._remember(view)
        rows = [self._rng.randrange(len(view)) for _ in range(min(len(view), 6))]
        time.sleep(self._rng.choice((0, 0, 0.005)))  # meanwhile the writer may remove what the view is made of
        for row, carrier in zip(rows, view.load(rows), strict=True):
            assert carrier.span == view.span(row)
            assert np.array_equal(carrier.embed, view.embeds[row])
            check_carrier(carrier)

    def _remember(self, view: MemoryView) -> None:
        held = zlib.crc32(repr(view.recording_ids).encode() + view.starts_s.tobytes() + view.anchors_s.tobytes() + view.embeds.tobytes())
        assert self.seen.setdefault(view.version, held) == held, f"two contents of version {view.version}"

    def _search(self, store: Any) -> None:
        if self._index is None:
            self._index = RecallIndex.open(store, GENERATION)
        self._index.refresh()
        asked = np.random.default_rng(self._rng.randrange(1 << 30)).standard_normal(WIDTH).astype(np.float32)
        for hit in self._index.search(asked, 5):
            part, row = part_of(hit.span.start_s, hit.span.end_s, hit.anchor_s)
            assert abs(float(carrier_of(hit.recording_id, part, row).embed @ asked) - hit.score) < 0.01

    def _texts(self, store: Any) -> None:
        check_lines(store.texts())

    def _words(self, store: Any) -> None:
        recording_id = self._rng.choice(RECORDINGS)
        rows = store.texts([recording_id], match=f"line {recording_id}")
        assert all(row.recording_id == recording_id for row in rows)
        check_lines(rows)

    def _thumbnail(self, store: Any) -> None:
        recording_id, time_s = self._rng.choice(RECORDINGS), self._rng.uniform(0, 120)
        jpeg = store.thumbnail(recording_id, time_s, generation=GENERATION)
        if jpeg is not None:
            name, anchor_s = jpeg.decode().split()
            assert name == recording_id
            assert abs(float(anchor_s) - time_s) <= SEGMENT_S

    def _segment(self, store: Any) -> None:
        recording_id = self._rng.choice(RECORDINGS)
        kept = store.committed(recording_id, GENERATION)
        if not kept:
            return
        try:
            memory = store.read_segment(recording_id, GENERATION, self._rng.choice(list(kept)))
        except StoreError as error:
            if "is not kept" not in str(error):  # it may have been dropped since it was listed
                raise
            return
        parts = [part_of(c.span.start_s, c.span.end_s, c.anchor_s)[0] for c in memory.carriers]
        assert sorted(row.text for row in memory.texts) == sorted({line_of(recording_id, part) for part in parts})
        assert (memory.segment.span.start_s, memory.segment.span.end_s) == (parts[0].index * 10, parts[-1].index * 10 + 10)
        for carrier in memory.carriers:
            check_carrier(carrier)


def check_carrier(carrier: Carrier) -> None:
    """Bit for bit what its times say that it must be."""
    part, row = part_of(carrier.span.start_s, carrier.span.end_s, carrier.anchor_s)
    made = carrier_of(carrier.recording_id, part, row)
    assert carrier.spans == made.spans
    assert np.array_equal(carrier.tokens, made.tokens)
    assert np.array_equal(carrier.embed, made.embed)


def check_view(view: MemoryView) -> None:
    """Whole segments of one commit each, and no time twice."""
    parts: dict[tuple[str, int], list[Any]] = {}
    for at, (start_s, end_s, anchor_s) in enumerate(
        zip(view.starts_s.tolist(), view.ends_s.tolist(), view.anchors_s.tolist(), strict=True)
    ):
        part, row = part_of(start_s, end_s, anchor_s)
        parts.setdefault((view.recording_of(at), part.index), []).append((part, row))
    for rows in parts.values():
        part = rows[0][0]
        assert rows == [(part, row) for row in range(part.rows)], f"a mixture: {rows}"


def check_lines(rows: Any) -> None:
    lines = [(row.recording_id, int(row.text.split()[2])) for row in rows]
    assert len(lines) == len(set(lines)), "one part's line is there twice"
    for row, (recording_id, index) in zip(rows, lines, strict=True):
        assert row.text.split()[1] == recording_id
        assert row.span.start_s == index * SEGMENT_S


def read_until(location: str, seed: int, done: Path, told: Journal) -> None:
    reader = Reader(location, seed)
    while not done.exists():
        reader.step()
        time.sleep(0.005)  # else eight of them leave the writer, on two cores, next to nothing
    told.write({"reads": reader.reads, "longest_s": reader.longest_s, "seen": list(reader.seen.items())})


def write_until(location: str, seed: int, end: float, least: Mapping[str, int], done: Path, told: Journal) -> None:
    """Until the time is up and, on a machine that is busy, so much of each has been done."""
    rng, counts = random.Random(seed), Counter[str]()
    state: State = {}
    store = open_at(location)
    try:
        while time.monotonic() < end or any(counts[verb] < count for verb, count in least.items()):
            op = choose(state, rng)
            state = after(state, op)
            perform(store, op)
            counts[op.verb] += 1
            time.sleep(rng.uniform(0, 0.01))
        told.write({"writes": counts})
    finally:
        done.touch()


def beside(location: str, folder: Path, seconds: float, readers: int, seed: int) -> dict[str, Any]:
    """What was read and written; anything wrong is an exception."""
    wrong, told, end = Journal(folder / "wrong"), Journal(folder / "told"), time.monotonic() + seconds
    least, done = dict.fromkeys(("commit", "rewrite", "drop"), int(seconds / 5) + 1), folder / "done"
    children = [forked(partial(write_until, location, seed, end, least, done, told), wrong)]
    children += [forked(partial(read_until, location, seed + 1 + i, done, told), wrong) for i in range(readers)]
    for child in children:
        os.waitpid(child, 0)
    assert not wrong.lines(), wrong.lines()[0]
    reads, writes, longest_s, seen = Counter[str](), {}, 0.0, dict[int, int]()
    for line in told.lines():
        writes |= line.get("writes", {})
        reads.update(line.get("reads", {}))
        longest_s = max(longest_s, line.get("longest_s", 0.0))
        for version, held in line.get("seen", []):
            assert seen.setdefault(version, held) == held, f"two readers saw two contents of version {version}"
    return {"reads": reads, "writes": writes, "longest_s": round(longest_s, 3), "versions": len(seen)}


if __name__ == "__main__":
    where, notes, *numbers = sys.argv[1:]
    print(json.dumps(beside(where, Path(notes), float(numbers[0]), int(numbers[1]), int(numbers[2]))))

"""Mutated files through the whole of indexing: python -m tests.fuzz --files 2000 --seed 1 --json

Every file must end in one of: indexed, indexed with gaps, refused by name. What a decoder breaks is one worker process.
"""

import argparse
import json
import logging
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import av
import numpy as np

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))

from films import X264, write

from ingest.limits import Limits
from memory.local_store import LocalStore
from workers.config import Settings
from workers.guard import resident_bytes
from workers.in_processes import InProcesses
from workers.indexing import Refused, Silent
from workers.recording_job import Done, Writer
from workers.remember import Tools

LIMITS = Limits(decode_s=20.0, decode_x=5.0, decode_mib=1024, tasks=10**9)  # never recycled: growth must show
BATCH, MOST_BYTES = 50, 1 << 20
THROWN = "reading it failed with "

SEEDS: dict[str, dict[str, Any]] = {
    "h264.mp4": {"options": {"preset": "ultrafast", "g": "10"}},
    "b_frames.mov": {"options": {"preset": "medium", "g": "12", "bf": "3"}},
    "fragments.mp4": {"options": {**X264, "g": "8"}, "movflags": "frag_keyframe+empty_moov"},
    "front.mp4": {"options": {**X264, "g": "8"}, "movflags": "faststart"},
    "h264.mkv": {"options": {"preset": "medium", "g": "10", "bf": "2"}, "time_base": Fraction(1, 1000)},
    "h264.ts": {"options": {"preset": "medium", "g": "10", "bf": "2"}},
    "h264.flv": {"options": {**X264, "g": "10"}, "time_base": Fraction(1, 1000)},
    "raw.h264": {"options": {**X264, "g": "10"}},
    "hevc.mp4": {"codec": "libx265", "options": {"preset": "ultrafast", "x265-params": "keyint=10:log-level=none"}},
    "av1.mkv": {"codec": "libsvtav1", "options": {"preset": "12", "svtav1-params": "keyint=10"}, "time_base": Fraction(1, 1000)},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8", "g": "10"}, "time_base": Fraction(1, 1000)},
    "mpeg4.avi": {"codec": "mpeg4", "options": {"g": "8", "bf": "2"}, "time_base": Fraction(1, 10)},
    "mpeg2.mpg": {"codec": "mpeg2video", "options": {"g": "8"}, "rate": 25, "time_base": Fraction(1, 25)},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p", "time_base": Fraction(1, 10)},
    "pictures.gif": {"codec": "gif", "pix_fmt": "rgb8", "time_base": Fraction(1, 100)},
}  # fmt: skip
EXTREMES = (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFF0, 0x00010000)


def make_seeds(folder: Path) -> dict[str, bytes]:
    """Two seconds in each of many containers and codecs."""
    os.environ.setdefault("SVT_LOG", "0")
    made = {}
    for name, how in SEEDS.items():
        path, rate, flags = folder / name, how.get("rate", 10), how.get("movflags")
        write(path, **{"frames": 2 * rate, "rate": rate} | {k: v for k, v in how.items() if k != "movflags"})
        made[name] = (boxed(path, folder / f"boxed {name}", flags) if flags else path).read_bytes()
    return made


def boxed(path: Path, target: Path, movflags: str) -> Path:
    """The same packets in an MP4 with other flags."""
    with av.open(str(path)) as source, av.open(str(target), "w", options={"movflags": movflags}) as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    return target


# Mutations: bytes and a generator to other bytes


def flipped(data: bytearray, rng: random.Random, _: bytes) -> None:
    for _ in range(rng.choice((1, 4, 30))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def head_flipped(data: bytearray, rng: random.Random, _: bytes) -> None:
    """Where containers keep their fields: at the beginning, and in MP4 at the end too."""
    start = rng.choice((0, max(0, len(data) - 1500)))
    for _ in range(rng.choice((1, 3, 10))):
        data[rng.randrange(start, min(len(data), start + 1500))] = rng.randrange(256)


def extreme_word(data: bytearray, rng: random.Random, _: bytes) -> None:
    at = rng.randrange(max(1, min(len(data), rng.choice((64, 1024, len(data)))) - 4))
    data[at : at + 4] = rng.choice(EXTREMES).to_bytes(4, rng.choice(("big", "little")))


def box_length(data: bytearray, rng: random.Random, _: bytes) -> None:
    """The length before a name of four letters, as in MP4 and AVI; else any word."""
    at = [i for i in range(4, len(data) - 4) if data[i : i + 4].isalnum() and data[i : i + 4].isascii()]
    if at:
        i = rng.choice(at[:400])
        data[i - 4 : i] = rng.choice((*EXTREMES, rng.randrange(2**20))).to_bytes(4, "big")
    else:
        extreme_word(data, rng, b"")


def _block(data: bytearray, rng: random.Random) -> slice:
    size = min(len(data), rng.choice((1, 16, 188, 1024, 4096)))
    at = rng.randrange(len(data) - size + 1)
    return slice(at, at + size)


def zeroed(data: bytearray, rng: random.Random, _: bytes) -> None:
    block = _block(data, rng)
    data[block] = bytes(block.stop - block.start)


def swapped(data: bytearray, rng: random.Random, _: bytes) -> None:
    a, b = _block(data, rng), _block(data, rng)
    data[a], data[b] = data[b], data[a]


def doubled(data: bytearray, rng: random.Random, _: bytes) -> None:
    block = _block(data, rng)
    data[block.stop : block.stop] = data[block]


def cut_out(data: bytearray, rng: random.Random, _: bytes) -> None:
    del data[_block(data, rng)]


def inserted(data: bytearray, rng: random.Random, _: bytes) -> None:
    at = rng.randrange(len(data))
    data[at:at] = rng.randbytes(rng.choice((1, 7, 188, 5000)))


def truncated(data: bytearray, rng: random.Random, _: bytes) -> None:
    del data[rng.randrange(len(data)) :]


def joined(data: bytearray, rng: random.Random, other: bytes) -> None:
    data += other[rng.choice((0, 0, len(other) // 2)) :]


MUTATIONS: tuple[Callable[[bytearray, random.Random, bytes], None], ...] = (
    flipped, head_flipped, extreme_word, box_length, zeroed, swapped, doubled, cut_out, inserted, truncated, joined,
)  # fmt: skip


def mutated(seeds: dict[str, bytes], rng: random.Random) -> tuple[str, bytes]:
    """A file's name, which says what was done to it, and its bytes."""
    name, other = rng.choice(list(seeds)), rng.choice(list(seeds))
    data, chosen = bytearray(seeds[name]), rng.choices(MUTATIONS, k=rng.choice((1, 1, 2, 4)))
    for mutation in chosen:
        if len(data) > 8:
            mutation(data, rng, seeds[other])
    return f"{'+'.join(m.__name__ for m in chosen)} {name}", bytes(data)


class Ends(logging.Handler):
    """What became of each file, and what worker processes were lost to."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.ends: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.thrown: Counter[str] = Counter()
        """Exceptions other than our own, out of what reads files."""
        self.slowest = 0.0, ""
        self.sizes: list[tuple[float, float, float]] = []
        """Files, and resident MiB of this process and of the largest worker."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg.startswith("worker process is gone") and isinstance(record.args, tuple):
            self.lost[str(record.args[1])] += 1

    def add(self, result: Done | Refused, took_s: float) -> None:
        if isinstance(result, Refused):
            name, reasons = Path(result.location).name, [str(result.error)]
            self.refused[type(result.error).__name__] += 1
        else:
            name, reasons = result.name, [gap["reason"] for gap in result.gaps]
        self.ends["refused" if isinstance(result, Refused) else "with gaps" if reasons else "indexed"] += 1
        self.thrown.update(reason.rpartition(THROWN)[2] for reason in reasons if THROWN in reason)
        self.slowest = max(self.slowest, (took_s, name))
        if self.ends.total() % BATCH == 0:
            workers = [resident_bytes(child.pid) for child in active_children()]
            self.sizes.append((self.ends.total(), resident_bytes() / 2**20, max(workers, default=0) / 2**20))

    def trend(self, column: int) -> dict[str, float]:
        """First, last and largest size, and the growth in MiB per 1,000 files over the second half."""
        values, half = np.array(self.sizes).reshape(-1, 3), len(self.sizes) // 2
        if len(values) - half < 3:
            return {}
        slope = float(np.polyfit(values[half:, 0], values[half:, column], 1)[0]) * 1000
        sizes = values[:, column].tolist()
        return {
            "first": round(sizes[0], 1),
            "last": round(sizes[-1], 1),
            "largest": round(max(sizes), 1),
            "growth_per_1000": round(slope, 2),
        }


def fuzz(files: int, seed: int, *, folder: Path | None = None, tell: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Index so many mutated files, one worker process at a time; the same seed makes the same files. folder: of other files to mutate."""
    ends, begun = Ends(), time.monotonic()
    settings = Settings(index={"ocr": "off"}, sampling={"segment_s": 1}, limits=LIMITS)  # type: ignore[arg-type]
    guard_log = logging.getLogger("workers.guard")
    level = guard_log.level
    guard_log.addHandler(ends)
    guard_log.setLevel(logging.INFO)
    try:
        with tempfile.TemporaryDirectory() as place:
            small = [p for p in sorted(folder.iterdir()) if 8 < p.stat().st_size < MOST_BYTES] if folder else []
            seeds = {p.name: p.read_bytes() for p in small} or make_seeds(Path(place))
            for result, took_s in _Run(Path(place), settings, seeds, random.Random(seed), files).results():
                ends.add(result, took_s)
                if ends.ends.total() % BATCH == 0:
                    tell(f"{dict(ends.ends)}, lost {dict(ends.lost)}, thrown {dict(ends.thrown)}, MiB {ends.sizes[-1][1:]}")
    finally:
        guard_log.removeHandler(ends)
        guard_log.setLevel(level)
    return {
        "files": ends.ends.total(), "seed": seed, "seeds": sorted(seeds), "ends": dict(ends.ends), "refused": dict(ends.refused),
        "worker_processes_lost": dict(ends.lost), "exceptions_contained": dict(ends.thrown),
        "slowest_s": round(ends.slowest[0], 2), "slowest": ends.slowest[1], "time_cap_s": LIMITS.decode_s,
        "resident_mib": {"parent": ends.trend(1), "worker": ends.trend(2)}, "seconds": round(time.monotonic() - begun, 1),
    }  # fmt: skip


class _Run:
    """Files are made one batch at a time and deleted with it; all go into one library through one pool."""

    def __init__(self, place: Path, settings: Settings, seeds: dict[str, bytes], rng: random.Random, files: int) -> None:
        self.place, self.settings, self.seeds, self.rng, self.files = place, settings, seeds, rng, files
        self._begun = time.monotonic()

    def results(self) -> Iterator[tuple[Done | Refused, float]]:
        """Each with the seconds since the one before it."""
        with LocalStore(self.place / "library") as store:
            writer = Writer(store, Tools.build(self.settings), Silent())
            last = time.monotonic()
            for result in InProcesses(self._locations(), self.settings, writer, 1).run():
                yield result, time.monotonic() - last
                last = time.monotonic()

    def _locations(self) -> Iterator[str]:
        before: list[Path] = []
        for number in range(self.files):
            name, data = mutated(self.seeds, self.rng)
            path = self.place / f"{number} {name}"
            path.write_bytes(data or b"\0")
            before.append(path)
            if len(before) > BATCH:  # long done: one process works in order
                before.pop(0).unlink()
            yield str(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="mutate the small files of a folder instead of made ones")
    parser.add_argument("--json", action="store_true", help="one line on stdout")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.CRITICAL)
    found = fuzz(asked.files, asked.seed, folder=asked.folder, tell=lambda line: print(line, file=sys.stderr, flush=True))
    print(json.dumps(found) if asked.json else json.dumps(found, indent=2))


if __name__ == "__main__":
    main()

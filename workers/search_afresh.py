"""What `footage bench search` measures in a process of its own: `python -m workers.search_afresh TASK LIBRARY MADE_UP QUESTIONS`."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from footage.arrays import AnyArray, Embeds
from memory.local_store import LocalStore
from memory.recall.index import Hit, RecallIndex
from memory.recall.vectors import flat
from workers.made_up import MadeUp, MadeUpEncoder

NEAREST = 10
KINDS = {"near": True, "far": False}
"""Of questions: whether they are as near to what is kept as another frame of the same scene."""


def searched(library: Path, made: MadeUp, questions: int) -> dict[str, Any]:
    """Milliseconds, what was found, and the memory that opening and searching took, of a reader."""
    flat(np.zeros((1, made.width), np.float16))  # what the code itself takes is no part of a key
    before, begun = _memory(), time.perf_counter()
    with LocalStore(library, read_only=True) as store:
        index = RecallIndex.open(store, made.generation)
        found: dict[str, Any] = {"open_ms": 1000 * (time.perf_counter() - begun)}
        for kind, is_near in KINDS.items():
            asked = [made.likely(i, is_near=is_near) for i in range(questions)]
            index.search(asked[-1], NEAREST)
            took_s, hits = _timed(lambda embed: index.search(embed, NEAREST), asked)
            again_s, _ = _timed(lambda embed: index.search(embed, NEAREST), asked)
            found[kind] = _times(again_s) | {f"disk_{name}": ms for name, ms in _times(took_s).items()}
            found[f"{kind}_hits"] = [[(hit.recording_id, hit.anchor_s) for hit in own] for own in hits]
        after = _memory()
    ram, mapped = (max(0.0, b - a) / made.rows for a, b in zip(before, after, strict=True))
    return found | {"ram_bytes": ram, "mapped_bytes": mapped}


def answered(library: Path, made: MadeUp, questions: int) -> dict[str, Any]:
    """Seconds from opening the library to the first answer, milliseconds of the next ones, and how many point at the right moment."""
    begun = time.perf_counter()
    from workers.engine import open_library

    imports_s, begun = time.perf_counter() - begun, time.perf_counter()
    took_s, right = [], []
    with open_library(str(library), ask={"model": "none"}) as lib:
        lib._encoder = MadeUpEncoder(made)  # no settings name it
        for i, needle in enumerate(made.planted()[:questions]):
            words = f'Where does it say "{needle.text}"?' if i % 3 == 2 else f"When is needle {needle.name} seen?"
            answer = lib.ask(words, keep=False)
            took_s.append(time.perf_counter() - begun)
            begun = time.perf_counter()
            cited = answer.citations[:1]
            right.append(any(c.recording_id == needle.recording_id and c.span.overlap_s(needle.span) > 0 for c in cited))
    return {"imports_s": imports_s, "first_s": took_s[0], "right": float(np.mean(right)), **_times(took_s[1:] or took_s)}


def _timed(search: Callable[[Embeds], list[Hit]], asked: Sequence[Embeds]) -> tuple[list[float], list[list[Hit]]]:
    took_s, hits = [], []
    for embed in asked:
        begun = time.perf_counter()
        hits.append(search(embed))
        took_s.append(time.perf_counter() - begun)
    return took_s, hits


def _times(took_s: Sequence[float]) -> dict[str, float]:
    ms: AnyArray = 1000 * np.asarray(took_s)
    return {"median_ms": float(np.median(ms)), "p95_ms": float(np.percentile(ms, 95))}


def _memory() -> tuple[float, float]:
    """Bytes of this process in RAM, and of these what is mapped from files; zeros where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0.0, 0.0
    rows = (line.partition(":") for line in lines)
    held = {name: 1024.0 * int(rest.split()[0]) for name, _, rest in rows if name in ("VmRSS", "RssFile")}
    return held["VmRSS"], held["RssFile"]


if __name__ == "__main__":
    task, library, made, questions = sys.argv[1:]
    run: Callable[[Path, MadeUp, int], dict[str, Any]] = {"search": searched, "ask": answered}[task]
    print(json.dumps(run(Path(library), MadeUp(**json.loads(made)), int(questions))))

"""`footage bench search`: made-up libraries searched and asked: keys, bytes, RAM a key, milliseconds, recall against exact search.

What a user waits for is measured in processes of its own (workers.search_afresh), in which nothing is loaded yet.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from footage.arrays import Embeds
from footage.errors import FootageError
from memory.local_store import LocalStore
from memory.recall.index import RecallIndex
from memory.recall.vectors import flat
from workers.eval_report import Report
from workers.made_up import MadeUp
from workers.search_afresh import KINDS, NEAREST

HOURS = (1.0, 10.0, 100.0)
BLOCK = 270  # segments that are searched exactly at a time: 50 MB of keys
MOST_MS, LEAST_RECALL, MOST_BYTES, MOST_FIRST_S = 10.0, 0.98, 1024.0, 2.0
MANY = 100_000  # keys; of fewer the RAM is mostly not theirs
BUILT = "built.json"


@dataclass(frozen=True, slots=True)
class SearchRun:
    """How much to measure."""

    folder: Path
    made: MadeUp
    hours: Sequence[float] = HOURS
    questions: int = 50
    """Of each kind."""


def run_search(run: SearchRun, told: Callable[[str], None] | None = None) -> Report:
    """Each length by itself, smallest first. Raises FootageError where a library cannot be written."""
    report = Report("bench search", {"width": run.made.width, "recording_h": run.made.recording_h, "every_s": run.made.every_s})
    facts = [_measured(replace(run.made, hours=hours), run, told or (lambda _: None)) for hours in sorted(run.hours)]
    report.rows = facts
    report.table("what is kept, and the index of it", [_kept(each) for each in facts])
    report.table(f"searching the index, one thread, the {NEAREST} nearest", [row for each in facts for row in _searched(each)])
    report.table("questions to the library, each in words that the index finds a moment for", [_asked(each) for each in facts])
    for each in facts:
        name = f"{each['hours']:,g} hours: "
        report.bar(f"{name}{MOST_MS:g} ms over the median search", MOST_MS / max(each["search"][kind]["median_ms"] for kind in KINDS), 1.0)
        report.bar(f"{name}recall@{NEAREST} against exact", min(each["recall"].values()), LEAST_RECALL)
        if each["keys"] >= MANY:
            report.bar(f"{name}1 KB over the RAM of a key", MOST_BYTES / max(each["search"]["ram_bytes"], 1e-9), 1.0)
        report.bar(f"{name}{MOST_FIRST_S:g} s over open to first answer", MOST_FIRST_S / each["warm"]["first_s"], 1.0)
        report.bar(f"{name}needles found", each["warm"]["right"], 1.0)
    return report


def _measured(made: MadeUp, run: SearchRun, told: Callable[[str], None]) -> dict[str, Any]:
    library = run.folder / made.name
    built = _built(library, made, told)
    with LocalStore(library, read_only=True) as store:
        told("exact search")
        exact, exact_ms = _exact(store, made, run.questions)
    searched = _afresh("search", library, made, run.questions)
    recall = {kind: _recall(exact[kind], searched.pop(f"{kind}_hits")) for kind in KINDS}
    _cool(library)
    return {
        "hours": made.hours, "recordings": len(made.recordings()), "keys": made.rows, "segments": made.segments, **built,
        "exact_ms": exact_ms, "recall": recall, "search": searched,
        "cold": _afresh("ask", library, made, run.questions), "warm": _afresh("ask", library, made, run.questions),
    }  # fmt: skip


def _built(library: Path, made: MadeUp, told: Callable[[str], None]) -> dict[str, float]:
    """Written and indexed now, as far as an earlier run has not; how long it took then, and bytes."""
    about = library / BUILT
    took = json.loads(about.read_text()) if about.exists() else {"wrote_s": 0.0, "indexed_s": 0.0}
    begun = time.perf_counter()
    with LocalStore(library) as store:
        if not about.exists():
            made.write(store, lambda done: told(f"{done:,} of {made.segments:,} segments written"))
            took["wrote_s"] = time.perf_counter() - begun
        begun = time.perf_counter()
        told("index")
        RecallIndex.open(store, made.generation)
        about.write_text(json.dumps(took | {"indexed_s": max(took["indexed_s"], time.perf_counter() - begun)}))
    index = sum(path.stat().st_size for path in (library / "index").rglob("*") if path.is_file())
    whole = sum(path.stat().st_size for path in library.rglob("*") if path.is_file())
    return json.loads(about.read_text()) | {"bytes": whole - index, "index_bytes": index}


def _exact(store: LocalStore, made: MadeUp, questions: int) -> tuple[dict[str, list[list[tuple[str, float]]]], float]:
    """By kind of question the nearest of all keys as the store has them, (recording, anchor), and milliseconds of one exact search."""
    asked = {kind: np.stack([made.likely(i, is_near=is_near) for i in range(questions)]) for kind, is_near in KINDS.items()}
    best: dict[str, list[list[tuple[float, str, float]]]] = {kind: [[] for _ in range(questions)] for kind in KINDS}
    took_s = 0.0
    for keys, places in _blocks(store, made):
        took_s += _flat_s(keys, asked["near"][0])
        for kind, embeds in asked.items():
            scores = keys @ embeds.T
            for question, own in enumerate(np.argpartition(-scores, min(NEAREST, len(keys) - 1), axis=0)[:NEAREST].T):
                found = [(-float(scores[row, question]), *places[row]) for row in own.tolist()]
                best[kind][question] = sorted(best[kind][question] + found)[:NEAREST]
    return {kind: [[(name, at) for _, name, at in own] for own in found] for kind, found in best.items()}, 1000 * took_s


def _blocks(store: LocalStore, made: MadeUp) -> Iterator[tuple[Embeds, list[tuple[str, float]]]]:
    every = [(r.recording_id, i) for r in made.recordings() for i in store.committed(r.recording_id, made.generation)]
    for first in range(0, len(every), BLOCK):
        keys, places = [], []
        for name, index in every[first : first + BLOCK]:
            found = store.keys(name, made.generation, index)
            assert found is not None
            keys.append(found.embeds)
            places += [(name, at_s) for at_s in found.anchors_s.tolist()]
        yield np.concatenate(keys), places


def _flat_s(keys: Embeds, embed: Embeds) -> float:
    """Seconds of one exact search through these rows."""
    vectors = flat(keys.astype(np.float16))
    begun = time.perf_counter()
    vectors.search(embed, min(NEAREST, len(keys)), None)
    return time.perf_counter() - begun


def _recall(exact: Sequence[Sequence[tuple[str, float]]], found: Sequence[Sequence[Sequence[Any]]]) -> float:
    shares = [len(set(map(tuple, own)) & {tuple(hit) for hit in hits}) / len(own) for own, hits in zip(exact, found, strict=True)]
    return float(np.mean(shares))


def _cool(folder: Path) -> None:
    """Ask the system to drop what it holds of these files, so that they come from the disk."""
    if not hasattr(os, "posix_fadvise"):
        return
    for path in folder.rglob("*"):
        if path.is_file():
            handle = os.open(path, os.O_RDONLY)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(handle)


def _afresh(task: str, library: Path, made: MadeUp, questions: int) -> dict[str, Any]:
    order = [sys.executable, "-m", "workers.search_afresh", task, str(library), json.dumps(asdict(made)), str(questions)]
    done = subprocess.run(order, capture_output=True, text=True, check=False)
    if done.returncode:
        raise FootageError(f"`{task}` on {library} failed: {done.stderr[-2000:]}", hint="remove the folder, and run it again")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _kept(each: dict[str, Any]) -> dict[str, Any]:
    return {
        "hours": f"{each['hours']:,g}", "recordings": each["recordings"], "segments": each["segments"], "keys": each["keys"],
        "library MB": each["bytes"] / 1e6, "written s": each["wrote_s"], "index MB": each["index_bytes"] / 1e6,
        "indexed s": each["indexed_s"], "open ms": each["search"]["open_ms"], "RAM bytes a key": each["search"]["ram_bytes"],
        "of these mapped": each["search"]["mapped_bytes"],
    }  # fmt: skip


def _searched(each: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"hours": f"{each['hours']:,g}", "question": kind, "median ms": each["search"][kind]["median_ms"],
         "p95 ms": each["search"][kind]["p95_ms"], "the same, vectors from disk": each["search"][kind]["disk_median_ms"],
         "its p95 ms": each["search"][kind]["disk_p95_ms"], "exact ms": each["exact_ms"], "recall": f"{each['recall'][kind]:.3f}"}
        for kind in KINDS
    ]  # fmt: skip


def _asked(each: dict[str, Any]) -> dict[str, Any]:
    cold, warm = each["cold"], each["warm"]
    return {
        "hours": f"{each['hours']:,g}", "imports s": warm["imports_s"], "open to first answer s": warm["first_s"],
        "the same, files from disk": cold["first_s"], "next answers, median ms": warm["median_ms"], "p95 ms": warm["p95_ms"],
        "right": f"{warm['right']:.0%}",
    }  # fmt: skip

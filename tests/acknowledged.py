"""What a writer says that it will do and has done, and what a library must hold after that: a model that knows no files and no tables."""

import random
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from contracts_store import ENCODER, GENERATION, SEGMENT_S, recording_of, text_of

from footage import Carrier, Gap, Segment, SegmentMemory, TimeSpan
from memory.dump import segment_entry
from memory.recall.index import RecallIndex

RECORDINGS = ("door", "yard", "gate")
MOST = 12  # segments of a recording: what is checked each round stays small
WIDTH, TOKENS, STEP_S = 16, 4, 0.001
WEIGHTS = {"commit": 50, "again": 4, "rewrite": 20, "replace": 12, "drop": 8, "forget": 3, "index": 3}


class Part(NamedTuple):
    """Ten seconds: `rows` carriers of equal length, whose content follows from recording, index and seed."""

    index: int
    rows: int
    seed: int


Made = tuple[Part, ...]
State = Mapping[str, Mapping[int, Made]]
"""Recording to segment index to what it is made of: several parts where segments were merged."""


class Op(NamedTuple):
    verb: str
    recording: str = ""
    made: Made = ()
    gone: tuple[int, ...] = ()

    @classmethod
    def of(cls, values: Sequence[Any]) -> "Op":
        """From JSON."""
        verb, recording, made, gone = values
        return cls(verb, recording, tuple(Part(*part) for part in made), tuple(gone))


def carrier_of(recording_id: str, part: Part, row: int) -> Carrier:
    """Its anchor tells the seed, so that a reader can say from the times alone what the content must be."""
    rng = np.random.default_rng([zlib.crc32(recording_id.encode()), *part, row])
    length_s = SEGMENT_S / part.rows
    start_s = part.index * SEGMENT_S + row * length_s
    embed = rng.standard_normal(WIDTH).astype(np.float32)
    tokens = np.round(rng.standard_normal((1 + row, TOKENS)) * 8).astype(np.float16)
    span = TimeSpan(start_s, start_s + length_s)
    return Carrier(recording_id, (span,), start_s + (1 + part.seed % 999) * STEP_S, length_s, tokens, embed / np.linalg.norm(embed))


def part_of(start_s: float, end_s: float, anchor_s: float) -> tuple[Part, int]:
    """The part that a carrier of these times belongs to, and its row in it."""
    index, rows = int(start_s // SEGMENT_S), round(SEGMENT_S / (end_s - start_s))
    row = round((start_s - index * SEGMENT_S) / (end_s - start_s))
    return Part(index, rows, round((anchor_s - start_s) / STEP_S) - 1), row


@lru_cache(4096)
def memory_of(recording_id: str, made: Made) -> SegmentMemory:
    span = TimeSpan(made[0].index * SEGMENT_S, (made[-1].index + 1) * SEGMENT_S)
    carriers = tuple(carrier_of(recording_id, part, row) for part in made for row in range(part.rows))
    texts = [text_of(line_of(recording_id, part), part.index * SEGMENT_S, part.index * SEGMENT_S + 1, recording_id) for part in made]
    gaps = tuple(Gap(TimeSpan(part.index * SEGMENT_S + 2, part.index * SEGMENT_S + 3), f"seed {part.seed}") for part in made)
    jpegs = tuple(f"{recording_id} {carrier.anchor_s}".encode() for carrier in carriers)
    return SegmentMemory(
        Segment(recording_id, made[0].index, span), carriers, jpegs, tuple(texts), gaps,
        frames_seen=10, frames_kept=4, level=len(made) - 1, novelty=made[0].seed / 1000,
    )  # fmt: skip


def line_of(recording_id: str, part: Part) -> str:
    return f"line {recording_id} {part.index} seed{part.seed}"


@lru_cache(4096)
def entry_of(recording_id: str, made: Made) -> Mapping[str, Any]:
    return {"generation": GENERATION, "encoder_id": ENCODER, **segment_entry(memory_of(recording_id, made))}


def content_of(state: State) -> list[Mapping[str, Any]]:
    """What `dump` of a store must say."""
    rows: list[Mapping[str, Any]] = []
    for recording_id, segments in sorted(state.items()):
        rows.append({"recording": asdict(recording_of(recording_id)), "names": [f"{recording_id}.mp4"]})
        rows += [entry_of(recording_id, made) for _, made in sorted(segments.items())]
    return rows


def after(state: State, op: Op) -> State:
    """What must be there when it was done."""
    new = {recording_id: dict(segments) for recording_id, segments in state.items()}
    if op.verb == "forget":
        new.pop(op.recording)
    elif op.verb != "index":
        segments = new.setdefault(op.recording, {})
        for index in op.gone:
            segments.pop(index)
        if op.made and not (op.verb == "commit" and op.made[0].index in segments):
            segments[op.made[0].index] = op.made
    return new


def perform(store: Any, op: Op) -> bool | None:
    """For a commit, whether it was the first of its segment."""
    named = {"generation": GENERATION, "encoder_id": ENCODER}
    if op.verb == "add":
        store.add(recording_of(op.recording), f"{op.recording}.mp4", location=f"/{op.recording}.mp4")
    elif op.verb == "commit":
        return bool(store.commit(memory_of(op.recording, op.made), **named))
    elif op.verb == "rewrite":
        store.rewrite(memory_of(op.recording, op.made), **named)
    elif op.verb == "replace":
        store.replace(op.recording, [memory_of(op.recording, op.made)], gone=op.gone, **named)
    elif op.verb == "drop":
        store.drop_segment(op.recording, GENERATION, *op.gone)
    elif op.verb == "forget":
        store.forget(op.recording)
    elif op.verb == "index":
        RecallIndex.open(store, GENERATION)
    return None


def choose(state: State, rng: random.Random) -> Op:
    """Something that can be done in that state."""
    recording, seed = rng.choice(RECORDINGS), rng.randrange(999)
    if recording not in state:
        return Op("add", recording)
    segments = state[recording]
    taken = {part.index for made in segments.values() for part in made}
    free = [index for index in range(MOST) if index not in taken]
    verb = rng.choices(list(WEIGHTS), WEIGHTS.values())[0] if segments else "commit"
    if verb == "commit" and free:
        return Op("commit", recording, (Part(rng.choice(free), rng.randint(1, 4), seed),))
    if verb in ("forget", "index") and segments:
        return Op(verb, recording)
    index = rng.choice(list(segments))
    if verb == "again":
        return Op("commit", recording, (Part(index, 2, seed),))
    if verb in ("drop", "commit"):  # no room left for another one
        return Op("drop", recording, gone=(index,))
    neighbour = next((other for other in segments if other == segments[index][-1].index + 1), None)
    if verb == "replace" and neighbour is not None and len(segments[index]) + len(segments[neighbour]) <= 4:
        return Op("replace", recording, (*segments[index], *segments[neighbour]), (index, neighbour))
    return Op("rewrite", recording, tuple(Part(part.index, rng.randint(1, 4), seed) for part in segments[index]))

"""The bank: events with the frozen tower's tokens of a few of their frames, which the decoder trains on."""

import hashlib
import math
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from footage.nested import nested
from nano.phrases import a, many, number_word, the
from nano.prompt import LEVELS
from nano.scene import Event, Shot, make_noise, sample_event
from nano.tower import WIDTH, normal, worn
from nano.words import DIRECTIONS

FRAMES = 4
"""Of every event."""
DETAILS = 32
"""Tokens a frame that are kept in the order of footage.nested."""


@dataclass(slots=True)
class Bank:
    """events[n] with tokens[level][n] (FRAMES, level, D) float16 of its frames at times_s[n] (FRAMES,); None is an empty stretch.

    details[n] (FRAMES, DETAILS, D) float16 are the same frames as footage.nested orders them.
    """

    events: list[Event | None]
    times_s: Any
    tokens: dict[int, Any]
    details: Any

    @classmethod
    def make(cls, tower: Any, split: str, count: int, seed: int) -> "Bank":
        """Rendered anew and passed through the tower."""
        import torch

        rng = np.random.default_rng([seed, 99])
        noise = make_noise(rng)
        shots = [Shot.sample(rng, noise) for _ in range(min(300, count))]
        events: list[Event | None] = [sample_event(rng, split) if rng.random() > 0.05 else None for _ in range(count)]
        times = np.zeros((count, FRAMES), np.float32)
        tokens = {level: np.zeros((count, FRAMES, level, WIDTH), np.float16) for level in LEVELS}
        details = np.zeros((count, FRAMES, DETAILS, WIDTH), np.float16)
        for begin in range(0, count, 16):
            pixels = []
            for n in range(begin, min(count, begin + 16)):
                event = events[n]
                length_s = event.duration_s if event else 8.0
                times[n] = (np.arange(FRAMES) + rng.uniform(0.05, 0.95, FRAMES)) / FRAMES * length_s
                shot, at_s = shots[int(rng.integers(len(shots)))], float(rng.uniform(0, 200))
                pixels += [worn(shot.frame(at_s + float(t), event, float(t), int(rng.integers(16))), rng) for t in times[n]]
            with torch.inference_mode():
                seen = tower(normal(np.stack(pixels))).last_hidden_state
            grids = seen.numpy().reshape(-1, FRAMES, 64, WIDTH)
            for level in LEVELS:
                tokens[level][begin : begin + 16] = pooled(grids, level)
            details[begin : begin + 16] = nested(grids, DETAILS)
        return cls(events, times, tokens, details)

    @classmethod
    def kept(cls, folder: Path, tower: Any, split: str, count: int, seed: int) -> "Bank":
        """The same, kept in a folder, so that training goes on at once; another tower gets a bank of its own."""
        which = hashlib.blake2b(tower.post_layernorm.weight.detach().numpy().tobytes(), digest_size=4).hexdigest()
        path = folder / f"bank2-{which}-{split}-{count}-{seed}.pickle"
        if not path.exists():
            bank = cls.make(tower, split, count, seed)
            with path.open("wb") as file:
                pickle.dump((bank.events, bank.times_s, bank.tokens, bank.details), file, protocol=5)
            return bank
        with path.open("rb") as file:
            return cls(*pickle.load(file))


def pooled(tokens: Any, level: int) -> Any:
    """(..., 64, D) of an 8 x 8 grid to (..., level, D) by averaging squares of it."""
    side, shape = math.isqrt(level), tokens.shape[:-2]
    squares = tokens.reshape(*shape, side, 8 // side, side, 8 // side, WIDTH)
    return squares.mean((-4, -2)).reshape(*shape, level, WIDTH)


def visible(event: Event | None, times_s: Sequence[float]) -> Event | None:
    """The part of an event that frames at these times show; a motion that one frame alone shows is none."""
    if event is None:
        return None
    things = []
    for thing in event.things:
        seen = sum(thing.start_s <= t < thing.end_s for t in times_s)
        if seen:
            things.append(thing if seen > 1 else replace(thing, motion="unknown"))
    return replace(event, things=tuple(things)) if things or event.sign else None


def caption(event: Event | None) -> str:
    """What a row of evidence shows, from left to right and, in a sequence, from first to last."""
    if event is None:
        return "shows nothing"
    counts = event.counts()
    parts = []
    for thing in event.things if event.form == "sequence" else sorted(event.things, key=lambda t: (t.x, t.y)):
        count = counts.pop(thing.kind, 0)
        if count:
            moves = f" moves {thing.motion}" if count == 1 and thing.motion in DIRECTIONS else ""
            parts.append((a(thing.kind) if count == 1 else f"{number_word(count)} {many(thing.kind)}") + moves)
    if event.sign:
        parts.append(the(event.sign.text))
    return "shows " + " , ".join(parts)

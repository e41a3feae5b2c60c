"""A film of any length whose whole truth is known: when what can be seen, and what may be asked about it.

A world is a timeline of shots (one background each, joined by cuts and fades) and events on them, with long empty stretches
between, as before a fixed camera. The same configuration gives the same timeline, the same film and the same questions.
"""

import json
import math
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np

from nano import MARK
from nano.draw import SIDE
from nano.phrases import Q_KINDS
from nano.questions import Asked, Asker
from nano.scene import Event, Shot, make_noise, sample_event
from nano.words import SPLITS, Kind, is_held_out, kinds

FADE_S = 1.0
GRID_S = 0.25  # everything begins and ends on quarters of a second, which are frames at 4, 8, 12 ... frames a second


@dataclass(frozen=True, slots=True)
class WorldConfig:
    """What decides a world; equal configurations are equal films."""

    seed: int = 0
    split: str = "test"
    """train, val or test: which pairs of colour and shape, which words, and which stream of random numbers."""
    duration_s: float = 1200.0
    fps: int = 8
    """A multiple of 4."""
    events_per_hour: float = 72.0
    needles: tuple[tuple[float, Kind], ...] = ()
    """(depth 0..1, kind): events that show a kind which nothing else in this world shows."""

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {self.split!r}")
        if self.fps < 4 or self.fps % 4:
            raise ValueError(f"fps must be a multiple of 4, got {self.fps}")
        if self.duration_s < 30:
            raise ValueError(f"duration_s must be at least 30, got {self.duration_s}")


@dataclass(frozen=True, slots=True)
class Placed:
    start_s: float
    event: Event

    @property
    def end_s(self) -> float:
        return self.start_s + self.event.duration_s


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a shot begins and how it comes in."""

    start_s: float
    transition: str
    """"start", "cut" or "fade"."""
    seed: int


@dataclass(frozen=True, slots=True)
class WorldQuestion:
    id: str
    kind: str
    text: str
    answer: str
    spans: tuple[tuple[float, float], ...]
    """(start_s, end_s) in the film, where the answer can be seen; none when it is not in the footage."""
    held_out: bool


@dataclass(frozen=True, slots=True)
class World:
    config: WorldConfig
    events: tuple[Placed, ...]
    cuts: tuple[Cut, ...]

    @classmethod
    def make(cls, config: WorldConfig) -> Self:
        rng = np.random.default_rng([SPLITS.index(config.split), config.seed, 4])
        slots = max(len(config.needles), 1, round(config.duration_s * config.events_per_hour / 3600), 0)
        slots = min(slots, int(config.duration_s // 18))
        edges = np.linspace(0, config.duration_s, slots + 1)
        reserved = {kind for _, kind in config.needles}
        forced = {min(slots - 1, int(depth * slots)): kind for depth, kind in config.needles}
        events, cuts = [], [Cut(0.0, "start", int(rng.integers(2**31)))]
        for n, (a, b) in enumerate(pairwise(edges.tolist())):
            event = _event(rng, config.split, forced.get(n), reserved)
            free_s = b - a - event.duration_s - 3
            at_s = _on_grid(a + 1.5 + float(rng.uniform(0, max(free_s, 0))))
            if n in forced:  # the middle of the needle lies at its depth, as nearly as its slot allows
                depth = next(d for d, kind in config.needles if kind == forced[n])
                at_s = _on_grid(min(max(depth * config.duration_s - event.duration_s / 2, a + 1.5), b - 1.5 - event.duration_s))
            events.append(Placed(at_s, event))
            draw = rng.random()
            if n and draw < 0.75:
                cuts.append(Cut(_on_grid(a), "cut" if draw < 0.55 else "fade", int(rng.integers(2**31))))
        return cls(config, tuple(events), tuple(cuts))

    def questions(self, per_kind: int = 3, *, seed: int = 0, held_out: bool | None = None) -> list[WorldQuestion]:
        """Up to per_kind different questions of every kind; held_out: only those about what training never had, or only the others."""
        rng = np.random.default_rng([SPLITS.index(self.config.split), self.config.seed, 5, seed])
        asker = Asker([placed.event for placed in self.events], rng, self.config.split)
        found: list[WorldQuestion] = []
        for kind in Q_KINDS:
            texts: set[str] = set()
            for _ in range(per_kind * 12):
                asked = asker.ask(kind)
                if asked is None or asked.text in texts or held_out not in (None, asked.held_out) or len(texts) == per_kind:
                    continue
                texts.add(asked.text)
                found.append(self._dated(asked, f"{kind}-{len(texts)}"))
        return found

    def _dated(self, asked: Asked, id: str) -> WorldQuestion:
        starts = [self.events[row].start_s for row in asked.rows]
        spans = tuple((at + a, at + b) for at, (a, b) in zip(starts, asked.things, strict=True))
        return WorldQuestion(id, asked.kind, asked.text, asked.answer, spans, asked.held_out)

    def truth(self, questions: list[WorldQuestion]) -> dict[str, Any]:
        """As JSON.

        config; side_px; shots: start_s, end_s, transition; events: start_s, end_s, form, things (colour, shape, size, texture,
        motion, start_s, end_s in the film's seconds, held_out) and sign (text, start_s, end_s) or null; questions: id, kind, text, answer
        ("none": not in the footage), spans (seconds in which the answer can be seen), held_out.
        """
        ends = [*(cut.start_s for cut in self.cuts[1:]), self.config.duration_s]
        shots = [{"start_s": c.start_s, "end_s": end, "transition": c.transition} for c, end in zip(self.cuts, ends, strict=True)]
        return {"config": asdict(self.config), "side_px": SIDE, "shots": shots,
                "events": [_event_json(p) for p in self.events], "questions": [asdict(q) for q in questions]}  # fmt: skip

    def frames(self) -> Iterator[np.ndarray]:
        """Every frame, (S, S, 3) uint8; frame n is on screen from n / fps."""
        noise = make_noise(np.random.default_rng([SPLITS.index(self.config.split), self.config.seed, 6]))
        count, fps = round(self.config.duration_s * self.config.fps), self.config.fps
        starts = [c.start_s for c in self.cuts]
        begins = [p.start_s for p in self.events]
        shot_at, shot, event_at = -1, None, 0
        for n in range(count):
            at_s = n / fps
            if shot_at + 1 < len(starts) and at_s >= starts[shot_at + 1]:
                shot_at += 1
                shot = Shot.sample(np.random.default_rng(self.cuts[shot_at].seed), noise)
            while event_at + 1 < len(begins) and at_s >= begins[event_at + 1]:
                event_at += 1
            placed = self.events[event_at]
            shows = placed.start_s <= at_s < placed.end_s
            assert shot is not None
            frame = shot.frame(at_s - starts[shot_at], placed.event if shows else None, at_s - placed.start_s, n)
            yield _faded(frame, self._light(at_s, shot_at))

    def _light(self, at_s: float, shot_at: int) -> float:
        """1, but near a fade: down to black at its middle."""
        light = 1.0
        for k in (shot_at, shot_at + 1):
            if k < len(self.cuts) and self.cuts[k].transition == "fade":
                light = min(light, abs(at_s - self.cuts[k].start_s) / (FADE_S / 2))
        return light

    def write(self, path: Path, questions: list[WorldQuestion] | None = None) -> Path:
        """The film as H.264 MP4 and, beside it, its truth as .json; a film of this world that is there is left as it is."""
        truth = json.dumps(self.truth(self.questions() if questions is None else questions), indent=1)
        beside = path.with_suffix(".json")
        drawn = path.exists() and beside.exists() and _shown(beside.read_text()) == _shown(truth)
        if drawn and beside.read_text() == truth:
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        half, said = (path.with_name(f".{path.name}.{os.getpid()}.{kind}") for kind in ("part", "json"))
        try:
            if not drawn:
                _encode(self.frames(), half, self.config.fps)
                half.replace(path)
            said.write_text(truth)
            said.replace(beside)
        finally:
            half.unlink(missing_ok=True)
            said.unlink(missing_ok=True)
        return path


def _shown(truth: str) -> dict[str, Any]:
    """A truth file without its questions: what the film shows."""
    return {name: value for name, value in json.loads(truth).items() if name != "questions"}


def read_questions(path: Path) -> list[WorldQuestion]:
    """The questions of a truth file that `World.write` made."""
    return [WorldQuestion(**{**q, "spans": tuple(tuple(s) for s in q["spans"])}) for q in json.loads(path.read_text())["questions"]]


def _event(rng: np.random.Generator, split: str, needle: Kind | None, reserved: set[Kind]) -> Event:
    """At random; a needle's kind is shown by its own event alone."""
    if needle is not None:
        event = sample_event(rng, split, form="movers", kind=needle)
        return replace(event, things=event.things[:1])
    for _ in range(50):
        event = sample_event(rng, split)
        if not reserved & set(event.counts()):
            return event
    raise AssertionError("fifty events in a row showed a reserved kind")


def _on_grid(time_s: float) -> float:
    return math.floor(time_s / GRID_S) * GRID_S


def _faded(frame: np.ndarray, light: float) -> np.ndarray:
    return frame if light >= 1 else (frame * light).astype(np.uint8)


def _event_json(placed: Placed) -> dict[str, Any]:
    at_s, sign = placed.start_s, placed.event.sign
    things = [
        {"colour": t.colour, "shape": t.shape, "size": t.size, "texture": t.texture, "motion": t.motion,
         "start_s": at_s + t.start_s, "end_s": at_s + t.end_s, "held_out": is_held_out(t.kind)}
        for t in placed.event.things
    ]  # fmt: skip
    said = {"text": sign.text, "start_s": at_s + sign.start_s, "end_s": at_s + sign.end_s} if sign else None
    return {"start_s": at_s, "end_s": placed.end_s, "form": placed.event.form, "things": things, "sign": said}


def _encode(frames: Iterator[np.ndarray], path: Path, fps: int) -> None:
    """H.264 4:2:0 with a key frame every eight seconds, whatever the machine the same bytes for the same libx264."""
    import av

    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as file:
        file.metadata["comment"] = MARK
        stream: Any = file.add_stream("libx264", rate=Fraction(fps))
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "22", "g": str(8 * fps), "threads": "1"}
        stream.codec_context.time_base = Fraction(1, fps)
        for n, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = n
            file.mux(stream.encode(frame))
        file.mux(stream.encode())


def needle_kinds(split: str, count: int) -> list[Kind]:
    """Kinds for needles, spread over colours and shapes."""
    pool = kinds(split)
    return [pool[(7 + 31 * n) % len(pool)] for n in range(count)]

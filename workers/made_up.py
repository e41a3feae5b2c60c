"""Libraries without video: made-up carriers of any number of hours, straight into a store, to measure what shows at that size alone.

Keys lie as embeddings of frames do: 64 latent dimensions lifted to the full width and some noise there, 50 rows around the centre of
their scene, unit length. Needles are planted: something seen for a moment at a known time, with a line of text, of which the key is known.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np

from footage.arrays import AnyArray, Embeds
from footage.carriers import Carrier, SegmentMemory
from footage.frames import Clip, EncodedClip
from footage.protocols import Store
from footage.recordings import Recording, Segment, TextRow
from footage.timespan import TimeSpan

SEGMENT_S = 60.0
LATENT, SCENE_ROWS = 64, 50
SCENE_NOISE, WIDTH_NOISE, ASKED_NOISE, FAR_NOISE = 0.35, 0.09, 0.25, 0.29
NEEDLE_ROWS = 3
TOKEN_WIDTH = 16
BATCH = 64  # segments that come in one step
WORDS = tuple("bay dock gate lane load north order pallet ramp shift south tower track truck yard zone".split())
_CENTRES, _ROWS, _NEEDLES, _TEXTS, _LIFT, _ASKED = range(6)  # streams of random numbers


@dataclass(frozen=True, slots=True)
class Needle:
    """What can be asked for, and where it is."""

    name: str
    """A word, which MadeUpEncoder knows: "needle bafa"."""
    recording_id: str
    span: TimeSpan
    text: str
    """Stands on the screen meanwhile, and nowhere else."""


@dataclass(frozen=True)
class MadeUp:
    """The same content for the same values."""

    hours: float = 1.0
    width: int = 768
    recording_h: float = 0.0
    """Length of each recording; 0: one that goes on for all of it."""
    every_s: float = 1.0
    """Between keys; 10: as of a quiet camera behind a gate."""
    needles: int = 20
    seed: int = 0

    @property
    def name(self) -> str:
        return f"{self.hours:g}h-{self.width}-{self.recording_h:g}h-{self.every_s:g}s-{self.needles}-{self.seed}"

    @property
    def encoder_id(self) -> str:
        return f"made-up-{self.width}@1"

    @property
    def generation(self) -> str:
        return f"{self.encoder_id}+none"

    @property
    def segments(self) -> int:
        return max(1, round(self.hours * 3600 / SEGMENT_S))

    @property
    def per_segment(self) -> int:
        return max(1, round(SEGMENT_S / self.every_s))

    @property
    def rows(self) -> int:
        return self.segments * self.per_segment

    @property
    def _per_recording(self) -> int:
        return max(1, round(self.recording_h * 3600 / SEGMENT_S)) if self.recording_h else self.segments

    def recordings(self) -> list[Recording]:
        counts = [min(self._per_recording, self.segments - first) for first in range(0, self.segments, self._per_recording)]
        return [Recording(f"made-up-{i:05d}", count * SEGMENT_S, 640, 360, codec="none") for i, count in enumerate(counts)]

    def _rng(self, *key: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, *key])

    @cached_property
    def _lift(self) -> AnyArray:
        """(64, width), rows of unit length at right angles, or as near to it as the width allows."""
        drawn = self._rng(_LIFT).standard_normal((max(self.width, LATENT), LATENT))
        return np.ascontiguousarray(np.linalg.qr(drawn)[0].T[:, : self.width], np.float32)

    def keys(self, number: int) -> Embeds:
        """(per_segment, width) of a segment, counted over all recordings."""
        rows = number * self.per_segment + np.arange(self.per_segment)
        rng, scenes = self._rng(_ROWS, number), rows // SCENE_ROWS
        every = range(int(scenes[0]), int(scenes[-1]) + 1)
        centres = np.stack([self._rng(_CENTRES, scene).standard_normal(LATENT, np.float32) for scene in every])
        latents = centres[scenes - scenes[0]] + SCENE_NOISE * rng.standard_normal((len(rows), LATENT), np.float32)
        for needle, first in self._in_segment.get(number, ()):
            latents[first : first + NEEDLE_ROWS] = self._centre(needle) + SCENE_NOISE * latents[first : first + NEEDLE_ROWS]
        return _unit(latents @ self._lift + WIDTH_NOISE * rng.standard_normal((len(rows), self.width), np.float32))

    def asked(self, needle: int) -> Embeds:
        """(width,) what a question for that needle is embedded as: near to it, and not the same."""
        noise = self._rng(_ASKED, needle).standard_normal(LATENT, np.float32)
        return _unit((self._centre(needle) + ASKED_NOISE * noise)[None] @ self._lift)[0]

    def likely(self, question: int, *, is_near: bool) -> Embeds:
        """(width,) another key to search for: a frame of some scene that was not kept, or, farther from all, words about such a scene."""
        rng = self._rng(_ASKED, question, 1)
        scene = self._rng(_CENTRES, int(rng.integers(self.rows // SCENE_ROWS + 1))).standard_normal(LATENT, np.float32)
        own, noise = rng.standard_normal(LATENT, np.float32), rng.standard_normal(self.width, np.float32)
        latent = scene + SCENE_NOISE * own if is_near else 0.6 * scene + 0.8 * own
        return _unit((latent @ self._lift + (WIDTH_NOISE if is_near else FAR_NOISE) * noise)[None])[0]

    def _centre(self, needle: int) -> AnyArray:
        return self._rng(_NEEDLES, needle).standard_normal(LATENT, np.float32)

    @cached_property
    def _in_segment(self) -> dict[int, list[tuple[int, int]]]:
        """By segment the needles in it and the first row of each, evenly over all of the time."""
        found: dict[int, list[tuple[int, int]]] = {}
        for needle in range(self.needles):
            number = int((needle + 0.5) / self.needles * self.segments)
            first = int(self._rng(_NEEDLES, needle, 1).integers(0, max(1, self.per_segment - NEEDLE_ROWS)))
            found.setdefault(number, []).append((needle, first))
        return found

    def planted(self) -> list[Needle]:
        """In time order; where two fall on the same rows, the later one hides the earlier."""
        return [self._needle(number, *each) for number, own in self._in_segment.items() for each in own]

    def _needle(self, number: int, needle: int, first: int) -> Needle:
        recording, begin_s = self._place(number)
        last = min(first + NEEDLE_ROWS, self.per_segment)
        span = TimeSpan(begin_s + first * self._step_s, begin_s + last * self._step_s)
        return Needle(_word(needle), recording, span, f"K{self.seed}{needle:04d}")

    @property
    def _step_s(self) -> float:
        return SEGMENT_S / self.per_segment

    def _place(self, number: int) -> tuple[str, float]:
        """Recording and seconds where a segment begins."""
        return f"made-up-{number // self._per_recording:05d}", number % self._per_recording * SEGMENT_S

    def memory(self, number: int) -> SegmentMemory:
        """One segment, counted over all recordings."""
        recording_id, begin_s = self._place(number)
        segment = Segment(recording_id, number % self._per_recording, TimeSpan(begin_s, begin_s + SEGMENT_S))
        keys, step_s = self.keys(number), self._step_s
        tokens = keys[:, None, : min(TOKEN_WIDTH, self.width)].astype(np.float16)
        carriers = tuple(
            Carrier(recording_id, (TimeSpan(start_s, start_s + step_s),), start_s + step_s / 2, step_s, tokens[i], keys[i])
            for i, start_s in enumerate((begin_s + step_s * np.arange(len(keys))).tolist())
        )
        return SegmentMemory(segment, carriers, texts=self._texts(number, segment), frames_seen=60, frames_kept=len(keys))

    def _texts(self, number: int, segment: Segment) -> tuple[TextRow, ...]:
        """A line in every tenth segment, of words that come again and again, and the lines of needles."""
        planted = [self._needle(number, *each) for each in self._in_segment.get(number, ())]
        rows = [TextRow(needle.recording_id, needle.span, "ocr", f"CODE {needle.text}") for needle in planted]
        if number % 10 == 0:
            rng = self._rng(_TEXTS, number)
            line = f"{WORDS[rng.integers(len(WORDS))]} {WORDS[rng.integers(len(WORDS))]} {rng.integers(1000)}"
            rows.append(TextRow(segment.recording_id, TimeSpan(segment.span.start_s, segment.span.start_s + 5), "ocr", line))
        return tuple(rows)

    def write(self, store: Store, told: Callable[[int], None] = lambda _: None) -> int:
        """Bring a store to hold all of it; goes on where it was stopped. Returns how many segments came. told: how many, now and then."""
        done = 0
        for i, recording in enumerate(self.recordings()):
            store.add(recording, f"made up {i:05d}.mp4")
            first, count = i * self._per_recording, round(recording.duration_s / SEGMENT_S)
            kept = store.committed(recording.recording_id, self.generation)
            for memories in _ahead(self._batch, [range(count)[n : n + BATCH] for n in range(0, count, BATCH)], first, kept):
                if memories:
                    store.replace(recording.recording_id, memories, gone=(), generation=self.generation, encoder_id=self.encoder_id)
                done += len(memories)
                told(done)
        return done

    def _batch(self, indices: Sequence[int], first: int, kept: Any) -> list[SegmentMemory]:
        return [self.memory(first + index) for index in indices if index not in kept]


def _ahead(make: Callable[..., Any], items: Sequence[Any], *rest: Any) -> Iterator[Any]:
    """make(item, *rest) of each, the next one made while the last is used: disks wait."""
    with ThreadPoolExecutor(1) as pool:
        coming = [pool.submit(make, item, *rest) for item in islice(items, 1)]
        for item in items[1:]:
            coming.append(pool.submit(make, item, *rest))
            yield coming.pop(0).result()
        for last in coming:
            yield last.result()


def _unit(rows: AnyArray) -> Embeds:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def _word(number: int) -> str:
    """bababa, bababe ...: other words than what stands on screens."""
    return "".join("bdfgklmnprstvz"[number // 5 // 70**place % 14] + "aeiou"[number // 70**place % 5] for place in (2, 1, 0))


class MadeUpEncoder:
    """Knows the key of "needle babade", and no other words."""

    floor = 0.6

    def __init__(self, made: MadeUp) -> None:
        self._made, self.id = made, made.encoder_id
        self._numbers = {_word(number): number for number in range(made.needles)}

    def encode(self, clip: Clip) -> EncodedClip:
        raise NotImplementedError("there are no pictures of what was made up")

    def embed_text(self, texts: Sequence[str]) -> Embeds:
        """As the protocol says."""
        found = [re.search(r"needle (\w+)", text) for text in texts]
        numbers = [self._numbers.get(each.group(1)) if each else None for each in found]
        return np.stack([np.zeros(self._made.width, np.float32) if n is None else self._made.asked(n) for n in numbers])

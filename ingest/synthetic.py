"""SyntheticSource: a colour script with known truth. No files, no codec; the smallest source there is."""

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from footage.colours import ANCHORS, NAMES
from footage.errors import ConfigError, DecodeError
from footage.frames import Clip, Frame
from footage.questions import Redecode
from footage.recordings import Gap, Recording, Segment, TextRow
from footage.timespan import TimeSpan, clock

PREFIX = "synthetic:"


@dataclass(frozen=True, slots=True)
class SyntheticSource:
    """Plain colours one after another: `synthetic:red=30,blue=5` is 30 s of red and then 5 s of blue.

    Source and Fetcher in one; frames are 24x32, one every 1 / fps seconds.
    """

    script: tuple[tuple[str, TimeSpan], ...]
    fps: float = 1.0
    segment_s: float = 60.0
    clip_frames: int = 16

    @classmethod
    def parse(cls, text: str, *, fps: float = 1.0) -> "SyntheticSource":
        """Raises ConfigError where the script has no such colour or no length."""
        script, at_s = [], 0.0
        for part in text.removeprefix(PREFIX).split(","):
            name, _, seconds = part.strip().partition("=")
            try:
                length_s = float(seconds)
            except ValueError:
                length_s = 0.0
            if name not in NAMES or not 0 < length_s < 1e6:
                raise ConfigError(f"{part!r} is no part of a colour script",
                                  hint=f"write synthetic:red=30,blue=5; colours: {', '.join(NAMES)}")  # fmt: skip
            script.append((name, TimeSpan(at_s, at_s + length_s)))
            at_s += length_s
        return cls(tuple(script), fps)

    @property
    def recording(self) -> Recording:
        text = ",".join(f"{name}={span.duration_s:g}" for name, span in self.script)
        name = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        return Recording(name, self.script[-1][1].end_s, 32, 24, codec="synthetic", facts={"script": text})

    @property
    def worst_lateness_s(self) -> float:
        return 1 / self.fps

    def segments(self) -> Iterator[Segment]:
        whole = self.recording
        edges = [*np.arange(0.0, whole.duration_s, self.segment_s).tolist(), whole.duration_s]
        for index, (start_s, end_s) in enumerate(itertools.pairwise(edges)):
            yield Segment(whole.recording_id, index, TimeSpan(start_s, end_s))

    def clips(self, segment: Segment) -> Iterator[Clip | Gap]:
        span = segment.span
        starts = np.arange(np.ceil(span.start_s * self.fps - 1e-6), np.ceil(span.end_s * self.fps - 1e-6)) / self.fps
        ends = np.append(starts[1:], span.end_s)
        for at in range(0, len(starts), self.clip_frames):
            part = slice(at, at + self.clip_frames)
            pixels = np.stack([self._pixels(t) for t in starts[part].tolist()])
            yield Clip(segment.recording_id, pixels, starts[part], ends[part], starts[part])

    def texts(self) -> list[TextRow]:
        return []

    def extent(self, recording_id: str) -> TimeSpan | None:
        return self.recording.span if recording_id == self.recording.recording_id else None

    def fetch(self, requests: Sequence[Redecode]) -> list[Frame]:
        return [Frame(r.recording_id, self._scene(r.time_s)[1], self._pixels(r.time_s)) for r in requests]

    def _scene(self, time_s: float) -> tuple[str, TimeSpan]:
        for name, span in self.script:
            if time_s in span:
                return name, span
        raise DecodeError(f"asked for {clock(time_s)}, but the script ends at {clock(self.script[-1][1].end_s)}")

    def _pixels(self, time_s: float) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        return np.full((24, 32, 3), dict(reversed(ANCHORS))[self._scene(time_s)[0]], np.uint8)

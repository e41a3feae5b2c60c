"""Where one scene ends and the next begins, from features alone: an online cutter, FastVID's rule, and HoliTom's optimal segments.

"HoliTom: Holistic Token Merging for Fast Video Large Language Models" (2025). The cutter joins the rule of "FastVID: Dynamic Density
Pruning for Fast Video Large Language Models" (2025; hard cuts at once) with that of "StreamForest: Efficient Online Video Understanding
with Persistent Event Memory" (2025; soft ones at the least likeness of a window). Letters: T frames, N tokens of each, D width.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from footage.arrays import AnyArray, Bools
from memory.tokens.change import likeness, otsu
from memory.tokens.reduced import unit


def static(tokens_TND: AnyArray, threshold: float = 0.8) -> Bools:
    """(T - 1, N) patches that stay from frame t to t + 1: cosine above the threshold."""
    stays: Bools = likeness(tokens_TND) > threshold
    return stays


def transitions(features: AnyArray, *, least: int = 8, threshold: float = 0.9, same: float = 0.95) -> list[slice]:
    """FastVID's rule for (T, D) features at hand: cut at the least - 1 least likenesses and at all below threshold, never above same."""
    vectors = unit(features)
    alike = np.round((vectors[1:] * vectors[:-1]).sum(-1), 6)
    cuts = alike < threshold
    cuts[np.argsort(alike, kind="stable")[: least - 1]] = True
    edges = [0, *(np.flatnonzero(cuts & (alike <= same)) + 1).tolist(), len(features)]
    return [slice(a, b) for a, b in pairwise(edges)]


def optimal_segments(stays: Bools, window: int = 128) -> list[slice]:
    """Cut T frames so that as many tokens as possible fall away when jointly static patches of a segment become one.

    A segment of n frames with c patches that stay through all of it saves c * (n - 1). Dynamic programme over run lengths: O(T * (N + W))
    instead of O(T^2 * N). Of equal savings the shorter last segment.

    Args:
        stays: (T - 1, N). window: the most frames of a segment.
    """
    T, N = len(stays) + 1, stays.shape[1]
    best, begins, runs = np.zeros(T + 1), np.zeros(T + 1, int), np.zeros(N, int)
    for end in range(T):
        runs = np.where(stays[end - 1], runs + 1, 0) if end else runs
        longest = min(end, window - 1)
        steps = np.arange(longest + 1)  # frames before this one in the segment
        counts = np.bincount(np.minimum(runs, longest), minlength=longest + 1)
        through = counts[::-1].cumsum()[::-1]  # patches whose run is at least so long
        values = best[end - steps] + through * steps * (steps > 0)
        step = int(values.argmax())
        best[end + 1], begins[end + 1] = values[step], end - step
    found, end = [], T
    while end > 0:
        found.append(slice(int(begins[end]), end))
        end = int(begins[end])
    return found[::-1]


def saved(stays: Bools, segment: slice) -> int:
    """Tokens that fall away in one segment."""
    inside = stays[segment.start : segment.stop - 1]
    return int(inside.all(0).sum()) * len(inside) if len(inside) else 0


@dataclass(slots=True)
class OnlineCutter:
    """Frame features in, scenes out, with constant memory; a scene is told as soon as it is sure.

    A cut falls where likeness to the frame before drops below `threshold` (never above `same`), at once, once it was `hysteresis` above it
    since the last cut, so that a stretch in motion is not cut at every frame; or, where a scene has `most` frames, at the least likeness
    of its last `window`; or where it has come to rest and no longer looks like itself `fade_frames` before: a fade, cut where it was
    fastest. A camera that goes on moving is not at rest, and is not cut. No scene but the last is shorter than `least`.
    """

    threshold: float | None = 0.9
    """None: Otsu's of the likenesses seen so far."""
    same: float = 0.95
    hysteresis: float = 0.03
    least: int = 2
    most: int = 64
    window: int = 8
    fade: float = 0.6
    """Likeness below which a scene that came to rest is another one."""
    fade_frames: int = 12
    _recent: list[AnyArray] = field(default_factory=list, init=False)
    _armed: bool = field(default=True, init=False)
    _last: AnyArray | None = field(default=None, init=False)
    _alike: list[float] = field(default_factory=list, init=False)
    _begin: int = field(default=0, init=False)
    _seen: int = field(default=0, init=False)
    _history: list[float] = field(default_factory=list, init=False)

    def add(self, feature: AnyArray) -> list[slice]:
        """One frame's (D,) feature; the scenes that end now."""
        vector = unit(feature)
        done: list[slice] = []
        if self._last is not None:
            self._alike.append(float(vector @ self._last))
            self._history = [*self._history[-511:], self._alike[-1]]
        self._last, self._seen = vector, self._seen + 1
        self._recent = [*self._recent[-self.fade_frames :], vector]
        length, limit = self._seen - self._begin, self._limit()
        self._armed = self._armed or (bool(self._alike) and self._alike[-1] > min(limit + self.hysteresis, self.same))
        if length > self.least and self._armed and self._alike[-1] < limit:
            done.append(self._cut(self._seen - 1))
            self._armed = False
        elif length > self.most:
            recent = self._alike[-min(self.window, len(self._alike) - self.least) :] if len(self._alike) > self.least else self._alike[-1:]
            done.append(self._cut(self._seen - len(recent) + int(np.argmin(recent))))
        elif self._has_faded(length):
            steps = self._alike[-self.fade_frames :]
            done.append(self._cut(self._seen - len(steps) + int(np.argmin(steps))))
        return done

    def _has_faded(self, length: int) -> bool:
        """The last steps are small and all of them together are not."""
        if length <= self.fade_frames or min(self._alike[-2:]) <= self.same:
            return False
        return float(self._recent[-1] @ self._recent[0]) < self.fade

    def close(self) -> list[slice]:
        """What is left."""
        rest = slice(self._begin, self._seen)
        self._begin, self._alike = self._seen, []
        return [rest] if rest.stop > rest.start else []

    def _limit(self) -> float:
        if self.threshold is not None:
            return min(self.threshold, self.same)
        return min(otsu(np.array(self._history)), self.same) if len(self._history) >= 16 else -1.0

    def _cut(self, at: int) -> slice:
        """End the scene before frame `at`."""
        scene = slice(self._begin, at)
        self._alike = self._alike[len(self._alike) - (self._seen - 1 - at) :] if at < self._seen else []
        self._begin = at
        return scene


def scenes(features: AnyArray, cutter: OnlineCutter | None = None) -> Iterator[slice]:
    """(T, D) features to scenes that tile them."""
    cutter = cutter or OnlineCutter()
    for feature in features:
        yield from cutter.add(feature)
    yield from cutter.close()

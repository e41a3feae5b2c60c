"""A recording in a few sections, from its scenes: where it changes most, and what stands and is said there.

Nothing is made up: each line quotes a scene with its time, words are those that were read or said, and what a model tells points at scenes.
Letters: S scenes, F features of a scene, V different words, G groups.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from footage.arrays import AnyArray
from footage.recordings import Gap, TextRow
from footage.timespan import TimeSpan
from qa.parse import STOP_WORDS, stem
from qa.timeline import LEAST_SCORE, SAID, Scene

SECTIONS, PARTS, QUOTES, WORDS = 8, 5, 2, 5
"""At most: sections of a recording, parts of a section, quotes of a part, words of a section."""
LIKE = 0.05  # of what differs throughout: neighbours that differ by less are not told apart
SHORTEST = 1 / 30  # of the whole: a section that would be shorter joins a neighbour
STILL, WORDLESS = 0.02, 0.2  # mean squared change of pictures and of words below which it is noise and is not enlarged
LEAST_S = 2.0  # a word that was read for a shorter time may have been misread
_WORD = re.compile(r"(?<!\w)[^\W\d_]{2,}(?:['’-]?[^\W\d_]+)+(?!\w)")
_NO_WORDS = STOP_WORDS | {"http", "https", "www", "com", "org", "html"}
LONGEST = 24  # characters: what is longer is a code
_SHARE = 0.1  # of a row's own time that must lie in a scene


@dataclass(frozen=True, slots=True)
class Quote:
    """What one scene shows, as the timeline captions it."""

    span: TimeSpan
    text: str
    source: str
    """As in Scene."""


@dataclass(frozen=True, slots=True)
class Told:
    """A model's words, and the moments that it points at for them."""

    text: str
    spans: tuple[TimeSpan, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """Scenes that are alike, one after the other."""

    span: TimeSpan
    scenes: int
    quotes: tuple[Quote, ...]


@dataclass(frozen=True, slots=True)
class Section:
    span: TimeSpan
    scenes: int
    words: tuple[str, ...]
    """Read or said here more than elsewhere, the most telling first."""
    parts: tuple[Part, ...]
    gaps: tuple[Gap, ...] = ()
    told: Told | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    recording_id: str
    span: TimeSpan
    scenes: int
    sections: tuple[Section, ...]
    """In time order; they tile the span."""
    told: Told | None = None
    model: str = ""
    """Whose words `told` are; "": nobody's, all is quoted."""

    @property
    def gaps(self) -> tuple[Gap, ...]:
        return tuple(gap for section in self.sections for gap in section.gaps)


def outline(scenes: Sequence[Scene], looks: AnyArray, rows: Iterable[TextRow]) -> tuple[Section, ...]:
    """Sections of scenes that tile the time, gaps among them. looks: (S, E) what each scene looks like. rows: texts of the same time."""
    words = Words(rows, [scene.span for scene in scenes])
    lasts = np.array([0.0 if scene.source == "gap" else scene.span.duration_s for scene in scenes])
    features = _carried(_scaled(looks, lasts, STILL), _scaled(words.vectors(), lasts, WORDLESS), lasts)
    cuts = groups(features, lasts, most=SECTIONS, shortest=SHORTEST)
    telling = words.telling(cuts)
    return tuple(_section(scenes[cut], features[cut], lasts[cut], told) for cut, told in zip(cuts, telling, strict=True))


def groups(features: AnyArray, weights: AnyArray, *, most: int, shortest: float = 0.0) -> list[slice]:
    """Neighbours joined, those first that change the least, until at most `most` are left, none is shorter than a share of the whole, and
    joining two more would cost LIKE.

    The cost of joining two is what the squared distance to their own mean grows by ("Hierarchical Grouping to Optimize an Objective
    Function", 1963), so that one odd scene is no section; we only join neighbours, of equals the shorter, then the earlier ones.
    features: (S, F); weights: (S,) seconds.
    """
    runs = [slice(n, n + 1) for n in range(len(features))]
    means, sizes = features.astype(float), np.maximum(weights, 1e-6)
    whole = float(sizes.sum())  # what joining all costs where each feature differs as much as _scaled leaves it
    while len(runs) > 1:
        costs = (sizes[1:] * sizes[:-1] / (sizes[1:] + sizes[:-1])) * ((means[1:] - means[:-1]) ** 2).sum(1)
        is_long = np.minimum(sizes[1:], sizes[:-1]) >= shortest * whole
        at = int(np.lexsort((sizes[1:] + sizes[:-1], np.round(costs, 6), is_long))[0])
        if is_long[at] and len(runs) <= most and costs[at] > LIKE * whole + 1e-9:
            break
        both = sizes[at] + sizes[at + 1]
        means[at] = (sizes[at] * means[at] + sizes[at + 1] * means[at + 1]) / both
        means, sizes[at] = np.delete(means, at + 1, 0), both
        sizes = np.delete(sizes, at + 1)
        runs[at : at + 2] = [slice(runs[at].start, runs[at + 1].stop)]
    return runs


def _scaled(vectors: AnyArray, weights: AnyArray, least: float) -> AnyArray:
    """(S, F) so that the mean squared distance to the mean is 1, or less where they hardly change."""
    total = max(float(weights.sum()), 1e-9)
    spread = float((weights[:, None] * (vectors - weights @ vectors / total) ** 2).sum()) / total
    scaled: AnyArray = vectors / np.sqrt(max(spread, least))
    return scaled


def _carried(looks: AnyArray, words: AnyArray, lasts: AnyArray) -> AnyArray:
    """(S, F) both side by side; a gap is like the scene before it, so that it parts nothing by itself."""
    features: AnyArray = np.concatenate([looks, words], 1)
    seen = np.flatnonzero(lasts)
    if not len(seen):
        return features
    before = np.searchsorted(seen, np.arange(len(features)), side="right") - 1
    return features[seen[np.maximum(before, 0)]]


def _section(scenes: Sequence[Scene], features: AnyArray, lasts: AnyArray, words: tuple[str, ...]) -> Section:
    cuts = groups(features, lasts, most=PARTS)
    parts = (_part(scenes[cut], features[cut], lasts[cut]) for cut in cuts)
    gaps = tuple(Gap(scene.span, scene.caption) for scene in scenes if scene.source == "gap")
    return Section(
        scenes[0].span.hull(scenes[-1].span), int((lasts > 0).sum()), words, tuple(part for part in parts if part.scenes), gaps
    )  # fmt: skip


def _part(scenes: Sequence[Scene], features: AnyArray, lasts: AnyArray) -> Part:
    """With the captions of its most typical scenes, each once, in time order; those that quote something first, then longer scenes."""
    off = np.round(((features - lasts @ features / max(lasts.sum(), 1e-9)) ** 2).sum(1), 5)
    order = sorted(range(len(scenes)), key=lambda n: (scenes[n].source in ("", "colour"), off[n], -lasts[n], n))
    chosen = dict[str, int]()
    for n in order:
        if lasts[n] and len(chosen) < QUOTES:
            chosen.setdefault(scenes[n].caption, n)
    quotes = tuple(Quote(scenes[n].span, scenes[n].caption, scenes[n].source) for n in sorted(chosen.values()))
    return Part(scenes[0].span.hull(scenes[-1].span), int((lasts > 0).sum()), quotes)


class Words:
    """How long each word stands, or is said, in each scene. Two spellings of one stem are one word, shown as it is mostly written."""

    def __init__(self, rows: Iterable[TextRow], spans: Sequence[TimeSpan]) -> None:
        starts, ends = (np.array([getattr(span, edge) for span in spans]) for edge in ("start_s", "end_s"))
        seconds: list[tuple[int, int, float]] = []
        self._places, self._spelled = dict[str, int](), dict[str, Counter[str]]()
        for row in rows:
            if row.kind not in SAID and row.score < LEAST_SCORE:
                continue
            both = np.minimum(ends, row.span.end_s) - np.maximum(starts, row.span.start_s)
            inside = np.flatnonzero(both > _SHARE * row.span.duration_s)
            for word in dict.fromkeys(_WORD.findall(row.text)):
                if word.lower() not in _NO_WORDS and len(word) <= LONGEST:
                    seconds += [(int(n), self._place(word), float(both[n])) for n in inside]
        self._seconds = np.zeros((len(spans), len(self._places)))
        if seconds:
            where, which, lasts = (np.array(column) for column in zip(*seconds, strict=True))
            np.add.at(self._seconds, (where, which), lasts)

    def _place(self, word: str) -> int:
        key = stem(word.lower())
        self._spelled.setdefault(key, Counter())[word] += 1
        return self._places.setdefault(key, len(self._places))

    def vectors(self) -> AnyArray:
        """(S, V) unit rows, or zero: log seconds, weighted by in how few scenes a word stands."""
        return _unit(np.log1p(self._seconds) * _rarity(self._seconds))

    def telling(self, cuts: Sequence[slice]) -> list[tuple[str, ...]]:
        """The words of each group of scenes by TF-IDF over the groups, at most WORDS; of equals the one that came first."""
        seconds = np.array([self._seconds[cut].sum(0) for cut in cuts])
        score = np.round(np.where(seconds >= LEAST_S, np.log1p(seconds) * _rarity(seconds), 0.0), 6)
        names = [spelled.most_common(1)[0][0] for spelled in self._spelled.values()]
        order = np.argsort(-score, axis=1, kind="stable")[:, :WORDS]
        return [tuple(names[n] for n in best if row[n] > 0) for best, row in zip(order.tolist(), score, strict=True)]


def _rarity(seconds: AnyArray) -> AnyArray:
    """(V,) of (G, V): 1 for a word that stands in every group, more the fewer they are."""
    rarity: AnyArray = 1.0 + np.log(len(seconds) / np.maximum((seconds > 0).sum(0), 1))
    return rarity


def _unit(rows: AnyArray) -> AnyArray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)

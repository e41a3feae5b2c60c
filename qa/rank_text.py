"""Which text rows answer a question: words, what stands beside them, and how an answer of that kind looks.

On-screen text seldom repeats the question ("Which text is on the button?"), so words alone do not find it. A row is scored
by five readings that all lie in 0..1; the share of the question's words counts by rarity in what is searched (idf).
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from footage.arrays import AnyArray
from footage.colours import name_of
from footage.recordings import TextRow
from qa.parse import ANSWER_TYPES, Asked, stem, word_list

PATTERNS = {name: re.compile(pattern) for name, _, pattern in ANSWER_TYPES}
BESIDE_S = 4.0  # text seen this close in time is context
FLOOR = 0.18
"""Below this a row means nothing."""
TEXT_FLOOR = 0.02
"""The same where any text may be the answer: a question about text that names none of it."""


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each reading counts; they sum to more than 1 and the score is clipped."""

    words: float = 0.50
    phrase: float = 0.35
    beside: float = 0.30
    kind: float = 0.30
    place: float = 0.14
    large: float = 0.16
    colour: float = 0.16
    prominence: float = 0.06
    order: float = 0.12


@dataclass(frozen=True, slots=True, eq=False)
class RankedText:
    row: TextRow
    score: float
    """0 to 1."""
    is_literal: bool
    """Some of the question's own words stand in it."""


def rank_text(asked: Asked, rows: Sequence[TextRow], weights: Weights | None = None) -> list[RankedText]:
    """All rows, best first; ties by time. Deterministic; [] for no rows."""
    if not rows:
        return []
    w = weights or Weights()
    bags = [frozenset(stem(word) for word in word_list(row.text)) for row in rows]
    words = _word_share(asked.words, bags)
    score = w.words * words + w.phrase * _phrases(asked, rows) + w.beside * _beside(asked, rows, bags)
    if asked.wants_text:
        form = w.place * _place(asked, rows) + w.large * _large(asked, rows) + w.colour * _colour(asked, rows)
        score += w.kind * _kind(asked, rows) + form * _wordiness(rows) + w.prominence * _prominence(rows)
        score += w.order * _order(asked, rows, score)
    best = sorted(range(len(rows)), key=lambda i: (-round(float(score[i]), 6), rows[i].recording_id, rows[i].span))
    return [RankedText(rows[i], float(min(1.0, score[i])), bool(words[i] > 0)) for i in best]


def _idf(words: Sequence[str], bags: Sequence[frozenset[str]]) -> dict[str, float]:
    """Rarity of each of the question's words among the rows; a word that no row holds may mean the picture: it counts half."""
    counts = Counter(word for bag in bags for word in bag if word in words)
    return {word: float(np.log(1 + len(bags) / (1 + counts[word]))) * (1.0 if counts[word] else 0.5) for word in words}


def _word_share(words: Sequence[str], bags: Sequence[frozenset[str]]) -> AnyArray:
    """(N,) share of the question's words, by rarity, that each row holds."""
    idf = _idf(words, bags)
    total = sum(idf.values())
    return np.array([sum(idf[word] for word in bag if word in idf) / total if total else 0.0 for bag in bags])


def _phrases(asked: Asked, rows: Sequence[TextRow]) -> AnyArray:
    wanted = [squeezed(phrase) for phrase in asked.phrases]
    return np.array([float(any(p and p in squeezed(row.text) for p in wanted)) for row in rows])


def squeezed(text: str) -> str:
    """Letters and digits only, lower case: what survives a reader that loses spaces and marks."""
    return re.sub(r"[\W_]+", "", text.lower())


def _beside(asked: Asked, rows: Sequence[TextRow], bags: Sequence[frozenset[str]]) -> AnyArray:
    """(N,) share of the question's words found in rows seen together with this one or within seconds of it."""
    words = (*asked.words, *asked.context)
    idf = _idf(words, bags)
    total = sum(idf.values())
    share = np.zeros(len(rows))
    starts, ends = np.array([r.span.start_s for r in rows]), np.array([r.span.end_s for r in rows])
    names = np.array([r.recording_id for r in rows])
    for word in words if total else ():
        holders = [i for i, bag in enumerate(bags) if word in bag]
        near = np.zeros(len(rows), bool)
        for i in holders[:400]:
            near |= (names == names[i]) & (starts < ends[i] + BESIDE_S) & (ends > starts[i] - BESIDE_S)
        share += near * idf[word] / total
    return share


def _kind(asked: Asked, rows: Sequence[TextRow]) -> AnyArray:
    """(N,) share of the expected answer types that the row's text looks like."""
    if not asked.answer_types:
        return np.zeros(len(rows))
    hits = [[bool(PATTERNS[name].search(row.text)) for name in asked.answer_types] for row in rows]
    return np.array(hits, float).max(axis=1)


def _place(asked: Asked, rows: Sequence[TextRow]) -> AnyArray:
    """(N,) closeness to where the question says it stands."""
    if asked.place is None:
        return np.zeros(len(rows))
    close = []
    for row in rows:
        if row.box is None:
            close.append(0.0)
            continue
        left, top, right, bottom = row.box
        x, y = asked.place
        dx = 0.0 if x is None else min(abs(left - x), abs(right - x), abs((left + right) / 2 - x))
        dy = 0.0 if y is None else min(abs(top - y), abs(bottom - y), abs((top + bottom) / 2 - y))
        close.append(max(0.0, 1 - 3 * max(dx, dy)))
    return np.array(close)


def _heights(rows: Sequence[TextRow]) -> AnyArray:
    return np.array([0.0 if row.box is None else row.box[3] - row.box[1] for row in rows])


def _large(asked: Asked, rows: Sequence[TextRow]) -> AnyArray:
    """(N,) height of the letters against the tallest seen at the same time, and against the tallest of all."""
    if not asked.is_large:
        return np.zeros(len(rows))
    heights = _heights(rows)
    tallest = []
    for row in rows:
        beside = [h for other, h in zip(rows, heights, strict=True)
                  if other.recording_id == row.recording_id and other.span.overlap_s(row.span) > 0]  # fmt: skip
        tallest.append(max(beside))
    locally = np.divide(heights, tallest, out=np.zeros(len(rows)), where=np.array(tallest) > 0) ** 2
    return (locally + heights / max(1e-9, float(heights.max()))) / 2


def _colour(asked: Asked, rows: Sequence[TextRow]) -> AnyArray:
    """(N,) 1 where the letters or the ground behind them have a colour that the question names."""
    wanted = set(asked.colours)
    seen = [{name_of(c) for c in (row.ink, row.ground) if c is not None} if wanted else set() for row in rows]
    return np.array([float(bool(wanted & names)) for names in seen])


def _wordiness(rows: Sequence[TextRow]) -> AnyArray:
    """(N,) 1 for three letters or more: single ones are mostly shapes taken for letters."""
    return np.array([min(1.0, (len(squeezed(row.text)) / 3) ** 2) for row in rows])


def _prominence(rows: Sequence[TextRow]) -> AnyArray:
    """(N,) large, surely read, and more than a letter or two."""
    size = np.minimum(1.0, _heights(rows) / 0.08)
    return np.array([row.score * min(1.0, len(squeezed(row.text)) / 6) for row in rows]) * (0.4 + 0.6 * size)


def _order(asked: Asked, rows: Sequence[TextRow], score: AnyArray) -> AnyArray:
    """(N,) for "first", "third", "last": 1 at that place, in time, among the rows that match about as well as the best."""
    if asked.order is None or score.max() <= 0:
        return np.zeros(len(rows))
    good = np.flatnonzero(score >= 0.7 * score.max()).tolist()
    good.sort(key=lambda i: (rows[i].recording_id, rows[i].span))
    distinct = list(dict.fromkeys(squeezed(rows[i].text) for i in good))
    wanted = distinct[asked.order] if -len(distinct) <= asked.order < len(distinct) else distinct[-1]
    return np.array([float(squeezed(row.text) == wanted) for row in rows])

"""One standing question, matched by the functions that `search` and `ask` match with."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from footage.protocols import Encoder
from footage.questions import Moment, Query, Question
from footage.recordings import TextRow
from qa.ask import queries_of
from qa.moments import image_moments, text_moments
from qa.parse import Asked, parse
from qa.rank_text import RankedText, rank_text, squeezed
from workers.alerts.gate import Past
from workers.alerts.part import Part
from workers.alerts.wording import questions_of, refuse_what_cannot_match

HITS = 4  # of one kind in one segment
READ = 0.6  # three quarters of the words, by rarity, stand in one row: a single word that pictures and texts share is no match
ROUNDED = 1e-4  # scores of moments are
NOTHING = -1.0  # the best score of a segment that shows nothing


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    text: str
    questions: tuple[str, ...]
    """As the model is asked; all of them are true at once."""
    asked: Asked
    query: Query
    floor: float
    """Of the encoder."""

    @classmethod
    def of(cls, text: str, encoder: Encoder) -> Self:
        """Raises ConfigError where nothing could match it."""
        refuse_what_cannot_match(text)
        question, asked = Question(text), parse(text)
        return cls(text, questions_of(text), asked, queries_of(question, asked, encoder)[0], encoder.floor)

    @property
    def is_quoted(self) -> bool:
        """Words in quotation marks: they stand somewhere or they do not, and no picture and no model is asked."""
        return bool(self.asked.phrases)

    @property
    def is_seen(self) -> bool:
        """The encoder knows some of its words."""
        return not self.is_quoted and bool(np.any(self.query.embed))


def notes_on(questions: Sequence[str], encoder: Encoder) -> list[str]:
    """What to know before trusting their silence. Raises ConfigError as Standing.of does."""
    made = [Standing.of(question, encoder) for question in questions]
    blind = [standing.text for standing in made if not standing.is_seen and not standing.is_quoted]
    return [f"the encoder knows none of the words of {text!r}: only text is matched" for text in blind]


@dataclass(frozen=True, slots=True)
class Best:
    seen: float = NOTHING
    """Highest likeness of a picture."""
    read: float = 0.0
    """Highest score of a text row."""


@dataclass(frozen=True, slots=True)
class Hit:
    moment: Moment
    above: float
    """See Past.above; for quoted words how sure the reader was of them."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Scores from which on something is unusual."""

    seen: float
    read: float

    def lower(self, other: "Limits") -> "Limits":
        return Limits(min(self.seen, other.seen), min(self.read, other.read))


@dataclass(slots=True)
class Scores:
    """What a standing question usually scores on one recording; pictures and texts are never compared with each other."""

    size: int
    seen: Past = field(init=False)
    read: Past = field(init=False)

    def __post_init__(self) -> None:
        self.seen, self.read = Past(self.size), Past(self.size)

    def add(self, best: Best) -> None:
        if best.seen > NOTHING:
            self.seen.add(best.seen)
        self.read.add(best.read)

    def limits(self, floor: float, spread: float) -> Limits:
        """floor: of the encoder."""
        return Limits(self.seen.threshold(floor, spread), self.read.threshold(READ, spread))

    def hit(self, moment: Moment, limits: Limits) -> Hit | None:
        """None for what is usual."""
        past, limit = (self.seen, limits.seen) if moment.kind == "image" else (self.read, limits.read)
        return Hit(moment, past.above(moment.score)) if moment.score >= limit - ROUNDED else None


def best_of(standing: Standing, part: Part) -> Best:
    ranked = _ranked(standing, part.rows)
    is_seen = standing.is_seen and len(part.view) > 0
    seen = float(standing.query.likeness(part.view.embeds).max()) if is_seen else NOTHING
    return Best(seen, ranked[0].score if ranked else 0.0)


def hits_in(standing: Standing, part: Part, usual: Scores, limits: Limits) -> list[Hit]:
    """What is unusual in a part, in the order of time."""
    ranked, view, hits = _ranked(standing, part.rows), part.view, list[Hit]()
    if standing.is_quoted:
        sure = {item.row.span: item.row.score for item in ranked}
        hits += [Hit(m, sure[row.span]) for m, row in text_moments(ranked, floor=0.0, limit=HITS)]
    else:
        found = text_moments(ranked, floor=limits.read, limit=HITS)
        hits += [Hit(m, usual.read.above(m.score)) for m, _ in found]
    if standing.is_seen and len(view):
        scores = standing.query.likeness(view.embeds)
        images = image_moments(view, range(len(view)), scores, floor=limits.seen, limit=HITS)
        hits += [Hit(m, usual.seen.above(m.score)) for m in images]
    return sorted(hits, key=lambda hit: (hit.moment.span, hit.moment.kind))


def _ranked(standing: Standing, rows: Sequence[TextRow]) -> list[RankedText]:
    """Best first; of quoted words only the rows in which they stand."""
    ranked = rank_text(standing.asked, rows)
    if standing.is_quoted:
        wanted = [squeezed(phrase) for phrase in standing.asked.phrases]
        return [item for item in ranked if any(words in squeezed(item.row.text) for words in wanted)]
    return [item for item in ranked if item.is_literal]

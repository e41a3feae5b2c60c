"""Question to Answer: what is asked, what may be spent, what was decided, what was found."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from footage.arrays import AnyArray, Embeds, shape_text
from footage.carriers import Carrier
from footage.costs import NO_COST, Cost
from footage.frames import Frame
from footage.recordings import Gap, TextRow
from footage.timespan import TimeSpan


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and its answer, as the next question of a conversation is understood from them."""

    question: str
    """Complete in itself: as it was understood."""
    answer: str
    citations: tuple["Moment", ...] = ()
    """As in Answer."""
    span: TimeSpan | None = None
    """Where it was looked, where the question itself said so."""
    recording_id: str = ""
    """Likewise."""


@dataclass(frozen=True, slots=True)
class Question:
    text: str
    asked_at_s: float | None = None
    """On a running stream: the recording's clock at the moment of asking. A memory that has seen past it refuses."""
    choices: tuple[str, ...] = ()
    earlier: tuple[Turn, ...] = ()
    """What was asked before, oldest first; the text must be complete without it (qa.follow_up sees to that)."""

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise ValueError("a question needs words")


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """A question as one encoder reads it."""

    question: Question
    encoder_id: str
    embed: Embeds
    """(E,) unit length, or all zero where the encoder knows none of the words."""
    parts: Embeds | None = None
    """(P, E) likewise: the question's parts, each by itself, where it has several."""

    def __post_init__(self) -> None:
        if self.embed.ndim != 1 or not np.all(np.isfinite(self.embed)):
            raise ValueError(f"embed must be finite (E,), got {shape_text(self.embed)}")
        if self.parts is not None and (self.parts.shape[1:] != self.embed.shape or not np.all(np.isfinite(self.parts))):
            raise ValueError(f"parts must be finite (P, {len(self.embed)}), got {shape_text(self.parts)}")

    def likeness(self, embeds: AnyArray) -> AnyArray:
        """(N,) how well rows (N, E) match: the cosine with the whole question, or with parts the mean of that and of the best part's.

        Parts of which the encoder knows no word do not count, and fewer than two are none: then the whole decides alone.
        """
        whole: AnyArray = embeds @ self.embed
        known = self.parts[self.parts.any(1)] if self.parts is not None else ()
        return whole if len(known) < 2 else (whole + (embeds @ np.transpose(known)).max(1)) / 2


@dataclass(frozen=True, slots=True)
class Budget:
    """What one question may cost."""

    tokens: int
    """Visual tokens handed to the answerer."""
    redecodes: int = 0
    """Frames that may be decoded again from the source."""
    tokens_per_redecode: int = 0
    max_side_px: int = 768

    def __post_init__(self) -> None:
        if min(self.tokens, self.redecodes, self.tokens_per_redecode) < 0 or self.max_side_px < 1:
            raise ValueError(f"a budget is never negative, got {self}")


@dataclass(frozen=True, slots=True)
class Redecode:
    recording_id: str
    time_s: float
    max_side_px: int


@dataclass(frozen=True, slots=True)
class Pick:
    """One carrier that a plan spends tokens on."""

    row: int
    """Index into the view."""
    recording_id: str
    span: TimeSpan
    score: float
    tokens: int
    """At most this many of the carrier's tokens are read."""
    why: str
    """"match", "neighbour", "coverage" or "overview"."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The decision, as data: printable, JSON, diffable, stored with every answer. Nothing else may spend tokens.

    Finding the exact edges of what is cited (qa/ground.py) stands outside: two seconds of decoding a citation, no tokens.
    """

    selector: str
    view_version: int
    picks: tuple[Pick, ...]
    """In time order: by recording as in the view, then by first moment."""
    redecodes: tuple[Redecode, ...] = ()
    """The only decoding for evidence that this question may cause."""
    tokens: int = 0
    """Planned cost, the overview's too; never above Budget.tokens."""
    overview: tuple[Pick, ...] = ()
    """What stands for the whole view, a token each: the same for every question, and nothing that could be cited."""

    @property
    def rows(self) -> list[int]:
        """Of the view, that it spends on."""
        return [pick.row for pick in self.picks]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """One thing shown to the answerer, with its time."""

    recording_id: str
    span: TimeSpan
    score: float
    content: Carrier | Frame | TextRow
    name: str = ""
    """What people call the recording."""
    shown: tuple[Carrier, ...] = ()
    """What of this moment may be shown to a model, in time order; none for text, but for things that were detected."""

    @property
    def kind(self) -> str:
        return self.content.kind if isinstance(self.content, TextRow) else "image"


@dataclass(frozen=True, slots=True)
class Moment:
    """A stretch of one recording that matches: what `search` returns and what an answer cites."""

    recording_id: str
    span: TimeSpan
    score: float
    """0 to 1, comparable within one kind only."""
    kind: str
    """"image", or the kind of the text row: "subtitle", "ocr", ..."""
    text: str = ""
    """What is written or said there; empty for an image."""
    supported: bool = True
    """False: the answer points here, but the evidence does not bear it out."""


@dataclass(frozen=True, slots=True)
class Answer:
    text: str
    model: str
    citations: tuple[Moment, ...]
    """Times come from evidence rows, never from digits that a model wrote. Best first."""
    plan: Plan
    gaps: tuple[tuple[str, Gap], ...] = ()
    """Time that could not be seen in what was searched: (recording, gap)."""
    tokens: Mapping[str, int] = field(default_factory=dict)
    """"visual", "text", "new"."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Latency by stage, and "first": from the question to the first piece of the answer."""
    cost: Cost = NO_COST
    """What the model did."""
    found: bool = True
    """False: "not in the footage" is the answer."""
    route: str = ""
    """Where it was looked: "now" (the last seconds), "overall" (evenly over the whole), or "local" (what matches)."""
    choice: str = ""
    """Of a multiple-choice question: the choice that the text names, as it was given; "" where it names none."""
    warnings: tuple[str, ...] = ()
    """What to know before believing it, such as a model that was not made for this footage."""

    def __str__(self) -> str:
        return self.text

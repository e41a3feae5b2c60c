"""Ways to choose what a model reads, side by side: footage itself and the baselines it is measured against.

Every method ends in the same answerer; they differ in the evidence alone. Letters: N rows of a view.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from footage.carriers import Carrier, MemoryView, detailed
from footage.costs import Meter
from footage.protocols import Answerer, Merger
from footage.questions import Answer, Budget, Evidence, Moment, Plan, Question
from footage.recordings import TextRow
from footage.timespan import TimeSpan
from frame_select.registry import selector
from qa.answerers.moments import MomentsAnswerer
from qa.answerers.prompt import NOT_THERE
from qa.ask import Memory, Scope, ask, cited, rows_of
from workers.engine import Library
from workers.eval_films import Filmed

NOTHING = Plan("given", 0, ())


@dataclass(frozen=True, slots=True)
class Examined:
    """One library under examination, with one film of it."""

    library: Library
    film: Filmed

    def carriers(self, rows: Sequence[int]) -> list[Carrier]:
        return self.library.memory.view([self.film.recording_id]).load(list(rows))

    def rows_in(self, span: TimeSpan) -> list[int]:
        """Rows of the view that stand for some of a span."""
        view = self.library.memory.view([self.film.recording_id])
        return np.flatnonzero((view.ends_s > span.start_s) & (view.starts_s < span.end_s)).tolist()


Method = Callable[[Examined, Question, Sequence[tuple[float, float]]], Answer]
"""(library and film, question, true spans) to an answer; only `given` may look at the true spans."""


def ours(examined: Examined, question: Question, truth: Sequence[tuple[float, float]]) -> Answer:
    """footage: the same ask() that users call."""
    return examined.library.ask(question.text, recording=examined.film.recording_id)


def retrieval_only(examined: Examined, question: Question, truth: Sequence[tuple[float, float]]) -> Answer:
    """The best moments and no model: it can say where, never what."""
    found = examined.library.search(question.text, recording=examined.film.recording_id, limit=5)
    return Answer("", MomentsAnswerer().id, tuple(found), NOTHING, found=bool(found))


def uniform(count: int) -> Method:
    """Frames spread evenly over the recording, whatever is asked."""

    def method(examined: Examined, question: Question, truth: Sequence[tuple[float, float]]) -> Answer:
        end_s = examined.film.world.config.duration_s
        times = (np.arange(count) + 0.5) / count * end_s
        return _frames_at(examined, question, times.tolist())

    return method


def last(count: int) -> Method:
    """The newest frames alone, one a second ("SimpleStream", 2026: a strong baseline for questions about now)."""

    def method(examined: Examined, question: Question, truth: Sequence[tuple[float, float]]) -> Answer:
        end_s = examined.film.world.config.duration_s
        return _frames_at(examined, question, [end_s - 0.5 - n for n in range(count)][::-1])

    return method


Fewer = Callable[[Sequence[Carrier], int], Sequence[Carrier]]
"""(carriers of a moment, tokens a frame) to what is shown of it."""


def each(shorter: Callable[[Carrier, int], Carrier]) -> Fewer:
    return lambda carriers, level: [shorter(carrier, level) for carrier in carriers]


def merged_by(merger: Merger) -> Fewer:
    return lambda carriers, level: merger.merge(carriers, max_tokens=level * max(1, len(carriers)))


DETAILS = each(detailed)


def given(level: int = 64, fewer: Fewer = DETAILS, *, answerer: Answerer | None = None) -> Method:
    """The right frames handed over, in so many tokens each: what the model could do if nothing were ever missed.

    A question without an answer gets what footage itself would find for it. answerer: another one than the library's.
    """

    def method(examined: Examined, question: Question, truth: Sequence[tuple[float, float]]) -> Answer:
        spans = [TimeSpan(a, b) for a, b in truth]
        spans = spans or [m.span for m in examined.library.search(question.text, recording=examined.film.recording_id, limit=2)]
        evidence = [_evidence(examined, span, examined.rows_in(span), level, fewer) for span in spans]
        return _answered(answerer or examined.library.answerer, question, [e for e in evidence if e.shown])

    return method


def planned(level: int) -> Method:
    """footage's own choice, its frames in so many tokens each."""

    def method(examined: Examined, question: Question, truth: Sequence[tuple[float, float]]) -> Answer:
        library = examined.library
        answerer = _Shortened(library.answerer, level)
        return library.ask(question.text, recording=examined.film.recording_id, answerer=answerer)

    return method


def cut_out(examined: Examined, question: Question, truth: Sequence[tuple[float, float]]) -> Answer:
    """footage, asked of a memory in which the true spans were never seen."""
    return asked_without(examined, question, [TimeSpan(a, b) for a, b in truth], examined.library.answerer)


def asked_without(examined: Examined, question: Question, spans: Sequence[TimeSpan], answerer: Answerer) -> Answer:
    """footage with some answerer, asked of a memory in which some spans were never seen."""
    library, s = examined.library, examined.library.settings
    return ask(
        question, memory=_Without(library.memory, spans) if spans else library.memory, encoder=library.encoder, answerer=answerer,
        selector=selector(s.ask.selector, tokens_per_carrier=s.index.tokens_per_carrier), budget=Budget(s.ask.budget),
        scope=Scope((examined.film.recording_id,)), moments=s.ask.moments,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Without:
    """A memory without the rows that touch some spans."""

    inner: Memory
    spans: Sequence[TimeSpan]

    def view(self, recording_ids: Sequence[str] | None = None) -> MemoryView:
        view = self.inner.view(recording_ids)
        touched = [(view.starts_s < span.end_s) & (view.ends_s > span.start_s) for span in self.spans]
        return rows_of(view, np.flatnonzero(~np.any(touched, axis=0)))

    def texts(self, recording_ids: Sequence[str] | None = None, *, match: str = "", limit: int = 0) -> list[TextRow]:
        return []


@dataclass(frozen=True, slots=True)
class _Shortened:
    """An answerer that is shown frames of fewer tokens."""

    inner: Answerer
    level: int

    @property
    def id(self) -> str:
        return f"{self.inner.id} at {self.level}"

    def stream(
        self, question: Question, evidence: Sequence[Evidence], *, meter: Meter | None = None, overview: Sequence[Evidence] = ()
    ) -> Iterator[str]:
        shorter = [replace(e, shown=tuple(detailed(c, self.level) for c in e.shown)) for e in evidence]
        return self.inner.stream(question, shorter, meter=meter, overview=overview)


def read_rows(examined: Examined, question: Question, groups: Sequence[Sequence[int]], level: int) -> Answer:
    """Rows of the view in groups, each group one piece of evidence, its frames in so many tokens each."""
    view = examined.library.memory.view([examined.film.recording_id])
    hulls = [TimeSpan(view.span(rows[0]).start_s, view.span(rows[-1]).end_s) for rows in groups]
    evidence = [_evidence(examined, hull, rows, level) for hull, rows in zip(hulls, groups, strict=True)]
    return _answered(examined.library.answerer, question, evidence)


def _frames_at(examined: Examined, question: Question, times: Sequence[float]) -> Answer:
    """One piece of evidence a frame."""
    evidence = []
    for time_s in times:
        rows = examined.rows_in(TimeSpan(time_s, time_s + 1e-3))
        if rows:
            evidence.append(_evidence(examined, TimeSpan(time_s, time_s + 1.0), rows[:1], 64))
    return _answered(examined.library.answerer, question, evidence)


def _evidence(examined: Examined, span: TimeSpan, rows: Sequence[int], level: int, fewer: Fewer = DETAILS) -> Evidence:
    shown = tuple(fewer(examined.carriers(rows), level))
    content = (
        shown[0] if shown else Carrier("", (span,), span.start_s, span.duration_s, np.zeros((1, 1), np.float16), np.zeros(1, np.float32))
    )
    return Evidence(examined.film.recording_id, span, 1.0, content, "", shown)


def _answered(answerer: Answerer, question: Question, evidence: Sequence[Evidence]) -> Answer:
    meter = Meter()
    text = "".join(answerer.stream(question, evidence, meter=meter))
    moments = [Moment(e.recording_id, e.span, e.score, "image") for e in evidence]
    return Answer(text, answerer.id, tuple(cited(text, moments)), NOTHING, found=not text.startswith(NOT_THERE), cost=meter.cost)

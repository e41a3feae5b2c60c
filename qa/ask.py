"""The question path, as one function: question, query, recall, plan, evidence, answer, checked citations."""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import Protocol, runtime_checkable

import numpy as np

from footage.arrays import AnyArray, Embeds
from footage.carriers import Carrier, MemoryView, detailed
from footage.costs import Meter
from footage.errors import Anachronism, NothingRecorded
from footage.protocols import Answerer, Encoder, Fetcher, Selector
from footage.questions import Answer, Budget, Evidence, Moment, Pick, Plan, Query, Question
from footage.recordings import Gap, TextRow
from footage.timespan import TimeSpan, clock, subtract
from qa.answerers.prompt import NOT_THERE
from qa.beside import with_moments, with_neighbours
from qa.by_time import PARTS, Match, begins_s, latest, newest, spread
from qa.fusion import fused
from qa.ground import ground
from qa.ground_pictures import Fall
from qa.last_seconds import in_full
from qa.moments import NEAR, NEAR_TO_COUNT, bridged, distinct, image_moments, taking_turns, text_moments, varied
from qa.objects import Looks, most_at_once, thing_moments
from qa.objects_asked import sought
from qa.parse import Asked, parse
from qa.rank_text import FLOOR, TEXT_FLOOR, RankedText, rank_text
from qa.rerank import judge_of, reranked
from qa.route import LOCAL, NOW, OVERALL, is_open
from qa.support import NOT_BORNE_OUT, ByScore, by_model
from qa.timeline import limit_of

SHOWN = 8  # carriers of one moment that an answerer may choose from
CUT = 0.92  # likeness of two pictures below which there is a cut between them, where a recording is not livelier
NO_END_S = 1e9  # the end of a span that says only where it begins
FUSED = 20  # moments of each kind that have a say in the order of `search`
CANDIDATES = 2000  # text rows ranked in full; above this, word search picks them
OVERVIEW = 4
"""An overview may take this part of a budget: three quarters are the evidence's."""
_MARK = re.compile(r"\[(\d+)\]")

Overview = Callable[[MemoryView, int], tuple[Sequence[Pick], Sequence[Evidence]]]
"""(view, tokens at most) to what stands for all of it: its picks, and what they hold, one piece a recording."""


class Memory(Protocol):
    """What a question reads: a store through the eyes of one encoder."""

    def view(self, recording_ids: Sequence[str] | None = None) -> MemoryView: ...

    def texts(self, recording_ids: Sequence[str] | None = None, *, match: str = "", limit: int = 0) -> list[TextRow]: ...


@runtime_checkable
class Onlooker(Protocol):
    """An answerer that sees all that is asked about before it sees the evidence."""

    def look_over(self, view: MemoryView, *, meter: Meter | None = None) -> None: ...


@dataclass(frozen=True, slots=True)
class Scope:
    """Where to look: all recordings when none are named, all their time when no span is given."""

    recording_ids: tuple[str, ...] | None = None
    span: TimeSpan | None = None


@dataclass(slots=True)
class Stopwatch:
    """Seconds by stage, and from its own beginning to a mark."""

    seconds: dict[str, float] = field(default_factory=dict)
    begun: float = field(default_factory=time.perf_counter)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        self.seconds[stage] = round(self.seconds.get(stage, 0.0) + time.perf_counter() - begun, 4)

    def mark(self, name: str) -> None:
        """The first time counts."""
        self.seconds.setdefault(name, round(time.perf_counter() - self.begun, 4))


def ask(
    question: Question,
    *,
    memory: Memory,
    encoder: Encoder,
    selector: Selector,
    answerer: Answerer,
    budget: Budget,
    fetcher: Fetcher | None = None,
    scope: Scope | None = None,
    moments: int = 5,
    rerank: int = 0,
    route: str = LOCAL,
    check: str = "score",
    finder: Encoder | None = None,
    names: Callable[[str], str] = str,
    heard: Callable[[str], None] | None = None,
    overview: Overview | None = None,
    watch: Stopwatch | None = None,
) -> Answer:
    """Answer from memory; pixels are decoded again only to find the exact edges of what is cited.

    route: one of qa.route.ROUTES. check: one of qa.support.CHECKS, how citations get their second look. finder: what made the embeds,
    where pictures may be looked at again for exact edges.
    heard: gets each piece of the answer's text as it is made; joined they are the text.
    rerank: how many moments the answerer puts into its own order before all but the best are left out; 0: none.
    overview: what every question is shown of the whole view, in a quarter of the budget at most. watch: started when the question came.

    Raises:
        NothingRecorded: no segment in scope. Anachronism: the memory has seen past question.asked_at_s.
        EncoderMismatch: the memory was written by another encoder. ConfigError: the answerer cannot re-rank, or check.
    """
    watch, meter, scope = watch or Stopwatch(), Meter(), scope or Scope()
    judge = judge_of(answerer) if rerank else None
    checker = judge_of(answerer, aim="check", otherwise='leave ask.check at "score"') if check == "model" else None
    with watch("recall"):
        asked = parse(question.text)
        everything = within(memory.view(scope.recording_ids), scope.span)
        refuse_the_future(question, everything)
        queries = queries_of(question, asked, encoder)
        rows = candidate_rows(memory, question, scope)
    with watch("plan"):
        glances, whole = overview(everything, budget.tokens // OVERVIEW) if overview else ((), ())
        budget = replace(budget, tokens=budget.tokens - len(glances))
        view, rows = _latest(everything, memory, question, scope) if route == NOW else (everything, rows)
        plan = _planned(queries, view, budget, selector)
        limit, judged = max(1, moments // len(queries)), rerank // len(queries)
        groups = [find_moments(asked, q, view, plan.rows, rows, floor=encoder.floor, limit=max(limit, judged)) for q in queries]
        if route == OVERALL:
            groups, limit, judge = [spread(view, rows)], 2 * PARTS, None
        elif route == NOW and is_open(question.text, asked):
            groups = [_newest(groups[0], asked, view, scope)]
    if judge is not None and asked.at_s is None:  # a time that the question names is right whatever it shows
        with watch("rerank"):
            groups = [reranked(g, lambda match: _evidence(match[0], view, plan, names), question, judge, judged, meter) for g in groups]
    with watch("ground"):
        matches = {moment: (row, query) for query, group in zip(queries, groups, strict=False) for moment, row in group[:limit]}
        found = clipped([_grounded(m, row, q, view, fetcher, finder) for m, (row, q) in matches.items()], scope.span)
        if asked.beside or asked.which_way:
            found = clipped(with_neighbours(found, asked, view), scope.span)
            plan = with_moments(plan, [moment for moment in found if not moment.text], view, budget)
    plan = replace(plan, overview=tuple(glances), tokens=plan.tokens + len(glances))
    evidence = [_evidence(moment, view, plan, names) for moment in found]
    if route == NOW and fetcher is not None and budget.redecodes:
        with watch("decode"):
            left = replace(budget, tokens=budget.tokens + len(glances) - plan.tokens)
            sharp = in_full(evidence, view, fetcher=fetcher, encoder=encoder, budget=left)
            evidence, plan = sharp.evidence, replace(plan, redecodes=sharp.redecodes, tokens=plan.tokens + sharp.tokens)
    if evidence and isinstance(answerer, Onlooker):
        with watch("look over"):
            answerer.look_over(everything, meter=meter)
    with watch("answer"):
        gaps = gaps_in(view, scope.span)
        missing = _about_things(question.text, asked, rows, found) + _about_gaps(
            gaps_to_tell(gaps, asked, view, found, is_now=route == NOW), names
        )
        text = "".join(_told(chain(answerer.stream(question, evidence, meter=meter, overview=whole), [missing]), heard, watch))
    is_there, pointed = bool(found) and not text.startswith(NOT_THERE), cited(text, found)
    if check != "none":
        with watch("check"):
            by_score = ByScore(text, question, asked, queries, view, encoder.floor)
            shown = partial(_evidence, view=view, plan=plan, names=names)
            bears_out = by_model(checker, question, shown, meter) if checker else by_score
            pointed = [replace(moment, supported=bears_out(moment)) for moment in pointed]
    doubts = (NOT_BORNE_OUT,) if is_there and pointed and not any(moment.supported for moment in pointed) else ()
    return Answer(
        text, answerer.id, tuple(pointed), plan, gaps, found=is_there, seconds=watch.seconds, route=route, warnings=doubts,
        tokens={"visual": plan.tokens, "text": sum(len(m.text.split()) for m in found), "new": len(text.split())}, cost=meter.cost,
    )  # fmt: skip


def _planned(queries: Sequence[Query], view: MemoryView, budget: Budget, selector: Selector) -> Plan:
    """One plan for all that is sought, in equal shares of the budget."""
    share = replace(budget, tokens=budget.tokens // len(queries), redecodes=budget.redecodes // len(queries))
    return _joined([selector.select(query, view, share) for query in queries])


def _newest(group: Sequence[Match], asked: Asked, view: MemoryView, scope: Scope) -> list[Match]:
    """What was seen and read last, the kind that the question is about first."""
    texts, seen = [match for match in group if match[0].text], newest(view, scope.span)
    return texts + seen if asked.wants_text else seen + texts


def _latest(view: MemoryView, memory: Memory, question: Question, scope: Scope) -> tuple[MemoryView, list[TextRow]]:
    """The last seconds of each recording, or of the scope in it."""
    begins = begins_s(view, scope.span)
    since = TimeSpan(max(0.0, min(begins.values())), scope.span.end_s if scope.span else float(np.finfo(np.float32).max))
    rows = candidate_rows(memory, question, replace(scope, span=since))
    return rows_of(view, latest(view, begins)), [row for row in rows if row.span.end_s > begins.get(row.recording_id, np.inf)]


def _grounded(
    moment: Moment, row: TextRow | None, query: Query, view: MemoryView, fetcher: Fetcher | None, finder: Encoder | None
) -> Moment:
    """With exact edges, where it was found by what it shows; edges that are given by time stay."""
    if fetcher is None or not moment.score:
        return moment
    return ground(moment, row, fetcher, Fall.of(moment, query, view, finder) if finder and not moment.text else None)


def queries_of(question: Question, asked: Asked, encoder: Encoder) -> list[Query]:
    """One for each thing that is sought by itself, else one for the whole with its parts; all embedded at once."""
    if asked.sought:
        return [Query(question, encoder.id, embed) for embed in encoder.embed_text(asked.sought)]
    embeds = encoder.embed_text((question.text, *asked.parts))
    return [Query(question, encoder.id, embeds[0], embeds[1:] if asked.parts else None)]


def search(text: str, *, memory: Memory, encoder: Encoder, scope: Scope | None = None, limit: int = 10) -> list[Moment]:
    """Moments that match words, in pictures and in text rows; best first, [] when nothing reaches the floor."""
    scope = scope or Scope()
    question = Question(text)
    view = within(memory.view(scope.recording_ids), scope.span)
    query = Query(question, encoder.id, encoder.embed_text([text])[0])
    asked = parse(f'"{text}"' if '"' not in text else text)
    rows = candidate_rows(memory, question, scope)
    kinds = _kinds(asked, query, view, range(len(view)), rows, floor=encoder.floor, limit=max(limit, FUSED))
    return clipped(fused(list(kinds.texts), kinds.things, kinds.images, limit), scope.span)


def search_image(embed: Embeds, *, memory: Memory, floor: float, scope: Scope | None = None, limit: int = 10) -> list[Moment]:
    """Moments that look like a picture, given as (E,) by the encoder that wrote the generation; best first."""
    scope = scope or Scope()
    view = within(memory.view(scope.recording_ids), scope.span)
    found = image_moments(view, range(len(view)), view.embeds @ embed, floor=floor, limit=limit) if len(view) else []
    return clipped(found, scope.span)


def find_moments(
    asked: Asked, query: Query, view: MemoryView, picked: Sequence[int], rows: Sequence[TextRow], *, floor: float, limit: int
) -> list[tuple[Moment, TextRow | None]]:
    """The best moments of all kinds, the kind that the question is about first; scores of two kinds are never compared.

    picked: rows of the view that the plan spends on; pictures are cited only from those.
    """
    kinds = _kinds(asked, query, view, picked, rows, floor=floor, limit=limit)
    texts, things, images = kinds.texts, kinds.things, kinds.images
    text_first = asked.wants_text or (kinds.is_literal and not asked.colours)
    if things and (asked.phrases or asked.is_about):  # words first, and things before pictures
        mixed = [*distinct(texts, limit), *things, *distinct(images, limit)]
    elif things and asked.names_text:
        mixed = taking_turns(distinct(texts, limit), [*things, *distinct(images, limit)])
    else:
        mixed = distinct([*texts, *images] if text_first else [*images, *texts], limit)
        mixed = taking_turns(things, mixed) if kinds.is_literal or asked.at_s is not None else [*things, *mixed]
    return [(moment, texts.get(moment)) for moment in dict.fromkeys(mixed[:limit])]


@dataclass(frozen=True, slots=True)
class _Kinds:
    """Moments of each kind, best first."""

    texts: dict[Moment, TextRow]
    """With the row that each was found by."""
    things: list[Moment]
    images: list[Moment]
    is_literal: bool
    """Words of the question stand in the best text."""


def _kinds(
    asked: Asked, query: Query, view: MemoryView, picked: Sequence[int], rows: Sequence[TextRow], *, floor: float, limit: int
) -> _Kinds:
    ranked = rank_text(asked, [row for row in rows if row.is_wording])
    literal = bool(ranked) and ranked[0].is_literal and ranked[0].score >= 2 * FLOOR
    any_text = asked.wants_text and not asked.phrases and not asked.is_about
    repeats = 2 if asked.wants_text and not asked.wants_time else None
    texts = dict(text_moments(ranked, floor=TEXT_FLOOR if any_text else FLOOR, limit=limit, repeats=repeats))
    sees = len(view) > 0 and bool(np.any(query.embed))
    near = NEAR_TO_COUNT if asked.how_often else NEAR
    images = image_moments(view, picked, query.likeness(view.embeds), floor=floor, limit=limit, near=near) if sees else []
    if asked.how_often:
        images = bridged(images)
    if asked.at_s is not None:
        images = _at(view, asked.at_s) + images
    return _Kinds(texts, distinct(_things(asked, query, view, rows, ranked), limit), images, literal)


def _things(asked: Asked, query: Query, view: MemoryView, rows: Sequence[TextRow], ranked: Sequence[RankedText]) -> list[Moment]:
    """When what the question names was detected; among equals where pictures or text match the question too, and what looks otherwise."""
    things = [row for row in rows if not row.is_wording]
    wanted = sought(query.question.text, asked, things) if things else None
    if wanted is None:
        return []
    scores = query.likeness(view.embeds) if len(view) and np.any(query.embed) else np.zeros(len(view))
    looks = {name: _looks(name, view, scores, ranked) for name in view.recording_ids}
    found = thing_moments(wanted, query.question.text, things, looks)
    return varied(found, view) if wanted.order == "best" else found


def _about_things(text: str, asked: Asked, rows: Sequence[TextRow], found: Sequence[Moment]) -> str:
    """Nothing was found: what a detector did see of what was asked about; empty where none looked."""
    things = [row for row in rows if row.kind == "object"]
    wanted = sought(text, asked, things) if things and not found else None
    return most_at_once(wanted, things) if wanted else ""


def _looks(name: str, view: MemoryView, scores: AnyArray, ranked: Sequence[RankedText]) -> Looks:
    own = np.flatnonzero(view.which == view.recording_ids.index(name))
    told = [item for item in ranked if item.is_literal and item.score >= FLOOR]
    usual, best = (float(np.median(scores)), float(scores.max())) if len(scores) else (0.0, 0.0)
    alike = (view.embeds[own][1:] * view.embeds[own][:-1]).sum(1)

    def liking(span: TimeSpan) -> float:
        here = own[(view.starts_s[own] < span.end_s) & (view.ends_s[own] > span.start_s)]
        shown = (float(scores[here].max(initial=usual)) - usual) / (best - usual) if best > usual else 0.0
        read = (item.score for item in told if item.row.recording_id == name and item.row.span.overlap_s(span) > 0)
        return max(shown, next(read, 0.0) / told[0].score if told else 0.0)

    seen = subtract(view.horizons[name], [gap.span for gap in view.gaps.get(name, ())])
    return Looks(seen, view.starts_s[own][1:][alike < min(CUT, limit_of(view.embeds[own]))].tolist() if len(own) else [], liking)


def candidate_rows(memory: Memory, question: Question, scope: Scope) -> list[TextRow]:
    """All rows of a small scope; of a large one those that share words with the question, and all that name things."""
    rows = [row for row in memory.texts(scope.recording_ids) if scope.span is None or row.span.overlap_s(scope.span) > 0]
    things = [row for row in rows if not row.is_wording]
    if len(rows) - len(things) > CANDIDATES:
        found = memory.texts(scope.recording_ids, match=question.text, limit=CANDIDATES + len(things))
        words = [row for row in found if row.is_wording and (scope.span is None or row.span.overlap_s(scope.span) > 0)]
        return words[:CANDIDATES] + things
    return rows


def within(view: MemoryView, span: TimeSpan | None) -> MemoryView:
    """The same view with only the rows that overlap a span; none where it lies in a gap.

    Raises:
        NothingRecorded: the span lies outside all that was seen.
    """
    if span is None:
        return view
    if not any(horizon.overlap_s(span) > 0 for horizon in view.horizons.values()):
        when = f"from {clock(span.start_s)} on" if span.end_s >= NO_END_S else f"in {span}"
        raise NothingRecorded(f"nothing is recorded {when}", hint="`footage recordings` lists what there is")
    return rows_of(view, np.flatnonzero((view.starts_s < span.end_s) & (view.ends_s > span.start_s)))


def clipped(moments: Sequence[Moment], span: TimeSpan | None) -> list[Moment]:
    """The same moments, cut at the edges of what was asked about; without those whose exact edges lie outside it."""
    if span is None:
        return list(moments)
    return [replace(m, span=TimeSpan(max(m.span.start_s, span.start_s), min(m.span.end_s, span.end_s)))
            for m in moments if m.span.overlap_s(span) > 0]  # fmt: skip


def rows_of(view: MemoryView, rows: AnyArray) -> MemoryView:
    """The same view with only these rows, (M,) ascending."""
    return MemoryView(
        view.generation, view.encoder_id, view.version, view.recording_ids, view.horizons, view.gaps, view.which[rows],
        view.starts_s[rows], view.ends_s[rows], view.anchors_s[rows], view.weights_s[rows], view.embeds[rows],
        lambda picked: view.load([int(rows[i]) for i in picked]),
    )  # fmt: skip


def _told(pieces: Iterable[str], heard: Callable[[str], None] | None, watch: Stopwatch) -> Iterator[str]:
    for piece in pieces:
        if piece:
            watch.mark("first")
        if heard is not None and piece:
            heard(piece)
        yield piece


def refuse_the_future(question: Question, view: MemoryView) -> None:
    """A memory that has seen past the moment of asking already mixes in the future: filtering it would not be the same."""
    seen_s = max((horizon.end_s for horizon in view.horizons.values()), default=0.0)
    if question.asked_at_s is not None and seen_s > question.asked_at_s + 1e-6:
        raise Anachronism(
            f"asked at {clock(question.asked_at_s)}, but the memory has seen until {clock(seen_s)}",
            hint="feed the memory up to the moment of asking, then ask",
        )


def gaps_in(view: MemoryView, span: TimeSpan | None) -> tuple[tuple[str, Gap], ...]:
    every = ((name, gap) for name in view.recording_ids for gap in view.gaps.get(name, ()))
    return tuple((name, gap) for name, gap in every if span is None or gap.span.overlap_s(span) > 0)


def gaps_to_tell(
    gaps: Sequence[tuple[str, Gap]], asked: Asked, view: MemoryView, found: Sequence[Moment], *, is_now: bool
) -> Sequence[tuple[str, Gap]]:
    """Those that hold the time that is asked about, the present included; else all, where nothing was found."""
    at_s = asked.at_s
    if at_s is None and is_now:
        about = [(name, gap) for name, gap in gaps if gap.span.end_s >= view.horizons[name].end_s - 1e-3]
    else:
        about = [(name, gap) for name, gap in gaps if at_s is not None and at_s in gap.span]
    return about or (gaps if not found else ())


def cited(text: str, moments: Sequence[Moment]) -> list[Moment]:
    """The moments that an answer points at, in the order it names them; a mark that points at nothing is dropped."""
    marks = dict.fromkeys(int(mark) for mark in _MARK.findall(text))
    return [moments[mark - 1] for mark in marks if 1 <= mark <= len(moments)]


def _at(view: MemoryView, time_s: float) -> list[Moment]:
    rows = np.flatnonzero((view.starts_s <= time_s) & (view.ends_s > time_s))
    return [Moment(view.recording_of(int(i)), view.span(int(i)), 1.0, "image") for i in rows[:3]]


def _joined(plans: Sequence[Plan]) -> Plan:
    """One plan for what several were made for; a row picked twice is read, and counted, once."""
    if len(plans) == 1:
        return plans[0]
    picks = {pick.row: pick for plan in reversed(plans) for pick in plan.picks}
    redecodes = tuple(dict.fromkeys(r for plan in plans for r in plan.redecodes))
    spent = sum(plan.tokens for plan in plans) - sum(p.tokens for plan in plans for p in plan.picks) + sum(p.tokens for p in picks.values())
    return replace(plans[0], picks=tuple(picks[row] for row in sorted(picks)), redecodes=redecodes, tokens=spent)


def _evidence(moment: Moment, view: MemoryView, plan: Plan, names: Callable[[str], str]) -> Evidence:
    """One piece of evidence per moment: the text found there, or its carriers as far as the plan spends on them, in so many tokens each."""
    tokens = {pick.row: pick.tokens for pick in plan.picks}
    name = names(moment.recording_id)
    if moment.text:
        row = TextRow(moment.recording_id, moment.span, moment.kind, moment.text)
        shown = _shown(moment, view, tokens, least=0) if moment.kind == "object" else ()  # a model looks for itself
        return Evidence(moment.recording_id, moment.span, moment.score, row, name, shown)
    carriers = _shown(moment, view, tokens, least=1)
    return Evidence(moment.recording_id, moment.span, moment.score, carriers[0], name, carriers)


def _shown(moment: Moment, view: MemoryView, tokens: Mapping[int, int], *, least: int) -> tuple[Carrier, ...]:
    """Up to SHOWN carriers of a moment that are planned for, evenly over it; its first ones, `least`, where none is."""
    of_recording = view.which == view.recording_ids.index(moment.recording_id)
    inside = np.flatnonzero(of_recording & (view.ends_s > moment.span.start_s) & (view.starts_s < moment.span.end_s))
    planned = np.intersect1d(inside, list(tokens))
    rows = planned if len(planned) else inside[:least]
    if not len(rows):
        return ()
    some = [int(row) for row in rows[np.unique(np.linspace(0, len(rows) - 1, min(SHOWN, len(rows))).round().astype(int))]]
    return tuple(detailed(c, tokens.get(row, len(c.tokens))) for row, c in zip(some, view.load(some), strict=True))


def _about_gaps(gaps: Sequence[tuple[str, Gap]], names: Callable[[str], str]) -> str:
    told = []
    for recording_id, gap in gaps[:3]:
        of = f" of {name}" if (name := names(recording_id)) else ""
        told.append(f" There is no footage{of} between {clock(gap.span.start_s)} and {clock(gap.span.end_s)} ({gap.reason}).")
    return "".join(told)

"""What a standing question would have fired over footage that is recorded: segment by segment, with the gate as it was then."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from footage.carriers import MemoryView
from footage.questions import Moment
from footage.recordings import TextRow
from footage.timespan import TimeSpan
from qa.ask import Scope, clipped, within
from workers.alerts.alert import Alert
from workers.alerts.part import Part, parts_of
from workers.alerts.second_look import holds
from workers.alerts.standing import Standing
from workers.alerts.tracker import Confirm, Event, Tracker

if TYPE_CHECKING:
    from workers.engine import Library

NO_MODEL = ("none", "template")  # answerers that find moments and see nothing
_NO = re.compile(r"\W*no\b", re.I)


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """One recording as a library holds it."""

    library: "Library"
    recording_id: str
    view: MemoryView
    rows: Sequence[TextRow]
    spans: tuple[TimeSpan, ...]
    """Of its segments, in the order of time."""

    @classmethod
    def of(cls, library: "Library", recording_id: str, within: TimeSpan | None = None, past: int = 0) -> "Recorded":
        """within: only what lies there is read, and so many segments before it.

        Raises:
            NothingRecorded, EncoderMismatch: see Reading.view. ConfigError: it is too much to be read.
        """
        generation = library.memory.generation(recording_id)
        spans = tuple(sorted(library.store.committed(recording_id, generation).values()))
        if within is not None:
            earlier = [span for span in spans if span.start_s <= within.start_s][-past - 1 :]
            within = TimeSpan(min([within.start_s, *(span.start_s for span in earlier)]), within.end_s)
        reading = library.whole(Scope((recording_id,), within), "replay")
        return cls(library, recording_id, reading.view([recording_id]), reading.texts([recording_id]), spans)

    def parts(self, *, before_s: float = float("inf"), since_s: float = 0.0, refresh_s: float = 0.0) -> Iterator[Part]:
        """Its segments that begin in [since_s, before_s); refresh_s: see parts_of."""
        spans = [span for span in self.spans if since_s <= span.start_s < before_s]
        shown = partial(self.library.store.thumbnail, self.recording_id, generation=self.view.generation)
        return parts_of(self.recording_id, spans, self.view, self.rows, lambda time_s: shown(time_s) or b"", refresh_s=refresh_s)

    def prime(self, tracker: Tracker, before_s: float, past: int) -> None:
        """The segments before a time, the newest `past` of them, for what is usual."""
        earlier = [span for span in self.spans if span.start_s < before_s]
        if earlier:
            for part in self.parts(before_s=before_s, since_s=earlier[-past:][0].start_s):
                tracker.prime(part)


@dataclass(frozen=True, slots=True)
class Fired:
    """An event, as it was when it was over."""

    event: Event
    end_s: float
    """Where the event was last seen."""


def confirming(library: "Library", *, twice: bool | None = None) -> Confirm | None:
    """Asks the model that answers about one part; None where there is no model, or settings do without.

    twice: whether what it says is there gets a second look; None: as settings say.
    """
    if library.settings.alerts.confirm == "none" or library.answerer.id in NO_MODEL:
        return None
    looks_again = library.settings.alerts.second_look if twice is None else twice

    def confirm(standing: Standing, part: Part) -> Sequence[Moment]:
        seen = list[Moment]()
        for n, question in enumerate(standing.questions):
            pointed = _pointed(library, question, part.recording_id, part.span)
            if looks_again and pointed:
                pointed = _again(library, question, pointed, part)
            seen = _at_once(seen, pointed) if n else pointed
            if not seen:
                return ()
        return seen

    return confirm


def _pointed(library: "Library", question: str, recording_id: str, span: TimeSpan) -> list[Moment]:
    answer = library.ask(question, recording=recording_id, start=span.start_s, end=span.end_s, keep=False)
    is_no = not answer.found or _NO.match(answer.text)
    return [] if is_no else clipped([moment for moment in answer.citations if moment.supported], span)


def _again(library: "Library", question: str, pointed: Sequence[Moment], part: Part) -> list[Moment]:
    """Those of the moments that stand a second look."""
    reading = library.whole(Scope((part.recording_id,), part.span), "a second look")
    view = within(reading.view([part.recording_id]), part.span)  # nothing of a later time

    def is_there(question: str, span: TimeSpan) -> bool:
        seen = TimeSpan(max(span.start_s, part.span.start_s), min(span.end_s, part.span.end_s))
        return bool(_pointed(library, question, part.recording_id, seen))

    return [moment for moment in pointed if holds(question, moment, view, library.encoder, is_there)]


def _at_once(first: Sequence[Moment], then: Sequence[Moment]) -> list[Moment]:
    """When both are there, in the order of the first."""
    both = [(a, max(a.span.start_s, b.span.start_s), min(a.span.end_s, b.span.end_s)) for a in first for b in then]
    return [replace(moment, span=TimeSpan(start_s, end_s)) for moment, start_s, end_s in both if start_s < end_s]


def replayed(tracker: Tracker, parts: Iterator[Part]) -> list[Fired]:
    """What a tracker fires over parts in the order of time, each with the end that it had."""
    fired: list[Fired] = []
    for part in parts:
        begun = tracker.take(part)
        if fired and not begun and tracker.seen_until_s is not None:
            fired[-1] = Fired(fired[-1].event, max(fired[-1].end_s, tracker.seen_until_s))
        fired += [Fired(event, event.moment.span.end_s) for event in begun]
    return fired


def replay(library: "Library", question: str, *, recording: str = "", within: TimeSpan | None = None) -> list[Alert]:
    """In the order of recordings and time. What lies before `within` is what is usual; nothing later is looked at.

    Raises:
        ConfigError: no such recording, or a question that nothing could match. NothingRecorded: nothing is indexed.
    """
    standing, confirm, config = Standing.of(question, library.encoder), confirming(library), library.settings.alerts
    ids = [library.resolve(recording)] if recording else library.memory.readable()
    fired: list[Fired] = []
    for recording_id in ids:
        recorded, tracker = Recorded.of(library, recording_id, within, config.past), Tracker(standing, config, confirm=confirm)
        since_s, before_s = (within.start_s, within.end_s) if within else (0.0, float("inf"))
        since_s = max((span.start_s for span in recorded.spans if span.start_s <= since_s), default=0.0)
        recorded.prime(tracker, since_s, config.past)
        fired += replayed(tracker, recorded.parts(before_s=before_s, since_s=since_s))
    return [_alert(library, each) for each in fired if within is None or each.event.moment.span.overlap_s(within) > 0]


def _alert(library: "Library", fired: Fired) -> Alert:
    moment = fired.event.moment
    at = library.wall_clock(moment.recording_id, moment.span.start_s)
    return replace(Alert.of(fired.event, library.name_of(moment.recording_id), at), end_s=round(fired.end_s, 3))

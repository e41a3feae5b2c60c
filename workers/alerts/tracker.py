"""One standing question on one recording: when an event begins, that it goes on, and what is usual there."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from footage.errors import FootageError
from footage.questions import Moment
from workers.alerts.config import AlertsConfig
from workers.alerts.part import Part
from workers.alerts.standing import Hit, Limits, Scores, Standing, best_of, hits_in

log = logging.getLogger(__name__)
BETTER = 0.02  # a match must grow by so much before a model that said no is asked again about an open segment
LASTING_S = 3600.0  # what is on for longer is what the place looks like now

Confirm = Callable[[Standing, Part], Sequence[Moment]]
"""What a model points at in a part when it is asked; nothing where it sees nothing of the kind."""


@dataclass(frozen=True, slots=True)
class Event:
    """What a standing question is about was there."""

    standing: Standing
    part: Part
    """In which it was first seen."""
    moment: Moment
    """From its beginning to as far as it was seen."""
    confidence: float
    """0 to 1, see docs/alerts.md."""
    by: str
    """What said so: "model", "text" (quoted words were read) or "score"."""


class Tracker:
    """Its state is two lists of at most config.past scores and a few numbers, however long the stream runs."""

    def __init__(
        self, standing: Standing, config: AlertsConfig, *, confirm: Confirm | None = None, seen_until_s: float | None = None
    ) -> None:  # fmt: skip
        """seen_until_s: until when an event was seen before this watch began."""
        self.standing, self._config = standing, config
        self._confirm = None if standing.is_quoted else confirm
        self.usual = Scores(config.past)
        self.seen_until_s = seen_until_s
        """End of the last event so far; None before the first."""
        self._refused = -1.0
        self._entry: Limits | None = None
        self._since_s = 0.0

    def prime(self, part: Part) -> None:
        """A segment of the past, for what is usual."""
        self.usual.add(best_of(self.standing, part))

    def take(self, part: Part) -> list[Event]:
        """Events that begin in this part, each told once. Parts come in the order of time, a segment that goes on with more each time."""
        best = best_of(self.standing, part)
        found, by = self._found(part, max(best.seen, best.read))
        begun = [event for hit in found if (event := self._heard(hit, part, by))]
        if part.is_closed:
            self._refused = -1.0
            if by != "model" or not found:  # what a model confirmed is an event, and not what is usual
                self.usual.add(best)
        return begun

    def _found(self, part: Part, best: float) -> tuple[list[Hit], str]:
        """What is there, and what says so."""
        standing, config = self.standing, self._config
        limits = self._limits(part, config.spread_confirmed if self._confirm else config.spread)
        hits = hits_in(standing, part, self.usual, limits)
        if not part.is_closed and (not hits or self._goes_on(hits[0].moment) or best < self._refused + BETTER):
            return [], ""
        if not hits or self._confirm is None:
            return hits, "text" if standing.is_quoted else "score"
        try:
            seen = self._confirm(standing, part)
        except FootageError as error:
            log.warning("nobody could confirm %r, the gate decides alone: %s", standing.text, error)
            return hits_in(standing, part, self.usual, self.usual.limits(standing.floor, config.spread)), "score"
        if not seen:
            self._refused = best
        return [hit for moment in seen if (hit := self.usual.hit(moment, limits))], "model"

    def _limits(self, part: Part, spread: float) -> Limits:
        """While an event is on, what let it in is enough, though it has become part of what is usual; but not for ever: a scene that
        changed for good would hide all that comes after it."""
        limits, until_s = self.usual.limits(self.standing.floor, spread), self.seen_until_s
        is_on = until_s is not None and part.span.start_s < until_s + self._config.cool_down_s
        if is_on and self._entry is not None and part.span.end_s - self._since_s < LASTING_S:
            return limits.lower(self._entry)
        self._entry, self._since_s = limits, part.span.start_s
        return limits

    def _goes_on(self, moment: Moment) -> bool:
        return self.seen_until_s is not None and moment.span.start_s < self.seen_until_s + self._config.cool_down_s

    def _heard(self, hit: Hit, part: Part, by: str) -> Event | None:
        """A new event, or none where the one that is on goes on."""
        is_same = self._goes_on(hit.moment)
        self.seen_until_s = max(hit.moment.span.end_s, self.seen_until_s or 0.0)
        return None if is_same else Event(self.standing, part, hit.moment, round(hit.above, 3), by)

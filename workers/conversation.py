"""Conversation: questions to a library of which each may lean on those before it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from footage.errors import ConfigError
from footage.questions import Answer, Turn
from footage.timespan import TimeSpan, clock
from qa.follow_up import LATEST_S, REMEMBERED, Understood, understood

if TYPE_CHECKING:
    from workers.engine import Library


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question as it was typed, as it was understood, and its answer."""

    asked: str
    meant: Understood
    answer: Answer

    @property
    def turn(self) -> Turn:
        return Turn(self.meant.text, self.answer.text, self.answer.citations, self.meant.span, self.meant.recording_id)


class Conversation:
    """Made by Library.conversation. recording, start, end: where to look, as in Library.ask; they may be changed on the way."""

    def __init__(
        self, library: "Library", *, recording: str = "", start: float | str | None = None, end: float | str | None = None
    ) -> None:
        self._library = library
        self.recording, self.start, self.end = recording, start, end
        self.exchanges: list[Exchange] = []

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The last ones, oldest first."""
        return tuple(exchange.turn for exchange in self.exchanges[-REMEMBERED:])

    def meant(self, text: str) -> Understood:
        """A question completed from those before it; nothing is asked yet."""
        return understood(text, self.turns)

    def ask(self, text: str, *, meant: Understood | None = None, heard: Callable[[str], None] | None = None) -> Answer:
        """Answer it and remember both. meant: of `meant`, where somebody was told of it first. heard: as in Library.ask.

        Raises:
            as Library.ask; then nothing is remembered.
        """
        meant = meant or self.meant(text)
        span = self._span(meant)
        answer = self._library.ask(
            meant.text, recording=meant.recording_id or self.recording, start=span.start_s if span else None,
            end=span.end_s if span else None,
            earlier=self.turns, heard=heard,
        )  # fmt: skip
        self.exchanges.append(Exchange(text, meant, answer))
        return answer

    def _span(self, meant: Understood) -> TimeSpan | None:
        """What lies both where the conversation looks and where the question does."""
        own = self._library.scope("", self.start, self.end).span
        if own is None or meant.span is None:
            return own or meant.span
        if own.overlap_s(meant.span) == 0:
            limit = str(own) if own.end_s < LATEST_S else f"from {clock(own.start_s)} on"
            raise ConfigError(f"{meant.note} lies outside of what is searched ({limit})", hint="look further with /scope all")
        return TimeSpan(max(own.start_s, meant.span.start_s), min(own.end_s, meant.span.end_s))

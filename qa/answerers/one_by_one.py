"""Answers from rows that are read each by itself: what spans rows or frames is compared here, a model only says what it sees."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from footage.arrays import AnyArray
from footage.questions import Question
from qa.answerers.prompt import ABSENT, FRAMES_OF_A_ROW, NOT_THERE, Row, concluded, dated, evenly, letters, placed, pointed, spelled, spoken
from qa.parse import Asked, parse

ARTICLE = re.compile(r"^(?:the|an?) ")
WRITTEN = re.compile(r"\b(?:word|number|text) ([A-Z0-9]{2,})\b")
READS_LIKE = 0.7  # one letter of four may be misread
LOOKED_AT = 8  # frames of a row in which something before or after is looked for
LAST = re.compile(r"\b(?:last|later|latest)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class OneByOne:
    """Best match first, until a row answers; "which comes first" asks for each when it is there.

    Of a model that works aloud, what several frames show is asked of each frame, and the readings are put together: letters and counts
    by majority, places into a direction. Taking what most readings say: "Self-Consistency Improves Chain of Thought Reasoning in
    Language Models" (2022); there one input is sampled several times, here each frame is an input of its own.
    """

    read: Callable[[Question, Sequence[Row]], str]
    """The model's own words about some rows."""
    aloud: bool

    def reply(self, question: Question, rows: Sequence[Row]) -> str:
        """rows: as prompt.rows_of gives them."""
        asked = parse(question.text)
        if asked.sought:
            return self._compare(question, rows, asked.sought)
        ranked = sorted(rows, key=lambda row: row.place)
        if self.aloud and asked.beside and (words := self._beside(question, ranked, asked.beside)):
            return words
        if self.aloud and (sought := WRITTEN.findall(question.text)):
            return self._find_written(question, ranked, sought[0])
        if asked.how_often:
            return self._all_that_answer(question, ranked)
        return self._first_that_answers(question, ranked, asked)

    def _first_that_answers(self, question: Question, rows: Sequence[Row], asked: Asked) -> str:
        said = NOT_THERE
        for row in rows:
            if self.aloud and (words := self._put_together(question, row, asked)):
                return f"{words} {dated(row)}"
            if self.aloud and asked.which_way:  # frames that do not show it together do not either
                continue
            reply = self.read(question, [row])
            if pointed(reply, [row]):
                return spoken(reply, [row], aloud=self.aloud)
            said = spoken(reply, [row], aloud=self.aloud) if said == NOT_THERE else said
        return said

    def _beside(self, question: Question, rows: Sequence[Row], side: str) -> str:
        """What a row shows before or after the thing that is named: the frames that show it are found, then one more on that side is
        read beside the first (or last) of them, the nearest first, until it shows something else. "" where none does.
        """
        for row in (replace(row, frames=tuple(evenly(row.frames, LOOKED_AT))) for row in rows):
            alone = [self.read(question, [replace(row, frames=(frame,))]) for frame in row.frames]
            shown = [n for n, reply in enumerate(alone) if pointed(reply, [row])]
            if not shown:
                continue
            before = side == "before"
            at = shown[0] if before else shown[-1]
            itself = concluded(after_marks(alone[at]))
            for other in row.frames[:at][::-1] if before else row.frames[at + 1 :]:
                pair: tuple[AnyArray, AnyArray] = (other, row.frames[at]) if before else (row.frames[at], other)
                reply = self.read(question, [replace(row, frames=pair)])
                words = concluded(after_marks(reply))
                if pointed(reply, [row]) and words not in ("", ABSENT, itself):
                    return f"{words} {dated(row)}"
        return ""

    def _put_together(self, question: Question, row: Row, asked: Asked) -> str:
        """What the frames of a row say together, each asked by itself; "" where the question is not of that kind, or too few answer."""
        if asked.which_way:
            places = [place for reply in self._frames(question, row) if (place := placed(reply))]
            return direction(places) if len(places) > 1 or len(row.frames) == 1 else ""
        if asked.how_many:
            return most([concluded(after_marks(reply)).split()[-1:] for reply in self._frames(question, row)])
        if asked.wants_text:
            return voted([letters(reply) for reply in self._frames(question, row)])
        return ""

    def _frames(self, question: Question, row: Row) -> Iterator[str]:
        """What each frame of a row says that points at it."""
        for frame in evenly(row.frames, FRAMES_OF_A_ROW):
            alone = replace(row, frames=(frame,))
            reply = self.read(question, [alone])
            if pointed(reply, [alone]):
                yield reply

    def _all_that_answer(self, question: Question, rows: Sequence[Row]) -> str:
        shown = sorted((row for row in rows if pointed(self.read(question, [row]), [row])), key=lambda row: row.span.start_s)
        return spoken("".join(f"[{n}]" for n in range(1, len(shown) + 1)), shown, counts=True)

    def _find_written(self, question: Question, rows: Sequence[Row], sought: str) -> str:
        """The row whose sign reads most like what is sought: letters are compared here, as reading them is all that the model does."""
        readings = [spelled(self.read(question, [row])) for row in rows]
        alike = [reads_like(reading, sought) for reading in readings]
        best = max(range(len(rows)), key=lambda n: alike[n])
        return spoken("[1]", [rows[best]]) if alike[best] >= READS_LIKE else NOT_THERE

    def _compare(self, question: Question, rows: Sequence[Row], either: Sequence[str]) -> str:
        """Which of several comes first, or last: the rows say when each is there, and those times are compared."""
        last = bool(LAST.search(question.text))
        ordered = sorted(rows, key=lambda row: row.span.start_s, reverse=last)
        found: list[tuple[str, Row]] = []
        for name in either:
            when = replace(question, text=f"When does {name} appear?")
            row = next((row for row in ordered if pointed(self.read(when, [row]), [row])), None)
            found += [(ARTICLE.sub("", name), row)] if row else []
        if not found:
            return NOT_THERE
        if len({row.place for _, row in found}) < len(found):  # one row shows both: it must tell by itself
            return spoken(self.read(question, [found[0][1]]), [found[0][1]], aloud=self.aloud)
        found.sort(key=lambda item: item[1].span.start_s, reverse=last)
        return ("; before that " if last else "; later ").join(f"{name} {dated(row)}" for name, row in found)


def reads_like(reading: str, sought: str) -> float:
    """0 to 1: a letter may be misread, but a longer word that holds the one that is sought is another word (TRAIN is no RAIN)."""
    if sought in reading and len(set(reading.replace(sought, "", 1)) - set(sought)):
        return 0.0
    return SequenceMatcher(None, reading, sought, autojunk=False).ratio()


def after_marks(reply: str) -> str:
    return reply[reply.rfind("]") + 1 :].strip()


def direction(places: Sequence[tuple[int, int]]) -> str:
    """left, right, up or down: how places (column, row; rows count downwards) change in the order given; "" where there are none.

    The slope of a straight line through them, so that one place that was read wrongly does not turn it.
    """
    if len(places) < 2:
        return "seen in one frame only, which tells no direction" if places else ""
    middle = (len(places) - 1) / 2
    across, down = (sum((n - middle) * place[axis] for n, place in enumerate(places)) for axis in (0, 1))
    if across == down == 0:
        return "it stays where it is"
    if abs(across) >= abs(down):
        return "right" if across > 0 else "left"
    return "down" if down > 0 else "up"


def most(readings: Sequence[Sequence[str]]) -> str:
    """What most readings say; of equals the first."""
    said = Counter(" ".join(words) for words in readings if words)
    return said.most_common(1)[0][0] if said else ""


def voted(readings: Sequence[dict[str, str]]) -> str:
    """The word that several readings of it, each {column: letter}, spell: a column counts where at least half of them have a letter."""
    columns = sorted({column for reading in readings for column in reading})
    votes = {c: Counter(r[c] for r in readings if c in r) for c in columns}
    return "".join(vote.most_common(1)[0][0] for vote in votes.values() if 2 * vote.total() >= len(readings))

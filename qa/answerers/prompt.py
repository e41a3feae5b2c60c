"""Evidence as words and frames: the rows of a prompt, what of them fits, and what the model's reply points at.

A row is `[2] 12:05 <frames> 12:09 [2]`: its mark and its time stand before and after what was seen, or read, then.
Letters: K tokens of a frame, D their width.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from footage.arrays import AnyArray
from footage.carriers import Carrier
from footage.nested import nested
from footage.questions import Evidence, Question
from footage.recordings import TextRow
from footage.timespan import TimeSpan, clock_words
from qa.families.smolvlm import plain

MARK = re.compile(r"\[(\d+)\]")
FRAMES_OF_A_ROW = 4
ABSENT = "none"
COLUMNS, ROWS = "bcdefghi", "stuvwxyz"
"""The letters in which a model that works aloud says a place: eighths of the picture from the left and from above."""
PLACE = re.compile(rf"\b([{COLUMNS}])(?: \w+)? ([{ROWS}])$")
SPELLED = re.compile(r"(?:(?<= )|^)[a-z] [A-Z0-9](?: [a-z] [A-Z0-9])*(?= |$)")
NOT_THERE = "Not in the footage."
_BRACKETS = str.maketrans("[]<>", "()‹›")
_JOINERS = "\u200c\u200d"  # of scripts and pictograms
TURNS, TURN_CHARS = 3, 300
"""Of a conversation that a model is told: the last turns, and so much of each answer."""


@dataclass(frozen=True, slots=True)
class Row:
    """One piece of evidence as the model reads it."""

    place: int
    """Its number in the list of evidence, from 1: what citations are made of; 0: an overview, which nothing can point at."""
    span: TimeSpan
    frames: tuple[AnyArray, ...] = ()
    """Each (K, D) float32."""
    is_nested: bool = False
    """Any beginning of a frame's tokens can be read."""
    text: str = ""
    times_s: tuple[float, ...] = ()
    """When each frame was seen, where the row was made from evidence."""

    @property
    def tokens(self) -> int:
        return sum(len(frame) for frame in self.frames)


def rows_of(evidence: Sequence[Evidence]) -> list[Row]:
    """In time order, with all frames that each is shown by."""
    rows = []
    for place, item in enumerate(evidence, start=1):
        if isinstance(item.content, TextRow) and not item.shown:
            rows.append(Row(place, item.span, text=item.content.text))
        else:
            rows.append(_row(place, item.span, item.shown))
    order = sorted(range(len(rows)), key=lambda n: (evidence[n].recording_id, rows[n].span.start_s, n))
    return [rows[n] for n in order]


def overview_rows(overview: Sequence[Evidence]) -> list[Row]:
    """One a recording, as each is given."""
    return [_row(0, item.span, item.shown) for item in overview]


def _row(place: int, span: TimeSpan, shown: Sequence[Carrier]) -> Row:
    """Frames as they are, or all of them nested where one is."""
    some = any(carrier.is_nested for carrier in shown)
    frames = (nested(c.tokens, len(c.tokens)) if some and not c.is_nested else c.tokens.astype(np.float32) for c in shown)
    return Row(place, span, tuple(frames), is_nested=some, times_s=tuple(carrier.anchor_s for carrier in shown))


def evenly(items: Sequence[Any], count: int) -> list[Any]:
    """At most `count` of them, from the middle of equal parts."""
    if len(items) <= count:
        return list(items)
    return [items[int((n + 0.5) * len(items) / count)] for n in range(count)]


def fitted(rows: Sequence[Row], max_tokens: int) -> list[Row]:
    """The same rows, each with FRAMES_OF_A_ROW frames at most, in max_tokens visual tokens: coarser first, then fewer frames, then rows."""
    kept = [_fewer(row, FRAMES_OF_A_ROW) for row in rows]
    while sum(row.tokens for row in kept) > max_tokens:
        most = max(len(frame) for row in kept for frame in row.frames)
        frames = max(len(row.frames) for row in kept)
        if most >= 16:
            kept = [_coarser(row, most) for row in kept]
        elif frames > 1:
            kept = [_fewer(row, frames - 1) for row in kept]
        elif most > 1:
            kept = [_coarser(row, most) for row in kept]
        else:
            kept.remove(max((row for row in kept if row.frames), key=lambda row: row.place))
    return kept


def _fewer(row: Row, frames: int) -> Row:
    return replace(row, frames=tuple(evenly(row.frames, frames)), times_s=tuple(evenly(row.times_s, frames)))


def _coarser(row: Row, most: int) -> Row:
    """A quarter of the tokens of its frames of `most`, the details last."""
    keeps = [max(1, most // 4) if len(frame) == most else len(frame) for frame in row.frames]
    frames = (f[:keep] if row.is_nested else nested(f, keep) for f, keep in zip(row.frames, keeps, strict=True))
    return replace(row, frames=tuple(frames), is_nested=True)


def written(rows: Sequence[Row], image: str | Callable[[Row], str]) -> str:
    """The rows in words, numbered from 1 in this order. image: the mark of a visual token, or what writes a row's frames.

    An overview comes first, without a number: a time and a frame, again and again, and how long it goes on. That stands last, so that
    what is before it stays as it is while footage grows.
    """
    seen = [f"overview: {_moments(r, image)} ; {clock_words(r.span.end_s)} long" for r in rows if not r.place]
    numbered = [r for r in rows if r.place]
    return " ".join([
        *seen,
        *(f"[{n}] {clock_words(r.span.start_s)} {_body(r, image)} {clock_words(r.span.end_s)} [{n}]" for n, r in enumerate(numbered, 1)),
    ])  # fmt: skip


def _moments(row: Row, image: str | Callable[[Row], str]) -> str:
    """0:04 <frame> 0:12 <frame> ..."""
    alone = (replace(row, frames=(f,), times_s=(t,)) for f, t in zip(row.frames, row.times_s, strict=True))
    return " ".join(f"{clock_words(each.times_s[0])} {_body(each, image)}" for each in alone)


def _body(row: Row, image: str | Callable[[Row], str]) -> str:
    if row.text:
        return json.dumps(harmless(row.text), ensure_ascii=False)
    return image(row) if callable(image) else plain([len(frame) for frame in row.frames], image)


def harmless(text: str) -> str:
    """What was read or said in footage, as a prompt can hold it: one line in which nothing is a mark, or a special token of a tokenizer.

    Its look-alikes (full width) neither, and no letters that nobody sees. Words stay: that they are not obeyed is up to the model.
    """
    seen = "".join(char for char in text if char.isspace() or char in _JOINERS or unicodedata.category(char)[0] != "C")
    return " ".join(unicodedata.normalize("NFKC", seen).split()).translate(_BRACKETS)


def told_before(question: Question) -> list[str]:
    """The last turns of a conversation in words, oldest first, each on one line; [] where there were none.

    For models that follow instructions, before the question. Marks are left out: they point at what was found for another question.
    """
    return [
        f"Asked before: {turn.question} Answered: {harmless(MARK.sub('', turn.answer))[:TURN_CHARS]}" for turn in question.earlier[-TURNS:]
    ]


def pointed(reply: str, rows: Sequence[Row]) -> list[Row]:
    """The rows that a reply points at, in its order; marks that point at nothing are dropped."""
    marks = dict.fromkeys(int(mark) for mark in MARK.findall(reply))
    return [rows[mark - 1] for mark in marks if 1 <= mark <= len(rows)]


def spoken(reply: str, rows: Sequence[Row], *, counts: bool = False, aloud: bool = False) -> str:
    """A reply as people read it: its words, then what it points at, by place in the evidence and with the evidence's own time.

    What stands after the last mark is the answer; what stands before the first only says what was looked for, and is left out where the
    model works out loud (`aloud`, see `concluded`). counts: the question is how many times; the number of marks is the answer.
    """
    cited = pointed(reply, rows)
    words = reply[reply.rfind("]") + 1 :].strip()
    if aloud:
        words = concluded(words)
    elif not words:
        words = MARK.sub("", reply).strip()
    if not cited and words.split()[-1:] in ([], [ABSENT]):
        return NOT_THERE
    marks = ", ".join(dated(row) for row in cited)
    if counts and cited:
        return f"{len(cited)} {'time' if len(cited) == 1 else 'times'}: {marks}"
    return f"{words} {marks}".strip()


def dated(row: Row) -> str:
    """A citation: [2] 12:05-12:09"""
    return f"[{row.place}] {clock_words(row.span.start_s)}-{clock_words(row.span.end_s)}"


def concluded(words: str) -> str:
    """What is left when the workings are taken away: all up to the last semicolon, and the places among the letters of a spelled word.

    "red star then blue ring ; blue ring" is blue ring; "c e c S d U e N" is SUN.
    """
    words = words[words.rfind(";") + 1 :].strip()
    return spelled(words) if all(len(word) == 1 for word in words.split()) and spelled(words) else words


def spelled(words: str) -> str:
    """The word that lone letters spell, each after its column; "" where there is none: SUN of "sign c e c S d U e N"."""
    return "".join(letters(words).values())


def letters(words: str) -> dict[str, str]:
    """{column: letter} of the first word that lone letters spell."""
    found = SPELLED.search(words)
    said = found.group().split() if found else []
    return dict(zip(said[::2], said[1::2], strict=True))


def placed(words: str) -> tuple[int, int] | None:
    """(column, row), from 0, of the place that the words end with: (0, 1) of "red star b star t"."""
    found = PLACE.search(words)
    return (COLUMNS.index(found[1]), ROWS.index(found[2])) if found else None

"""Lines of text on the screen, followed over time: readings of single pictures become one row per text and span."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from footage import TextRow, TimeSpan

Box: TypeAlias = tuple[int, int, int, int]  # left, top, right, bottom in pixels; right and bottom are outside
Colour: TypeAlias = tuple[int, int, int]  # sRGB

BRIDGE_S = 2.0  # a line that is missed for so long and comes back is one row: a pointer passed over it
TYPING_PAUSE_S = 3.0  # a text that stood for longer was meant: what grows out of it is a row of its own
ALIKE = 0.85  # SequenceMatcher ratio above which two texts at one place are one text and OCR noise


@dataclass(frozen=True, slots=True)
class Line:
    """One reading of one line (or word) in one picture."""

    text: str
    score: float
    box: Box
    ink: Colour
    ground: Colour


def overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    both = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def joined(words: Sequence[Line]) -> list[Line]:
    """Words that stand on one baseline, less than a line's height apart, as lines; in reading order."""
    lines: list[Line] = []
    for word in sorted(words, key=lambda word: (word.box[0], word.box[1])):
        left = next((line for line in lines if _continues(line.box, word.box)), None)
        if left is None:
            lines.append(word)
        else:
            lines[lines.index(left)] = _join(left, word)
    return sorted(lines, key=lambda line: (line.box[1], line.box[0]))


def _continues(a: Box, b: Box) -> bool:
    low, high = sorted((a[3] - a[1], b[3] - b[1]))
    shared = min(a[3], b[3]) - max(a[1], b[1])
    return shared > 0.6 * low and high < 2 * low and -0.5 * low < b[0] - a[2] < low


def _join(a: Line, b: Line) -> Line:
    box = (min(a.box[0], b.box[0]), min(a.box[1], b.box[1]), max(a.box[2], b.box[2]), max(a.box[3], b.box[3]))
    score = (a.score * len(a.text) + b.score * len(b.text)) / (len(a.text) + len(b.text))
    longer = max(a, b, key=lambda line: len(line.text))
    return replace(longer, text=f"{a.text} {b.text}", score=score, box=box)


def _letters(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum()) or text


def _alike(a: str, b: str) -> bool:
    """The same text but for OCR noise. Digits must agree: a clock that ticks is a new text every second."""
    if a == b:
        return True
    if re.sub(r"\D", "", a) != re.sub(r"\D", "", b):
        return False
    return SequenceMatcher(None, a, b, autojunk=False).ratio() >= ALIKE


def _grown(old: str, new: str) -> bool:
    """More was typed; the caret may have been read as a last letter of the old text."""
    return len(new) > len(old) and (new.startswith(old) or (len(old) > 2 and new.startswith(old[:-1])))


@dataclass(slots=True)
class _Row:
    """A row in the making."""

    start_s: float
    end_s: float
    """Of the last picture that showed it."""
    text_since_s: float
    """When the text that it has now was first read; later than start_s when it was typed."""
    readings: list[Line] = field(default_factory=list)

    @property
    def best(self) -> Line:
        return max(self.readings, key=lambda line: line.score)

    @property
    def letters(self) -> str:
        return _letters(self.best.text)

    def see(self, line: Line, span: TimeSpan) -> None:
        if _grown(self.letters, _letters(line.text)) and self.end_s - self.text_since_s <= TYPING_PAUSE_S:
            self.readings, self.text_since_s = [], span.start_s
        if not self.readings or line != self.readings[-1]:
            self.readings.append(line)
        self.end_s = span.end_s

    def text_row(self, recording_id: str, width_px: int, height_px: int) -> TextRow:
        left, top, right, bottom = np.median([line.box for line in self.readings], axis=0)
        box = (left / width_px, top / height_px, right / width_px, bottom / height_px)
        score = float(np.mean([line.score for line in self.readings]))
        best, span = self.best, TimeSpan(self.start_s, self.end_s)
        return TextRow(
            recording_id, span, "ocr", best.text, score, tuple(map(float, box)), ink=best.ink, ground=best.ground
        )

"""Lines of text on the screen, followed over time: readings of single pictures become one row per text and span."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from footage import TextRow, TimeSpan
from footage.arrays import AnyArray, Pixels

Box: TypeAlias = tuple[int, int, int, int]  # left, top, right, bottom in pixels; right and bottom are outside
Colour: TypeAlias = tuple[int, int, int]  # sRGB

BRIDGE_S = 2.0  # a line that is missed for so long and comes back is one row: a pointer passed over it
TYPING_PAUSE_S = 5.0  # a text that stood for longer was meant: what grows out of it is a row of its own
TYPED_PER_S = 20.0  # letters; demos are sped up
ALIKE = 0.85  # SequenceMatcher ratio above which two texts at one place are one text and OCR noise


@dataclass(frozen=True, slots=True)
class Line:
    """One reading of one line (or word) in one picture."""

    text: str
    score: float
    box: Box
    ink: Colour
    ground: Colour


def shared_px(a: Box, b: Box) -> int:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return width * height if width > 0 and height > 0 else 0


def covered(a: Box, b: Box) -> float:
    """The share of a that lies in b."""
    return shared_px(a, b) / ((a[2] - a[0]) * (a[3] - a[1]))


def _distance_px(a: Box, b: Box) -> int:
    return abs(a[0] - b[0]) + abs(a[1] - b[1])


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
    """The same letters but for OCR noise: single slips far apart (west and east are two words).

    Digits must agree: a clock that ticks is a new text every second.
    """
    if a == b:
        return True
    if re.sub(r"\D", "", a) != re.sub(r"\D", "", b):
        return False
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    slips = [(i1, i2, j1, j2) for tag, i1, i2, j1, j2 in matcher.get_opcodes() if tag != "equal"]
    small = all(i2 - i1 <= 2 and j2 - j1 <= 2 for i1, i2, j1, j2 in slips)
    return small and all(b[0] - a[1] > 3 for a, b in pairwise(slips)) and matcher.ratio() >= ALIKE


def _grown(old: str, new: str) -> bool:
    """More letters after the old ones, of which the caret may have been read as the last."""
    return len(old) > 2 and len(new) > len(old) and (new.startswith(old) or new.startswith(old[:-1]))


@dataclass(slots=True)
class _Row:
    """A row in the making."""

    start_s: float
    end_s: float
    """End of the last picture that showed it."""
    since_s: float
    """When its present text was first read: later than start_s where it was typed."""
    readings: list[Line]
    """Of its present text, in time order, repetitions left out."""
    stood_s: dict[str, float]
    """Seconds of each text among them, weighed by score. The row has the heaviest: OCR noise passes, a change stays."""
    letters: str = ""

    @property
    def text(self) -> str:
        return max(self.stood_s, key=lambda text: self.stood_s[text])

    def is_typed(self, line: Line, span: TimeSpan) -> bool:
        """The same line with more letters, no more than hands can type, and no pause before them."""
        was, now, letters = self.readings[-1].box, line.box, _letters(line.text)
        height = was[3] - was[1]
        same_place = abs(was[0] - now[0]) < height and abs(was[1] - now[1]) < height / 2
        if not same_place or not _grown(self.letters, letters):
            return False
        by_hand = len(letters) - len(self.letters) <= TYPED_PER_S * (span.start_s - self.since_s)
        return by_hand and self.end_s - self.since_s <= TYPING_PAUSE_S

    def stands(self, line: Line, _: TimeSpan) -> bool:
        """The same text at the same place."""
        return covered(line.box, self.readings[-1].box) > 0.5 and _alike(self.letters, _letters(line.text))

    def moved(self, line: Line, _: TimeSpan) -> bool:
        """The same text elsewhere: it scrolls."""
        return len(self.letters) > 2 and self.letters == _letters(line.text)

    def see(self, line: Line, span: TimeSpan) -> None:
        if self.readings and self.is_typed(line, span):
            self.readings, self.stood_s, self.since_s = [], {}, span.start_s
        if not self.readings or line != self.readings[-1]:
            self.readings.append(line)
        self.stood_s[line.text] = self.stood_s.get(line.text, 0.0) + line.score * span.duration_s
        self.end_s, self.letters = span.end_s, _letters(self.text)


class LineTrack:
    """The lines of one segment, picture by picture, in time order; a row ends when its line is gone for BRIDGE_S."""

    def __init__(self) -> None:
        self._open: list[_Row] = []
        self._closed: list[_Row] = []

    def add(self, lines: Sequence[Line], span: TimeSpan) -> None:
        """All lines that one picture shows, and the time it stands for."""
        self._closed += [row for row in self._open if span.start_s - row.end_s > BRIDGE_S]
        self._open = [row for row in self._open if span.start_s - row.end_s <= BRIDGE_S]
        new, rows = list(lines), list(self._open)
        for same in (_Row.is_typed, _Row.stands, _Row.moved):
            new, rows = self._matched(new, rows, same, span)
        for line in new:
            self._open.append(_Row(span.start_s, span.end_s, span.start_s, [], {}))
            self._open[-1].see(line, span)

    @staticmethod
    def _matched(
        lines: list[Line], rows: list[_Row], same: Callable[[_Row, Line, TimeSpan], bool], span: TimeSpan
    ) -> tuple[list[Line], list[_Row]]:
        """Let every line continue the nearest row that is the same; returns the lines and rows that are left over."""
        left = []
        for line in lines:
            found = [row for row in rows if same(row, line, span)]
            if not found:
                left.append(line)
                continue
            row = min(found, key=lambda row: _distance_px(row.readings[-1].box, line.box))
            row.see(line, span)
            rows.remove(row)
        return left, rows

    def rows(self, recording_id: str, width_px: int, height_px: int) -> list[TextRow]:
        """By start, then in reading order. May be called again after more was added."""
        rows = [_text_row(row, recording_id, width_px, height_px) for row in (*self._closed, *self._open)]
        return sorted(rows, key=lambda row: (row.span.start_s, row.box[1] if row.box else 0.0, row.box))


def _text_row(row: _Row, recording_id: str, width_px: int, height_px: int) -> TextRow:
    """The mean score and median box of its readings; colours of the surest one that has the row's text."""
    best = max((line for line in row.readings if line.text == row.text), key=lambda line: line.score)
    left, top, right, bottom = np.median([line.box for line in row.readings], axis=0).tolist()
    box = (left / width_px, top / height_px, right / width_px, bottom / height_px)
    score = float(np.mean([line.score for line in row.readings]))
    return TextRow(recording_id, TimeSpan(row.start_s, row.end_s), "ocr", best.text, score, box, best.ink, best.ground)


def letter_colours(pixels: Pixels) -> tuple[Colour, Colour]:
    """Ink and ground of a picture of one line: two-means in RGB; the ground is what its border is made of."""
    step = max(1, int((pixels.shape[0] * pixels.shape[1] / 1024) ** 0.5))
    picture = pixels[::step, ::step].astype(np.float32)
    colours = picture.reshape(-1, 3)
    first = colours[((colours - colours.mean(0)) ** 2).sum(1).argmax()]
    centres = np.stack([first, colours[((colours - first) ** 2).sum(1).argmax()]])
    for _ in range(4):
        which = ((colours[:, None] - centres) ** 2).sum(2).argmin(1)
        centres = np.stack([colours[which == k].mean(0) if (which == k).any() else centres[k] for k in (0, 1)])
    grid = which.reshape(picture.shape[:2])
    ground = int(np.concatenate([grid[0], grid[-1], grid[:, 0], grid[:, -1]]).mean() > 0.5)
    ink = colours[which != ground] if (which != ground).any() else colours
    contrast = ((ink - centres[ground]) ** 2).sum(1)
    ink = ink[contrast >= np.median(contrast)]  # the other half are the soft edges of the letters
    return _median_colour(ink), _median_colour(colours[which == ground])


def _median_colour(colours: AnyArray) -> Colour:
    red, green, blue = np.median(colours, axis=0).round().astype(int).tolist()
    return red, green, blue

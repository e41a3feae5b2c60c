"""A chat model's reply as it comes: what of it can be told already, what it points at, and when it goes round in circles."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from qa.answerers.prompt import ABSENT, Row, spoken

LOOPS = (240, 800)
"""Characters at the end of a reply in which it is looked for repetition."""
HELD = 12
"""Words shorter than this wait for the end: they may still become "none"."""
_MARK = re.compile(r"\s*\[\s*\d{1,4}(?:\s*,\s*\d{1,4})*\s*\]")
_OPEN = re.compile(r"\s*(?:\[[\d\s,]*)?$")
_NONE = re.compile(rf"\W*{ABSENT}\W*", re.I)
_NONE_OF = re.compile(rf"\W*{ABSENT} of (?:them|these|the (?:numbered )?moments)\b", re.I)
_ROUND = str.maketrans("[]", "()")


@dataclass(slots=True)
class Reply:
    """Pieces in, pieces out; joined, what comes out is prompt.spoken of all that came in.

    Chat models put their marks anywhere: the words come out without them, and what they point at follows at the end with its times.
    Nothing is told before something was pointed at, and no mark is ever cut in two.
    """

    rows: Sequence[Row]
    counts: bool = False
    """The question is how many times: the number of marks is the answer."""
    text: str = ""
    _told: str = ""

    def add(self, piece: str) -> str:
        """What can be told now that this came too."""
        self.text += piece
        words, marks = self._read(_OPEN.sub("", self.text))
        if self.counts or len(words) < HELD or not marks:
            return ""
        new, self._told = words.removeprefix(self._told), words
        return new

    def end(self, cut: str = "") -> str:
        """The rest. cut: why the reply stops here, where it did not come to its own end."""
        words, marks = self._read(self.text)
        absent = _NONE.fullmatch(words) or (not marks and _NONE_OF.match(words))
        whole = spoken(ABSENT if absent else f"{marks} {words}", self.rows, counts=self.counts)
        whole += f" (cut: {cut})" if cut else ""
        return whole.removeprefix(self._told) if whole.startswith(self._told) else f"\n{whole}"

    def _read(self, text: str) -> tuple[str, str]:
        """(words without marks, the marks that point at something); nothing of what it only thought."""
        text = text.rpartition("</think>")[2] if "</think>" in text else "" if text.lstrip().startswith("<think>") else text
        numbers = dict.fromkeys(int(n) for mark in _MARK.findall(text) for n in re.findall(r"\d+", mark))
        words = _MARK.sub("", text).lstrip(" \n\t:").rstrip().translate(_ROUND)
        return words, "".join(f"[{n}]" for n in numbers if 1 <= n <= len(self.rows))


def looped(text: str) -> bool:
    """A text ends in one stretch four times over, or more.

    Pictures can be made that let a model talk eight times as long: "Inducing High Energy-Latency of Large Vision-Language Models with
    Verbose Images" (2024).
    """
    tails = (text[-length:] for length in LOOPS if len(text) >= length)
    return any(tail[period:] == tail[:-period] for tail in tails for period in range(1, len(tail) // 4 + 1))

"""MomentsAnswerer: no model. It shows the best moments and the text found there, or says that there are none."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from footage.costs import Meter
from footage.questions import Evidence, Question
from footage.recordings import TextRow
from footage.timespan import clock_words
from qa.parse import parse

SEEN_AS = {"ocr": "on screen", "subtitle": "in the subtitles", "speech": "spoken", "object": "in the picture"}


@dataclass(frozen=True, slots=True)
class MomentsAnswerer:
    """The answerer of `--model none`."""

    sees_pictures: bool = True
    """False where the encoder cannot compare pictures with the question's words: then absence proves nothing."""

    @property
    def id(self) -> str:
        return "none"

    def stream(
        self, question: Question, evidence: Sequence[Evidence], *, meter: Meter | None = None, overview: Sequence[Evidence] = ()
    ) -> Iterator[str]:
        if not evidence:
            yield self._nothing(question)
        numbered = list(enumerate(evidence, start=1))
        telling = [each for each in numbered if each[1].score or isinstance(each[1].content, TextRow)]
        for n, (place, item) in enumerate(telling or numbered):  # of a stretch chosen by time, that something was there tells nothing
            yield ("\n" if n else "") + f"[{place}] {line(item)}"

    def _nothing(self, question: Question) -> str:
        about = ", ".join(repr(_as_written(stem, question.text)) for stem in parse(question.text).words[:4]) or "the question"
        if self.sees_pictures:
            return f"Not in the footage: neither pictures nor text match {about}."
        return f"Not found: no text in the footage matches {about}, and without an image-text model pictures cannot be searched for it."


def _as_written(stem: str, text: str) -> str:
    found = re.search(rf"\b{re.escape(stem)}\w*", text, re.IGNORECASE)
    return found.group().lower() if found else stem


def line(item: Evidence) -> str:
    """00:00:25.400-00:00:29.700 of talk.mp4: on screen "Big Buck Bunny"."""
    named = f" of {item.name}" if item.name else ""
    where = f"{item.span}{named}"
    if item.kind == "object" and isinstance(item.content, TextRow):
        return f"{item.content.text} at {clock_words(item.span.start_s)}-{clock_words(item.span.end_s)}{named}"
    if isinstance(item.content, TextRow):
        return f'{where}: {SEEN_AS.get(item.kind, item.kind)} "{item.content.text}"'
    return f"{where}: the picture matches (score {item.score:.2f})" if item.score else f"{where}: what is seen then"

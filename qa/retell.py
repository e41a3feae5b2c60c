"""A summary in a model's words: each section from its scenes, then the whole from the sections. Times are those of what it points at."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from footage.protocols import Answerer
from footage.questions import Evidence, Question
from footage.recordings import TextRow
from qa.answerers.openai import OpenAIAnswerer
from qa.answerers.prompt import MARK, NOT_THERE
from qa.answerers.vlm import VlmAnswerer
from qa.summary import Section, Summary, Told

ASKED = "What happens in these moments? Tell it in one or two sentences."
ASKED_OF_ALL = "These are the parts of one recording, in order. What is it about? Tell it in two or three sentences."
PART = "summary"
"""The kind of text that the parts of a recording are handed on as."""
_CLOCK = re.compile(r"\b\d{1,2}:\d{2}(?::\d{2})?\b")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


def tells(answerer: Answerer) -> bool:
    """It follows instructions, so that it can be asked for sentences."""
    return isinstance(answerer, OpenAIAnswerer) or (isinstance(answerer, VlmAnswerer) and answerer.reading.instructed)


def retold(summary: Summary, answerer: Answerer, shown: Callable[[Section], Sequence[Evidence]], tell: Callable[..., Told]) -> Summary:
    """Each section with a model's words, then the whole.

    shown: what the model sees of a section. tell: `told`, or what remembers its answers.
    """
    sections = [replace(section, told=tell(answerer, ASKED, shown(section))) for section in summary.sections]
    rows = [
        TextRow(summary.recording_id, section.span, PART, section.told.text)
        for section in sections if section.told and section.told.text
    ]  # fmt: skip
    parts = [Evidence(summary.recording_id, row.span, 1.0, row) for row in rows]
    whole = tell(answerer, ASKED_OF_ALL, parts) if len(parts) > 1 else None
    return replace(summary, sections=tuple(sections), told=whole, model=answerer.id)


def told(answerer: Answerer, asked: str, shown: Sequence[Evidence]) -> Told:
    """What a model says of moments, and which of them it points at; "" where it has nothing to say."""
    said = "".join(answerer.stream(Question(asked), shown)) if shown else NOT_THERE
    if said.startswith(NOT_THERE):
        return Told("")
    words = " ".join(MARK.split(said, maxsplit=1)[0].split())
    marks = dict.fromkeys(int(mark) for mark in MARK.findall(said))
    spans = sorted({shown[mark - 1].span for mark in marks if 1 <= mark <= len(shown)})
    return Told(_timeless(words, shown), tuple(spans))


def _timeless(words: str, shown: Sequence[Evidence]) -> str:
    """Without the sentences that name a time of their own: times come from what was seen, never from a model's digits."""
    read = " ".join(item.content.text for item in shown if isinstance(item.content, TextRow))
    kept = [sentence for sentence in _SENTENCE.split(words) if all(time in read for time in _CLOCK.findall(sentence))]
    return " ".join(kept)

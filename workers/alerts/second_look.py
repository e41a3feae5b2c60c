"""A second look at what a model said is there, before it fires: words that belong together, then frames one by one.

Models take the colour of one thing for that of another beside it: a purple star and a pink heart make a purple heart, as in "Winoground:
Probing Vision and Language Models for Visio-Linguistic Compositionality" (2022). Often one word of the name is not there at all, and the
picture looks more like the rest of the name alone; else frames of one moment, asked about one by one, disagree. Neither needs pixels.
"""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from footage.arrays import AnyArray, Embeds
from footage.carriers import MemoryView
from footage.colours import names_in as colours_in
from footage.protocols import Encoder
from footage.questions import Moment
from footage.timespan import TimeSpan
from qa.noun_phrases import phrases
from qa.parse import STOP_WORDS, parse

LOOKS = 4  # frames of a moment that are asked about
SHARE = 0.5  # of them must show it
GLIMPSE_S = 2.0  # what one frame alone shows, and not for longer, must be in most of it and its neighbours: a fade is black for a frame
LONGEST = 3  # words of a name: of longer ones no encoder is this exact
_COLOURED = re.compile(r"is there an? (\w+) (\w+)\?", re.I)

IsThere = Callable[[str, TimeSpan], bool]
"""Asks the model a question about a stretch of time."""


def holds(question: str, moment: Moment, view: MemoryView, encoder: Encoder, is_there: IsThere) -> bool:
    """What the model pointed at stands a second look. What is read or detected is not looked at again: letters are compared elsewhere.

    view: of the moment's recording alone.
    """
    rows = np.flatnonzero((view.starts_s < moment.span.end_s - 1e-6) & (view.ends_s > moment.span.start_s + 1e-6))
    if moment.kind != "image" or parse(question).wants_text or not len(rows):
        return True
    if not belongs_together(question, view.embeds[rows], encoder):
        return False
    is_glimpse = len(rows) == 1 and view.ends_s[rows[0]] - view.starts_s[rows[0]] < GLIMPSE_S
    near = np.unique(np.clip([rows[0] - 1, rows[0], rows[0] + 1], 0, len(view) - 1)) if is_glimpse else rows
    some = near[np.unique(np.linspace(0, len(near) - 1, LOOKS).round().astype(int))]
    shown = [is_there(question, view.span(row)) for row in some.tolist()]
    return sum(shown) > len(shown) / 2 if is_glimpse else sum(shown) >= SHARE * len(shown)


def belongs_together(question: str, embeds: Embeds, encoder: Encoder) -> bool:
    """The frames, (N, E), are at least as much like each name in the question as like the name without any one of its words."""
    variants = [without_a_word(name) for name in names_in(question)]
    texts = [text for group in variants for text in group]
    if not texts:
        return True
    likeness: AnyArray = embeds @ encoder.embed_text(texts).T
    edges = np.cumsum([0, *map(len, variants)])
    return all(_more_like_the_first(likeness[:, a:b]) for a, b in pairwise(edges.tolist()))


def _more_like_the_first(likeness: AnyArray) -> bool:
    """(N, texts); of half the frames at the least."""
    return bool(np.median(likeness[:, 0] - likeness[:, 1:].max(1)) >= 0)


def names_in(question: str) -> list[list[str]]:
    """The words of each thing that is named by two or three of them: purple, heart."""
    coloured = _COLOURED.match(question)  # also where the noun is a verb elsewhere, such as a cross
    if coloured and colours_in(coloured[1]):
        return [list(coloured.groups())]
    named = [[word for word in phrase.words if word.lower() not in STOP_WORDS] for phrase in phrases(question) if not phrase.is_name]
    return [words for words in named if 2 <= len(words) <= LONGEST]


def without_a_word(words: Sequence[str]) -> list[str]:
    """The name, then the name without one word each: purple heart; heart, purple thing."""
    described = [" ".join([*words[:n], *words[n + 1 :]]) for n in range(len(words) - 1)]
    return [" ".join(words), *described, " ".join([*words[:-1], "thing"])]

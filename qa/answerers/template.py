"""TemplateAnswerer: sentences about colours, from evidence of the colour encoder. No model; the truth of the demo and the tests."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from footage.carriers import Carrier
from footage.colours import NAMES, names_in
from footage.costs import Meter
from footage.questions import Evidence, Question
from footage.timespan import clock
from qa.answerers.moments import MomentsAnswerer

_WHAT_COLOUR = re.compile(r"\b(?:what|which) colou?rs?\b", re.I)


@dataclass(frozen=True, slots=True)
class TemplateAnswerer:
    """Answers "when is it blue?", "is there anything blue?" and "what colour ...?"; hands the rest to the moments answerer."""

    fallback: MomentsAnswerer = field(default_factory=MomentsAnswerer)

    @property
    def id(self) -> str:
        return "template"

    def stream(
        self, question: Question, evidence: Sequence[Evidence], *, meter: Meter | None = None, overview: Sequence[Evidence] = ()
    ) -> Iterator[str]:
        pictures = [(i, e, e.content) for i, e in enumerate(evidence, start=1) if isinstance(e.content, Carrier)]
        colours = names_in(question.text)
        if _WHAT_COLOUR.search(question.text) and pictures:
            place, item, carrier = pictures[0]
            yield f"Mostly {dominant(carrier)} at {clock(item.span.start_s)} [{place}]."
        elif colours and pictures:
            spans = ", and ".join(f"from {clock(e.span.start_s)} to {clock(e.span.end_s)} [{i}]" for i, e, _ in pictures)
            yield f"{' and '.join(colours).capitalize()} is on screen {spans}."
        elif colours and not evidence:
            yield f"Not in the footage: {' and '.join(colours)} is never on screen."
        else:
            yield from self.fallback.stream(question, evidence)


def dominant(carrier: Carrier) -> str:
    """The colour that fills most of a carrier of the colour encoder."""
    return NAMES[int(np.argmax(carrier.embed))]

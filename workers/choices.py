"""Which of the choices of a question an answer names."""

from collections.abc import Sequence
from dataclasses import replace

from footage.questions import Answer
from qa.rank_text import squeezed
from workers.datasets.item import LETTERS
from workers.datasets.replies import chosen

QUOTING = ("none", "template")
"""Answerers that quote footage: a letter in their words may be one that stands there."""


def with_choice(answer: Answer, choices: Sequence[str]) -> Answer:
    """The same answer with the choice that it names, or with a warning that it names none, or several."""
    if not choices:
        return answer
    letter = chosen(answer.text, choices)
    choice = choices[LETTERS.index(letter)] if letter else ""
    if choice and (answer.model not in QUOTING or squeezed(choice) in squeezed(answer.text)):
        return replace(answer, choice=choice)
    return replace(answer, warnings=(*answer.warnings, f"this answer names none of the {len(choices)} choices, or several"))

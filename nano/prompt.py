"""How evidence and a question become one row of tokens, in training exactly as in answering.

A row of evidence is written `[2] 12:05 <frame>; <frame> 12:09 [2]`: its mark and its time stand before and after its frames.
The answer says what it looks for, points and speaks: `star [2] star red`. Where nothing shows it: `star none`.
"""

from collections.abc import Sequence

from footage.timespan import clock_words
from nano.questions import ABSENT, Asked

LEVELS = (64, 16, 4, 1)
"""Tokens a frame: all of an 8 x 8 grid, and means of 2 x 2, 4 x 4 and 8 x 8 of them."""
BEGIN, USER, ASSISTANT, END, IMAGE = "<|im_start|>", "user", "assistant", "<end_of_utterance>", "<image>"


def row_words(number: int, start_s: float, end_s: float, tokens: Sequence[int]) -> str:
    """One row of evidence, with as many image marks as each of its frames has tokens."""
    frames = " ; ".join(" ".join([IMAGE] * n) for n in tokens)
    return f"[{number}] {clock_words(start_s)} {frames} {clock_words(end_s)} [{number}]"


def answer_words(asked: Asked) -> str:
    """What the model is taught to say: what is asked about, where it is, and about most things once more what it is.

    A token finds what is like itself with one look, so saying "star" before "red" makes the star's own colour the next thing to say.
    """
    if not asked.rows:
        return f"{asked.about} {asked.answer or ABSENT}"
    marks = "".join(f"[{row + 1}]" for row in asked.rows)
    if asked.kind in ("when", "times"):
        return f"{asked.about} {marks}"
    again = "" if asked.kind in ("text", "order") else asked.about
    return f"{asked.about} {marks} {again} {asked.answer}"

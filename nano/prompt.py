"""How evidence and a question become one row of tokens, in training exactly as in answering.

A row of evidence is written `[2] 12:05 <frame>; <frame> 12:09 [2]`: its mark and its time stand before and after its frames.
The answer says what it finds, points and speaks: `star [2] star red` where the star's colour is asked for, `star red [2] yes` where a red
star is. Where nothing shows it: `star blue ; none`, or `star ; none`. What takes more than one look is worked out aloud first, before a
semicolon: `star red [1] red star then blue ring ; blue ring`. Which way a thing moves is asked of one frame at a time, and each says
where it is then: `star red [1] red star b star t`. Signs are spelled, each letter after its column: `sign [1] c e c S d U e N`.
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


def answer_words(asked: Asked, where: str = "") -> str:
    """What the model is taught to say: what it finds, where that is, and about most things once more what it is.

    A token finds what is like itself with one look, so saying "star" first makes the star's own colour the next thing to say; whether
    that is the colour asked about is then a comparison of two words.

    where: said instead of the marks, for a model that tells times itself.
    """
    if not asked.rows:
        return f"{asked.about} ; {asked.answer or ABSENT}"
    marks = where or "".join(f"[{row + 1}]" for row in dict.fromkeys(asked.rows))
    if asked.kind in ("when", "times"):
        return f"{asked.about} {marks}"
    if asked.kind == "text":
        return f"{asked.about} {marks} {asked.workings}"
    if asked.kind == "existence":
        return f"{asked.about} {marks} {asked.answer}"
    return f"{asked.about} {marks} {asked.workings or asked.about} {asked.answer}"

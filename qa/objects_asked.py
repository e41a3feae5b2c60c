"""What a question wants of things that a detector has named: "when are there two people?", "is there no car?", "when does somebody talk?".

It names classes, how many of them, or that none is there; told by rules, English only.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from footage.recordings import TextRow
from qa.object_names import MOVING, WEAK, class_of, meant_by, of_kind, stems
from qa.parse import CONTEXT, STOP_WORDS, Asked

SPEECH = "speech"
_NUMBERS = {word: n for n, word in enumerate("zero one two three four five six seven eight nine ten".split())} | {"both": 2, "pair": 2}
_TALK = re.compile(r"^(?:talk|speak|spoke|spoken|speech|voice|silent|silence)$")
_GONE = re.compile(r"\b(?:nobody|no one|no-one|empty|deserted|vacant|silent|silence)\b", re.I)
_EMPTY = re.compile(r"\b(?:empty|deserted|vacant|nothing (?:there|to be seen))\b", re.I)
_FIRST = re.compile(r"\b(?:(?:at|in|near) the (?:very )?(?:beginning|start)|earliest|initially|(?<!for )the first|appears? first)\b", re.I)
_LAST = re.compile(r"\b(?:(?:at|in|near) the (?:very )?end|latest|finally|the last)\b", re.I)
_FEWEST = re.compile(r"\b(?:fewest|smallest|least number|minimum)\b", re.I)
_PLACES = frozenset("on in at to under behind along near beside into onto above below by while when".split())
_VERBS_BETWEEN = frozenset("is are was were do does did can has have".split())
_WHO = re.compile(r"\W*(?:who|whose|whom)\b", re.I)
ROW = re.compile(r"(?:(\d+)\+? )?(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Sought:
    """What a question wants of things that are there."""

    groups: tuple[frozenset[str], ...]
    """Classes, those that one word means together."""
    least: int = 1
    most: int | None = None
    """How many of the first group at once."""
    is_gone: bool = False
    """When none of them is there."""
    is_subject: bool = True
    """One of them is what the question is about, and not only the place where something is: "on the table"."""
    how_many: bool = False
    order: str = "best"
    """"best", "first", "last", "fewest" or "most"."""


def sought(text: str, asked: Asked, rows: Sequence[TextRow]) -> Sought | None:
    """None where the question names nothing that rows could hold."""
    words = re.findall(r"[^\W_]+(?:'\w+)?", text.lower())
    own = {stems(label): class_of(label) for label in (parsed(row)[1] for row in rows if row.kind == "object")}
    named = list(_named(words, own))
    talks = any(_TALK.match(stem_) for stem_ in stems(" ".join(words)))
    if talks and not _topics(asked, named):
        return Sought((frozenset({SPEECH}),), is_gone=bool(_GONE.search(text)))
    if _EMPTY.search(text) and not any(words[at - 1] == "empty" for at, _ in named if at):
        everything = frozenset(class_of(parsed(row)[1]) for row in rows if row.kind == "object")
        return Sought((everything & of_kind(*MOVING) or everything,), is_gone=True)
    if not named:
        return Sought((frozenset({"person"}),), order=_order(text, asked)) if WEAK & set(words) else None
    begin = len(re.findall(r"[^\W_]+(?:'\w+)?", where.group())) if (where := CONTEXT.match(text.lower())) else 0
    subjects = [at for at, _ in named if at >= begin and not _is_place(words, at)]
    first = (subjects or [named[0][0]])[0]
    before = words[max(0, first - 3) : first]
    least, most = _counts(before, text)
    is_gone = bool(_GONE.search(text)) or "no" in before[-2:] or "without" in before[-2:] or most == 0
    groups = dict.fromkeys(group for at, group in sorted(named, key=lambda each: (each[0] != first, each[0])))
    is_subject = bool(subjects) or bool(_WHO.match(text))
    order = _order(text, asked)
    return Sought(tuple(groups), least, most, is_gone, is_subject, asked.how_many or order == "fewest", order)


def _is_place(words: Sequence[str], at: int) -> bool:
    """It follows a preposition of place: "under which cup", "behind the old dog"."""
    near = [n for n in range(max(0, at - 4), at) if words[n] in _PLACES]
    return bool(near) and all(word not in _VERBS_BETWEEN for word in words[near[-1] + 1 : at])


def _topics(asked: Asked, named: Sequence[tuple[int, frozenset[str]]]) -> bool:
    """Something is talked about: then its words decide."""
    persons = {word for word in asked.words if meant_by((word,)) == {"person"}}
    return any(not _TALK.match(word) and word not in persons | STOP_WORDS | {"hear", "heard", "sound", "someon"} for word in asked.words)


def _named(words: Sequence[str], own: Mapping[tuple[str, ...], str]) -> Iterator[tuple[int, frozenset[str]]]:
    """(place of its first word, classes) of each thing that is named, the longest name first."""
    at, tokens = 0, [stems(word)[0] if stems(word) else word for word in words]
    while at < len(words):
        for size in (3, 2, 1):
            phrase = tuple(tokens[at : at + size])
            found = meant_by(phrase) or frozenset({own[phrase]} if phrase in own else ())
            if len(phrase) == size and found and not _is_colour(words, at, size):
                yield at, found
                at += size - 1
                break
        at += 1


def _is_colour(words: Sequence[str], at: int, size: int) -> bool:
    """ "orange" before another word is its colour."""
    return size == 1 and words[at] == "orange" and at + 1 < len(words)


def _counts(before: Sequence[str], text: str) -> tuple[int, int | None]:
    """How many at least and at most, from the words before the first thing's name."""
    number = next((int(w) if w.isdecimal() else _NUMBERS[w] for w in reversed(before) if w.isdecimal() or w in _NUMBERS), None)
    if number is None or number > 99:
        return (2, None) if {"several", "many"} & set(before) and "how" not in before else (1, None)
    how = " ".join(text.lower().split())
    if re.search(r"\b(?:at least|or more|no fewer than)\b", how):
        return number, None
    if re.search(r"\bmore than\b", how):
        return number + 1, None
    if re.search(r"\b(?:at most|no more than|up to)\b", how):
        return 1, number
    if re.search(r"\b(?:fewer than|less than)\b", how):
        return 1, number - 1
    return (number, number) if number != 1 or re.search(r"\b(?:only|exactly|just) one\b", how) else (1, None)


def _order(text: str, asked: Asked) -> str:
    if _FEWEST.search(text):
        return "fewest"
    if _FIRST.search(text):
        return "first"
    if _LAST.search(text):
        return "last"
    return "most" if asked.how_many else "best"


def parsed(row: TextRow) -> tuple[int, str]:
    """(count, label)"""
    if row.kind == SPEECH:
        return 1, SPEECH
    match = ROW.fullmatch(row.text)
    assert match is not None  # text is never empty
    return int(match.group(1) or 1), match.group(2)

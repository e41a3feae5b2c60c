"""What people write as a standing question: refused where nothing could match it, and put as a question to the model."""

import re

from footage.errors import ConfigError

QUOTED = re.compile(r"[\"“”«»][^\"“”«»]{2,}[\"“”«»]")
_CAPITALS = re.compile(r"\b[A-Z0-9]*[A-Z]{2}[A-Z0-9]*\b")  # as a sign is written: NO PARKING denies nothing
_DENIES = re.compile(
    r"\b(?:no|not|none|nobody|no-one|nothing|nowhere|never|without|neither|nor|cannot|\w+n['’]t)\b"
    r"|\b(?:is|are|goes|go|went|turned|switched)\s+off\b",
    re.I,
)
_IS_QUESTION = re.compile(r"\?\W*$|^\W*(?:is|are|was|were|do|does|did|can|has|have|when|what|which|who|where|how)\b", re.I)
_THERE = re.compile(r"^there\s+(is|are)\s+(.+)$", re.I)
_SHOWN = re.compile(r"^(.+?)\s+(?:(is|are)\s+(?:there|visible|present|shown|seen|in sight|in view)|appears?|can be seen)$", re.I)
_BE = re.compile(r"^(.+?)\s+(is|are|has|have)\s+(.+)$", re.I)
_TWO = re.compile(r"^((?:an?|the|one)\s.+?)\s+and\s+((?:an?|the|one)\s.+)$", re.I)
_SAYS = re.compile(r"\s+(says?|reads?)\s+", re.I)


def refuse_what_cannot_match(text: str) -> None:
    """Raises ConfigError for no words, and for what is not there: neither an embedding nor a row of text can match that."""
    if not text.strip():
        raise ConfigError("a standing question needs words", hint='such as --alert "a red car is at the gate"')
    denied = _DENIES.search(_CAPITALS.sub(" ", QUOTED.sub(" ", text)))
    if denied:
        raise ConfigError(
            f"the standing question {text!r} is about what is not there ({denied.group()!r}), and only what can be seen or read is matched",
            hint="say what can be seen instead: 'an empty chair', 'a dark room'; words of a sign go into quotation marks",
        )


def questions_of(text: str) -> tuple[str, ...]:
    """As the model is asked; two things that are there at once are asked for one after the other."""
    shown = _SHOWN.match(" ".join(text.split()).rstrip(".!"))
    two = _TWO.match(shown.group(1)) if shown and not _IS_QUESTION.search(text) else None
    return tuple(f"Is there {thing}?" for thing in two.groups()) if two else (question_of(text),)


def question_of(text: str) -> str:
    """ "a red star is there" to "Is there a red star?"; a question as it is."""
    said = " ".join(text.split()).rstrip(".!")
    if _IS_QUESTION.search(said):
        return said if said.endswith("?") else f"{said}?"
    if match := _THERE.match(said):
        return f"{match.group(1).capitalize()} there {match.group(2)}?"
    if match := _SHOWN.match(said):
        return f"{(match.group(2) or 'is').capitalize()} there {match.group(1)}?"
    if match := _BE.match(said):
        return f"{match.group(2).capitalize()} {match.group(1)} {match.group(3)}?"
    said = _SAYS.sub(r" that \1 ", said, count=1)
    return f"Is there {said}?"

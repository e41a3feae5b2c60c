"""What a reply says: which choice, which number, or that there is no answer. Never a guess.

Evidence is weighed in the order of `_RULES`, strongest first: the first rule that finds any decides, and where it finds two
different choices nothing was chosen. Common scorers take the first capital letter of a reply for an answer ("A man ..."), and
some draw a random one; here such a reply stays unparsed.
"""

import re
from collections.abc import Callable, Sequence

from workers.datasets.item import LETTERS

_REASONING = re.compile(r"<think>.*?(?:</think>|\Z)", re.S | re.I)
_CONTAINER = re.compile(r"<answer>(.*?)(?:</answer>|\Z)|\\boxed\{(?:\\text\{)?([^{}]*)\}", re.S | re.I)
_CITATION = re.compile(r"\[\d+\]")
_CLOCK = re.compile(r"(?<!\d)\d{1,3}(?::\d\d)+(?:\.\d+)?")
_WORD = re.compile(r"-?\d+(?:[.,:]\d+)*|\w+|[%+$€£°]")
_NEGATION = re.compile(r"\b(?:not|no|never|neither|nor|without|cannot|instead|rather)\b|n t\b")  # of `_words`: "don t"

# A capital letter that is no article and no pronoun ("A man", "I see"), and no part of a longer word ("A-list", "B's").
_LETTER = r"([A-Z])\b(?![’'\-]\w)(?!(?<=[AI])\s+(?!because\b|since\b|as\b|is\b|or\b|and\b)[a-z])"
_DECLARED = re.compile(
    r"\b(?i:answer|(?:best|correct|right|final)\s+(?:option|choice))\b(?:\s+(?i:is|would\s+be|should\s+be|must\s+be))?"
    r"[\W_]{0,6}(?:(?i:option|choice)[\W_]{1,4})?" + _LETTER
)
_OTHER = re.compile(r"[\W_]{0,4}(?:(?i:or|and)\b|[/,&])[\W_]{0,4}" + _LETTER)
_ONLY_LETTER = re.compile(
    r"[\W_]*(?:(?:the|my)\s+)?(?:(?:best|correct|right|final)\s+)?(?:(?:answer|option|choice)\b)?\s*(?:is\b)?[\W_]*([A-Z])[\W_]*", re.I
)
_LONE = re.compile(r"[\W_]*([A-Z])[\W_]*")
_LABEL = re.compile(
    r"[\W_]*([A-Z])(?:[\W_]*?[.):\]](?=[\s*_]|\Z)|\s+[-–—]\s|\s+(?:is\s+(?:the\s+)?(?:correct|right|best)|because|since)\b)"
)
_NAMED = re.compile(r"\(([A-Z])\)|\b(?i:option|choice)\s+" + _LETTER)

_CAN_NOT = r"(?:can\s*not|can['’]?t|could\s*n[o'’]t)"
_SAY = r"(?:answer|determine|tell|say|know|identify|confirm)"
_START = r"(?:^|[.!?\n])\W{0,8}"
_ABOUT = (  # the question, and not the phone
    r"(?=\W*$|\s*[.,;:!]|\s+(?:(?:the|this|that)\s+question|from|based|because|since|with|given|it|this|that"
    r"|what|who|where|when|which|how|why|whether|if)\b)"
)
_REFUSAL = re.compile(
    "|".join([
        rf"\b(?:i|we)\s+(?:{_CAN_NOT}|(?:am|are)\s+(?:not\s+able|unable)\s+to|do\s*n[o'’]t)\s+{_SAY}\b",
        rf"\b(?:i['’]m|we['’]re)\s+(?:not\s+able|unable)\s+to\s+{_SAY}\b",
        rf"{_START}(?:it\s+is\s+|it['’]s\s+)?(?:unable|impossible|not\s+possible)\s+to\s+{_SAY}\b{_ABOUT}",
        rf"{_START}(?:(?:it|this|that|the\s+(?:answer|question))\s+)?{_CAN_NOT}\s+be\s+(?:answered|determined|known|inferred|told)\b",
        rf"{_START}not\s+(?:\w+\s+)?in\s+the\s+(?:footage|video|recording|clip)\b",
        rf"{_START}not\s+(?:found|mentioned|shown|specified|given|known)\b(?=\W*$|\s*[.,;:!])",
        r"\b(?:not\s+(?:have\s+)?enough|insufficient|no\s+sufficient)\s+(?:information|evidence|context)\b",
    ]),
    re.I,
)  # fmt: skip
_NUMBERS = {word: n for n, word in enumerate("zero one two three four five six seven eight nine ten".split())} | {"once": 1, "twice": 2}


def chosen(text: str, choices: Sequence[str]) -> str | None:
    """The letter of the one choice that a reply names, by letter or by words; None where it names none, or several.

    A refusal chooses the choice that says the same ("Unable to answer"), where there is one.
    """
    said = _said(text)
    for rule in _RULES if said else ():
        if letters := rule(said, choices):
            letter = letters.pop() if len(letters) == 1 else ""
            return letter if letter and letter in LETTERS[: len(choices)] else None
    return None


def is_refusal(text: str) -> bool:
    """The text says that there is no answer ("Not in the footage ...", "I cannot tell"); of a choice: choosing it says so."""
    return bool(_REFUSAL.search(_said(text)))


def number_in(text: str) -> int | None:
    """The one whole number that a reply names, in digits or, without any, in words up to ten; citations and times do not count."""
    said = _CLOCK.sub(" ", _said(text))
    digits = {int(found) for found in re.findall(r"(?<![\w.,])\d{1,9}(?!\w|[.,]\d)", said)}
    words = {_NUMBERS[word] for word in re.findall(r"[a-z]+", said.lower()) if word in _NUMBERS}
    found = digits if re.search(r"\d", said) else words
    return found.pop() if len(found) == 1 else None


def _said(text: str) -> str:
    """The answer itself: no reasoning, no container around it, no citations."""
    text = _REASONING.sub(" ", text.rpartition("</think>")[2] if "</think>" in text else text)
    inside = [tag or box for tag, box in _CONTAINER.findall(text)]
    return _CITATION.sub(" ", inside[-1] if inside else text).strip()


def _only_letter(said: str, choices: Sequence[str]) -> set[str]:
    match = _ONLY_LETTER.fullmatch(said) if len(said) < 60 else None
    if match is None:
        return set()
    letter = match[1].upper()
    if letter in "YN" and [_words(choice) for choice in choices] == ["yes", "no"]:
        letter = "A" if letter == "Y" else "B"
    return {letter}


def _exact_words(said: str, choices: Sequence[str]) -> set[str]:
    return set(_by_words(choices).get(_words(said), ()))


def _declared(said: str, _: Sequence[str]) -> set[str]:
    """ "The answer is B"; the last such sentence counts."""
    declared = list(_DECLARED.finditer(said))
    if not declared:
        return set()
    return _with_other(declared[-1], said)


def _lone_lines(said: str, _: Sequence[str]) -> set[str]:
    lines = said.splitlines()
    return {match[1] for line in (lines[0], lines[-1]) if (match := _LONE.fullmatch(line))}


def _labels(said: str, _: Sequence[str]) -> set[str]:
    """ "B. a red car", "**(B)** ...", "B because ..." at the start of a line."""
    return {letter for line in said.splitlines() if (match := _LABEL.match(line)) for letter in _with_other(match, line)}


def _named(said: str, _: Sequence[str]) -> set[str]:
    """ "(B)" or "option B" anywhere."""
    return {bracketed or named for bracketed, named in _NAMED.findall(said)}


def _refused(said: str, choices: Sequence[str]) -> set[str]:
    if not _REFUSAL.search(said):
        return set()
    return {letter for letter, choice in zip(LETTERS, choices, strict=False) if is_refusal(choice)} or {""}


def _leading_words(said: str, choices: Sequence[str]) -> set[str]:
    """ "Yes, because ...", "A red car. It ...": the first sentence is a choice."""
    known = _by_words(choices)
    ends = r"[.,:;!\n]" if set(known) == {"yes", "no"} else r"[.:;!\n]"
    return set(known.get(_words(re.split(ends, said, maxsplit=1)[0]), ()))


def _mentioned(said: str, choices: Sequence[str]) -> set[str]:
    """The one choice whose words stand in the reply; of nested ones ("red", "dark red") the longest. Nothing beside a negation."""
    spoken = f" {_words(said)} "
    there = {words: letters for words, letters in _by_words(choices).items() if f" {words} " in spoken}
    longest = [words for words in there if not any(f" {words} " in f" {other} " for other in there if other != words)]
    rest = spoken
    for words in longest:
        rest = rest.replace(f" {words} ", "  ")
    if _NEGATION.search(rest):
        return set()
    return {letter for words in longest for letter in there[words]}


def _with_other(match: re.Match[str], said: str) -> set[str]:
    """A letter, and the one that is offered beside it ("A or B")."""
    other = _OTHER.match(said, match.end())
    return {match[1]} | ({other[1]} if other else set())


def _by_words(choices: Sequence[str]) -> dict[str, set[str]]:
    """Words to the letters of the choices that have them; of choices that repeat each other, the first."""
    found: dict[str, set[str]] = {}
    seen: set[str] = set()
    for letter, choice in zip(LETTERS, choices, strict=False):
        same = choice.strip().lower()
        if same not in seen and _words(choice):
            found.setdefault(_words(choice), set()).add(letter)
        seen.add(same)
    return found


def _words(text: str) -> str:
    return " ".join(_WORD.findall(text.lower().replace("’", "'")))


_RULES: tuple[Callable[[str, Sequence[str]], set[str]], ...] = (
    _only_letter, _exact_words, _declared, _lone_lines, _labels, _named, _leading_words, _refused, _mentioned,
)  # fmt: skip

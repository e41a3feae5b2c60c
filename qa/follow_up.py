"""Questions that lean on the ones before: completed by rules, so that whoever answers needs no memory of the conversation.

"And the blue one?", "what colour was it?", "how long?", "who said that?", "what happens after that?", "what does the second one say?".
What is complete in itself stays as it is, letter for letter; what was assumed is told. English only.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from footage.colours import NAMES, SYNONYMS, names_in
from footage.questions import Moment, Turn
from footage.timespan import TimeSpan, clock_words
from qa.answerers.prompt import MARK
from qa.noun_phrases import Phrase, phrases
from qa.parse import STOP_WORDS, parse, word_list

LATEST_S = 1e9
"""An end of time for "after that": no recording lasts so long."""
AROUND_S = 5.0
"""What happens "then" or "there" is looked for so far around the moment meant."""
REMEMBERED = 6  # turns back in which a pronoun's thing is looked for
SAID_CHARS = 80
SHORT = 6  # words: longer answers are no name for a thing, longer questions seldom ask for one thing more
_LEAD = re.compile(r"^(?:(?:and|but|or|so|ok(?:ay)?|well|then|now)\b[\s,]*)+(?=\w)", re.I)
_ABOUT = re.compile(r"^(?:(?:what|how) about)\s+", re.I)
_END = (  # of "after that", so that "after that man leaves" is another thing
    r"(?=\s*(?:[?.!,;]|$|(?:in|on|at|with|to|for|from|by|of|about|too|what|who|when|where|which|how|why|is|are|was|were|does|did|do"
    r"|happen\w*)\b))"
)
_THAT = r"(?:that|this|it|then)(?:\s+(?:moment|point|scene|part|time|one))?"
_AFTER = re.compile(
    rf",?\s*\b(?:(?:(?:right|just|shortly|soon|immediately)\s+)?after\s+{_THAT}|from\s+(?:then|there)\s+on|afterwards?){_END},?", re.I
)
_BEFORE = re.compile(
    rf",?\s*\b(?:(?:(?:right|just|shortly)\s+)?before\s+{_THAT}|(?:until|up to)\s+(?:then|that)|beforehand|previously){_END},?", re.I
)
_AROUND = re.compile(
    r",?\s*\b(?:(?:at|in|during)\s+(?:that|this)\s+(?:very\s+)?(?:moment|time|point|scene|part|place|shot)|during\s+(?:that|this|it)"
    rf"|while\s+(?:that|this|it)\s+(?:happens|happened|lasts)|meanwhile){_END},?",
    re.I,
)
_THEN = re.compile(r"^(?:and\s+)?then,?\s+(?=(?:what|who|where|when|which|how|do|does|did|is|was)\b)", re.I)
_LOOSE = re.compile(r"[\s,]+(?:next|afterwards?|later|then|again)\s*\?*$", re.I)
_LOOSE_BEFORE = re.compile(r"[\s,]+(?:before|earlier)\s*\?*$", re.I)
_THERE = re.compile(r"^(?!(?:how many|which|is|are|was|were)\b)(.*\S)\s+there\s*\?*$", re.I)
_ALONE = re.compile(r"(?:next|later|then|again|afterwards?|and after|after|once more)\W*", re.I)
_ALONE_BEFORE = re.compile(r"(?:before|earlier|beforehand|previously)\W*", re.I)
_NOTHING = re.compile(r"(?:what|what else)?(?:'s| is| was| comes| came| happen(?:s|ed)| did happen| does happen)?\W*", re.I)
_HAPPENS = re.compile(r"^What happens at [\d:.]*\d\?$")  # our own words for what was pointed at before
_NTH = re.compile(
    r"(?:\b(?P<where>in|at|during|of|about|from)\s+)?"
    r"(?:\bthe\s+(?P<word>first|second|third|fourth|fifth|last|\d+(?:st|nd|rd|th))\s+(?:one|moment|citation)\b"
    r"|\b(?:citation|moment|number(?=\s*#?\d+\W*$))\s*#?(?P<number>\d+)\b|\[(?P<mark>\d+)\])",
    re.I,
)
_WORDS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "last": -1}
_ASKS = re.compile(
    r"(?P<wh>when|where|why|how(?: (?:long|often|many times|many|much|fast|big))?|which (?:way|direction)|what (?:time|colou?r))"
    r"(?:\s+(?:(?:is|was)\s+(?:that|this)|(?:did|does)\s+(?:that|this|it)\s+happen))?\W*",
    re.I,
)
_ASKS_OF_IT = {
    "what colour": "What colour {is} {thing}?", "what color": "What color {is} {thing}?", "how many": "How many {things} are there?",
    "how big": "How big {is} {thing}?", "how fast": "How fast {does} {thing} move?", "which way": "Which way {does} {thing} move?",
    "which direction": "Which direction {does} {thing} move?",
}  # fmt: skip
_AUXILIARY = r"(?:is|are|was|were|do|does|did|can|could|has|have|had|will|would)"
_ADVERBIAL = re.compile(
    rf"^(?:when|where|why|how(?: (?:long|often|many times|fast))?|which way|(?:at )?what time)\s+(?={_AUXILIARY}\b)", re.I
)
_IS_IT = re.compile(rf"^{_AUXILIARY}\b", re.I)
_QUOTE = re.compile(r"[\"“«][^\"“”«»]+[\"”»]")
_OPEN = re.compile(r"^(?:who|what|which)\b", re.I)
_SAID = re.compile(r"^(?P<who>who)\s+(?P<verb>says?|said|wrote|asked|mention(?:s|ed)|is saying|was saying)\s+(?:that|this|it|so)\W*$", re.I)
_PLACED = re.compile(r"^(in|on|at|near|behind|under|with|by|next to|inside|outside|during|around)\s+\S", re.I)
_ONE = re.compile(
    r"\b(?P<article>the|a|an|that|this|those|these|which|another)\s+(?P<which>(?:[\w-]+\s+){0,2}?)(?P<one>ones?)\b(?!\s+(?:of|time|day)\b)",
    re.I,
)
_PRONOUN = re.compile(r"\b(it|its|he|she|him|his|her|hers|they|them|their|theirs|that|this|those|these)\b(?!['’]s\b)", re.I)
_POINTING = re.compile(rf"(?:^(?:\w+\s+){{0,2}}{_AUXILIARY}\s+|\b(?:of|on|in|to|for|with|about)\s+)$", re.I)
_NO_THING = re.compile(  # "it" of the weather, the hour, and of the whole picture: "when is it blue?"
    r"\b(?:time|day|date|year|weather|season)\s+(?:is|was)\s+it\b|\bit\s+(?:rain|snow|hail)\w*|\b(?:is|was|does|did)\s+it\s+(?:ever\s+)?"
    r"(?:rain\w*|snow\w*|hail\w*|dark|light|day\w*|night\w*|sunny|cloudy|foggy|windy|morning|evening|noon|winter|summer|spring|autumn"
    r"|possible|true|take\s+(?:to|for|until))\b"
    rf"|^when\s+(?:is|was)\s+it\s+(?:ever\s+)?(?:{'|'.join([*NAMES, *SYNONYMS])})\b",
    re.I,
)
_POSSESSIVE = frozenset({"its", "his", "their", "her"})
_POINTERS = frozenset({"that", "this", "those", "these"})
_QUALITIES = frozenset("old young big small large little tall short long left right upper lower top bottom new other dark bright".split())

Place = tuple[TimeSpan, str]
"""A stretch of time, and the recording's id."""


@dataclass(frozen=True, slots=True)
class Understood:
    """A question that is complete in itself, and where to look for its answer."""

    text: str
    span: TimeSpan | None = None
    recording_id: str = ""
    note: str = ""
    """For people: what was assumed, or why nothing could be; "" where the question was taken as it stands."""


def understood(text: str, earlier: Sequence[Turn]) -> Understood:
    """A question completed from the turns before it, oldest first; unchanged where it leans on nothing, or on what is not there."""
    quotes = _QUOTE.findall(text)
    places = (f'"quote{n}"' for n in range(len(quotes)))
    asked = " ".join(_QUOTE.sub(lambda _: next(places), text).split())  # what is quoted is no part of the question's own words
    if not earlier or not asked or parse(asked).sought:
        return Understood(text)
    try:
        rest, where = _where(asked, next((turn for turn in reversed(earlier) if turn.citations), earlier[-1]))
    except LookupError as missing:
        return Understood(text, note=str(missing))
    leans, complete = _filled(rest, earlier, where)
    if where is None and leans and earlier[-1].span is not None:
        where = earlier[-1].span, earlier[-1].recording_id
    if where is None and complete == asked:
        return Understood(text)
    complete = _LEAD.sub("", complete)
    for n, quote in enumerate(quotes):
        complete = complete.replace(f'"quote{n}"', quote)
    return _noted(f"{complete[:1].upper()}{complete[1:]}", where)


def _noted(complete: str, where: Place | None) -> Understood:
    note = f'understood as "{complete}"'
    return Understood(complete, *where, f"{note}, {_when(where[0])}") if where else Understood(complete, note=note)


def _when(span: TimeSpan) -> str:
    if span.end_s >= LATEST_S:
        return f"after {clock_words(span.start_s)}"
    return f"{clock_words(span.start_s)}-{clock_words(math.ceil(span.end_s))}"


def _where(asked: str, last: Turn) -> tuple[str, Place | None]:
    """(the question without the words that point at a time, the time): "after that", "then", "the second one".

    Raises:
        LookupError: the moment that they point at is not there.
    """
    if (nth := list(_NTH.finditer(asked))) and len(nth) == 1:
        return _nth(asked, nth[0], last)
    if said := _SAID.match(asked):
        quote = _quoted(last)
        return (f'{said["who"]} {said["verb"]} "{quote}"?', _beside(last, "")) if quote else (asked, None)
    bare = _LEAD.sub("", asked)
    for side, found in (("after", _THEN), ("after", _AFTER), ("before", _BEFORE), ("", _AROUND)):
        if match := found.search(asked):
            return _without(asked, match), _beside(last, side)
    if (
        _ALONE.fullmatch(bare)
        or _ALONE_BEFORE.fullmatch(bare)
        or re.fullmatch(r"(?:and\s+)?then(?:\s+what)?\W*|what\s+(?:then|next)\W*", asked, re.I)
    ):
        rest = "What happens?" if "what" in bare.lower() else ""
        return rest, _beside(last, "before" if _ALONE_BEFORE.fullmatch(bare) else "after")
    return _loosely(asked, last)


def _loosely(asked: str, last: Turn) -> tuple[str, Place | None]:
    """Words at the end that point at a time only where the question is about nothing that it names: "what does he do next?"."""
    match, side = _LOOSE.search(asked), "after"
    if match is None:
        match, side = _LOOSE_BEFORE.search(asked), "before"
    if match and not _names_something(asked[: match.start()]):
        is_still = "then" in match.group().lower() and re.search(r"\b(?:is|are|was|were)\b", asked, re.I)
        return f"{_without(asked, match)}?", _beside(last, "" if is_still else side)
    there = _THERE.match(asked)
    if there and not _names_something(there[1]):
        return f"{there[1]}?", _beside(last, "")
    return asked, None


def _names_something(text: str) -> bool:
    return any(phrase.is_thing and phrase.article not in _POSSESSIVE for phrase in phrases(text))


def _nth(asked: str, match: re.Match[str], last: Turn) -> tuple[str, Place]:
    one = _cited(match, last)
    if one is None:
        there = len(last.citations)
        count = f"{there or 'no'} {'moment' if there == 1 else 'moments'}"
        raise LookupError(f"the last answer points at {count}: {match.group().strip()!r} was not taken into account")
    bare = _ABOUT.sub("", _LEAD.sub("", asked))
    if _NTH.fullmatch(bare.rstrip("?!. ")):
        return "", (one.span, one.recording_id)
    rest = _without(asked, match) if match["where"] else f"{asked[: match.start()]}it{asked[match.end() :]}"
    return rest, (one.span, one.recording_id)


def _cited(match: re.Match[str], last: Turn) -> Moment | None:
    """The second one is the second that the answer names, [2] and number 2 what it names so."""
    if number := match["number"] or match["mark"]:
        return dict(zip(marks(last.answer, len(last.citations)), last.citations, strict=False)).get(int(number))
    word = match["word"].lower()
    place = _WORDS[word] if word in _WORDS else int(re.sub(r"\D", "", word))
    return next(iter(last.citations[-1:] if place == -1 else last.citations[place - 1 : place] if place else ()), None)


def marks(text: str, count: int) -> list[int]:
    """The numbers by which an answer's text names its `count` citations, in their order; marks that point at nothing are above them."""
    named = dict.fromkeys(int(mark) for mark in MARK.findall(text) if int(mark))
    pointing = set(sorted(named)[:count])
    return [mark for mark in named if mark in pointing]


def _beside(last: Turn, side: str) -> Place:
    """After, before or around the moment that the last answer points at first."""
    if not last.citations:
        raise LookupError("the last answer points at no moment: the question was taken as it stands")
    one: Moment = last.citations[0]
    if side == "after":
        return TimeSpan(one.span.end_s, LATEST_S), one.recording_id
    if side == "before":
        if one.span.start_s <= 0:
            raise LookupError("the moment meant is the very beginning: nothing comes before it")
        return TimeSpan(0.0, one.span.start_s), one.recording_id
    return TimeSpan(max(0.0, one.span.start_s - AROUND_S), one.span.end_s + AROUND_S), one.recording_id


def _quoted(last: Turn) -> str:
    """What was written or said where the last answer points first."""
    text = last.citations[0].text.partition(" | ")[0].replace('"', "'") if last.citations else ""
    return text if len(text) <= SAID_CHARS else text[:SAID_CHARS].rpartition(" ")[0]


def _without(asked: str, match: re.Match[str]) -> str:
    rest = f"{asked[: match.start()]} {asked[match.end() :]}".strip(" ,")
    rest = " ".join(rest.split()).replace(" ?", "?")
    return f"{rest[:1].upper()}{rest[1:]}" if asked[:1].isupper() else rest


def _filled(rest: str, earlier: Sequence[Turn], where: Place | None) -> tuple[bool, str]:
    """(whether it takes the last question over, the complete question)"""
    last, bare = earlier[-1], _LEAD.sub("", rest).strip()
    core = _ABOUT.sub("", bare).strip()
    if not re.search(r"\w", core) or core.lower().rstrip("?") in ("and", "what about", "how about"):
        return True, _HAPPENS.sub(f"What happens at {_at(where[0])}?", last.question) if where else last.question
    if where is not None and _NOTHING.fullmatch(bare):
        return False, f"What happens at {_at(where[0])}?"
    if asks := _ASKS.fullmatch(bare):
        return True, _asking(" ".join(asks["wh"].split()), earlier)
    is_fragment = bool(_ABOUT.match(bare)) or (bare != rest and not _is_sentence(bare)) or bool(_ONE.fullmatch(core.rstrip("?!. ")))
    if is_fragment and (swapped := _swapped(core.rstrip("?!. "), earlier)):
        return True, swapped
    return False, _resolved(rest, earlier)


def _at(span: TimeSpan) -> str:
    """A clock time inside a stretch, to a tenth: where an open one begins, shortly before where one ends that begins with the recording."""
    is_open = span.end_s >= LATEST_S
    time_s = span.start_s if is_open else max(0.0, span.end_s - 1.0) if span.start_s == 0 else span.middle_s
    tenths = math.ceil(time_s * 10 - 1e-6)
    return clock_words(tenths / 10) + (f".{tenths % 10}" if tenths % 10 else "")


def _is_sentence(text: str) -> bool:
    return bool(re.match(rf"(?:who|whom|whose|what|which|when|where|why|how|{_AUXILIARY})\b", text, re.I)) and len(text.split()) > 2


def _asking(wh: str, earlier: Sequence[Turn]) -> str:
    """The last question, asked for something else: "how long?" of "When is the sign lit?" is "How long is the sign lit?"."""
    question, low = earlier[-1].question.rstrip("?!. "), wh.lower()
    wh = f"{wh[:1].upper()}{wh[1:].lower()}"
    thing = _thing(earlier, "")
    if low in _ASKS_OF_IT and thing is not None:
        many = thing.is_plural
        name = thing.definite
        things = " ".join(thing.words) + ("" if many else "s")
        said = {"is": "are" if many else "is", "does": "do" if many else "does", "thing": name, "things": things}
        return _ASKS_OF_IT[low].format(**said)
    if found := _ADVERBIAL.match(question):
        return f"{wh} {question[found.end() :]}?"
    if _IS_IT.match(question):
        return f"{wh} {question[:1].lower()}{question[1:]}?"
    return f"{question}, and {low}?"


def _swapped(core: str, earlier: Sequence[Turn]) -> str:
    """The last question about something else: "and the dog?", "and in the kitchen?", "and green?", "the blue one?"; "" where none is."""
    question = earlier[-1].question
    if one := _ONE.match(core):
        thing = _thing([earlier[-1]], "", stated=False)
        return _put(question, thing, _one(one, thing) + core[one.end() :]) if thing else ""
    colours = [w for w in re.findall(r"[\w-]+", question) if names_in(w)]
    colour = re.sub(r"\s+ones?$", "", core, flags=re.I)
    if names_in(colour) and len(colour.split()) == 1 and colours:
        return re.sub(rf"\b{re.escape(colours[0])}\b", colour, question, count=1)
    if placed := _PLACED.match(core):
        old = re.search(rf"\s{placed[1]}\s+(?:the|a|an)\s[^,?]+", question, re.I)
        return (question[: old.start()] if old else question.rstrip("?!. ")) + f" {core}?"
    named = [p for p in phrases(f"about {core}") if p.is_thing]
    thing = next((p for p in phrases(question) if p.is_thing and bool(named) and p.is_person == named[0].is_person), None)
    thing = thing or _thing([earlier[-1]], "", stated=False)
    return _put(question, thing, core) if thing and named and len(core.split()) <= 8 else ""


def _put(question: str, thing: Phrase, new: str) -> str:
    """A question with something else in the place of a phrase, and of what describes it; a place ("in the kitchen") stays where it was."""
    stays = not thing.tail or (thing.tail.startswith(("in ", "on ", "at ", "inside ")) and len(phrases(f"at {new}")) == 1)
    end = thing.end if stays else thing.end + 1 + len(thing.tail)
    return f"{question[: thing.start]}{new}{question[end:]}"


def _resolved(text: str, earlier: Sequence[Turn]) -> str:
    """Pronouns and "one" replaced by what they stand for; a pronoun that follows a name in its own question is left to it."""
    one = _ONE.search(text)
    if one and not _names_something(text[: one.start()]) and (thing := _thing(earlier, "")):
        return f"{text[: one.start()]}{_one(one, thing)}{text[one.end() :]}"
    pronouns = [match for match in _PRONOUN.finditer(text) if _stands_for(text, match)]
    for match in pronouns:
        if named := _thing(earlier, match[1].lower()):
            return _said(text, match, named)
    question = earlier[-1].question.rstrip("?!. ")
    if pronouns and len(text.split()) <= SHORT and _OPEN.match(question):  # what it is the last question itself asks
        return f"{question}, and {text[:1].lower()}{text[1:]}"
    return text


def _one(match: re.Match[str], thing: Phrase) -> str:
    """The thing in the place of "one": of "the red car", "the blue one" is the blue car, "the big one" the big car."""
    qualities, article = match["which"].split(), match["article"]
    if article.lower() in ("which", "another"):
        return " ".join([article, *qualities, thing.words[-1]])
    kept = [word for word in thing.words[:-1] if not names_in(word)]
    if not names_in(match["which"]):
        kept = [word for word in kept if word.lower() not in _QUALITIES]
    article = "" if match["one"].lower() == "ones" and not thing.article else "the "
    return article + " ".join([*qualities, *kept, thing.words[-1]])


def _stands_for(text: str, match: re.Match[str]) -> bool:
    """A pronoun stands for something of an earlier question."""
    before, after, low = text[: match.start()], text[match.end() :], match[1].lower()
    if _NO_THING.search(text) or _names_something(before):
        return False
    if low in _POINTERS:  # not "the man that runs", "say that he left", "that car"
        return bool(_POINTING.search(before)) and bool(re.match(r"\W*$|\s+(?:a|an|the|in|on|from|called|made)\b", after))
    return True


def _said(text: str, match: re.Match[str], thing: Phrase) -> str:
    low, after = match[1].lower(), text[match.end() :]
    is_owner = low in _POSSESSIVE and bool(re.match(r"\s+\w", after)) and not (low == "her" and _ends_phrase(after))
    owner = replace(thing, tail="").definite + ("'" if thing.is_plural else "'s")
    name = owner if is_owner else thing.definite
    name = f"{name[:1].upper()}{name[1:]}" if match.start() == 0 else name
    return f"{text[: match.start()]}{name}{after}"


def _ends_phrase(after: str) -> bool:
    words = word_list(after)
    return not words or words[0] in STOP_WORDS


def _thing(earlier: Sequence[Turn], pronoun: str, *, stated: bool = True) -> Phrase | None:
    """What a pronoun stands for: the first fitting thing of the newest question that has one, else what its short answer names."""
    for turn in reversed(earlier[-REMEMBERED:]):
        every = [p for p in phrases(turn.question) if p.is_thing and p.article not in _POSSESSIVE]
        named = [p for n, p in enumerate(every) if n == 0 or not every[n - 1].tail]  # "the kitchen" only says which man is meant
        words = MARK.split(turn.answer)[0].strip(" .,;:") if stated else ""
        if 0 < len(words.split()) <= SHORT and "\n" not in turn.answer:
            named += [p for p in phrases(f"at {words}") if p.is_thing and (p.article or p.is_name)]
        fitting = [p for p in named if p.fits(pronoun)]
        if pronoun in ("they", "them", "their", "theirs", "those", "these"):
            fitting.sort(key=lambda p: not p.is_plural)
        if fitting:
            return fitting[0]
    return None

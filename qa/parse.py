"""A question taken apart by rules: what to look for, what kind of answer, where on the picture, in which order.

It always works, in about a millisecond and without a model; a language model may later refine what it finds.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from footage.colours import names_in
from footage.timespan import parse_clock

_FUNCTION = """
a about above after all am an and any appear appears are as at be been before being below between both but by can come comes
contain contains could did directly do does doing down during each end ever exactly find finds first for from get give given go
goes had has have he her here him his how i if in into is it its itself just last like look looks made make makes many me mention
mentioned more most much my named near next no not now of off often on once one only or other our out over place put say says
second see seen shall she should show showing shown shows so some still such tell than that the their them then there these they
thing things third this those through time times to under until up us use used user uses very was we were what when where whether
which while who whom whose why will with word words would you your video footage film clip recording scene screen picture image
frame camera text visible read reads written write called kind kinds type types typed typing sort name names besides given main
displayed display two three four five six seven eight nine ten
""".split()
STOP_WORDS = frozenset(_FUNCTION)
PARTS = 4  # at most, of one question

# What the answer looks like, told from the question's own words: (words in the question, pattern of an answer).
ANSWER_TYPES: tuple[tuple[str, str, str], ...] = (
    ("url", r"\b(?:web ?)?(?:address|url|link|site|website|domain)\b",
     r"https?:/|\bwww\.|\blocalhost\b|\b[\w-]{2,}\.(?:com|org|net|io|dev|edu|gov|co|de|ai|app)\b"),
    ("file", r"\bfile ?names?\b|\bfiles?\b", r"\b[\w-]{2,}\.(?!com\b|org\b|net\b|io\b)[a-z][a-z0-9]{0,4}\b"),
    ("version", r"\bversions?\b|\brelease\b", r"\bv?\d+\.\d+(?:\.\d+)*\b"),
    ("number", r"\bnumbers?\b|\bhow many\b|\bhow much\b|\bscore\b|\bcount\b", r"#?\d"),
    ("money", r"\bprices?\b|\bcosts?\b|\bpay\b", r"[$€£¥]\s?\d|\d\s?(?:[$€£¥]|usd|eur)\b"),
    ("clock", r"\bwhat time\b|\bclock\b|\btimestamp\b", r"\b\d{1,2}:\d{2}\b"),
    ("date", r"\bdates?\b|\bwhich (?:day|month|year)\b", r"\b(?:19|20)\d{2}\b|\b\d{1,2}[./-]\d{1,2}\b"),
    ("email", r"\be-?mail\b", r"\b[\w.+-]+@[\w-]+\.\w+"),
    ("percent", r"\bper ?cent(?:age)?\b", r"\d\s?%"),
    ("function", r"\b(?:function|method|procedure|call)\b", r"\b[A-Za-z_][\w.]{2,}\s?\("),
    ("command", r"\bcommands?\b", r"(?:^|[$>#%❯]\s?|\$)\s*[a-z][\w.-]+(?:\s+-{0,2}[\w./@=:-]+){1,8}\s*$"),
    ("question", r"\bquestions?\b", r"\?\s*$|(?i:^\W*(?:what|who|whose|when|where|which|how|why)\b)"),
    ("warning", r"\bwarnings?\b|\balarms?\b|\balerts?\b", r"(?i:alarm|warn|alert|danger|caution|error|attention)"),
)  # fmt: skip
_TEXT = re.compile(
    r"\b(?:text|words?|captions?|titles?|headings?|headlines?|subtitles?|signs?|labels?|logos?|written|writes?|types?|typed|typing"
    r"|says?|said|spoken|reads?|names?|named|called|spell\w*|buttons?|menu|breadcrumb|menus?|items?|letters?|digits?|quoted?|prints?|printed"
    r"|reported|messages?)\b",
    re.I,
)
_ORDER = {
    "first": 0,
    "initially": 0,
    "second": 1,
    "third": 2,
    "fourth": 3,
    "fifth": 4,
    "last": -1,
    "final": -1,
    "finally": -1,
}
_PLACES = {
    "top": (None, 0.0), "upper": (None, 0.0), "bottom": (None, 1.0), "lower": (None, 1.0), "left": (0.0, None), "right": (1.0, None),
    "middle": (0.5, 0.5), "centre": (0.5, 0.5), "center": (0.5, 0.5),
}  # fmt: skip
_FORM = frozenset(  # words about how the answer looks, not about what it says
    "title titles heading headings headline header caption captions label letter letters digit digits large big huge small edge corner"
    " side button buttons web page pages website app window browser".split()
)
CONTEXT = re.compile(r"\s*(?:in|on|at|during|inside|within) (?:the|a|an|this|that) [^,?]{3,80},(?=\s)", re.I)
_EITHER = re.compile(r",\s*((?:the|an?)\s[^,?]+?)\s+or\s+((?:the|an?)\s[^,?]+?)\s*\?*\s*$", re.I)
_JOINT = re.compile(  # between two parts; "and" joins what begins like a noun phrase or ends like a verb, so "black and white" stays one
    r"[,;]?\s+(?:(?:and\s+)?then|while|whilst|when|before|after|until|as soon as|followed by|the ones? (?:with|that|who|which|in|on))\b"
    r"|[,;]?\s+(?:and|or)\s+(?=(?:the|an?|another|some|someone|his|her|its|their|this|that|these|those|\w{2,}ing|\w{2,}[^\Ws]s)\b)",
    re.I,
)
_FRAME = re.compile(
    r"^\W*(?:(?:what|which|who|whom|whose|where|when|why|how|many|much|often|times?|does|do|did|is|are|was|were|can|could|has|have|had|there"
    r"|and|or|then|happens?|happened|colou?r)\b\W*)+|(?:\W{1,4}(?:do|does|did|is|are|was|were|happen|there|and|or))+\W*$",
    re.I,
)
IS_IT = re.compile(r"\W*(?:do|does|did|is|are|was|were|can|has|have)\b", re.I)
HOW_OFTEN = re.compile(r"\bhow (?:many times|often)\b", re.I)
_HOW_MANY = re.compile(r"\bhow many\b(?! times)", re.I)
_WHICH_WAY = re.compile(r"\b(?:which way|(?:what|which) direction|where (?:does|do|did|is|are) [^,?]*\b(?:mov|go|head)\w* to)\b", re.I)
_BESIDE = re.compile(r"\b(before|after)\s+(?:the|an?|this|that)\s", re.I)
_LARGE = re.compile(r"\b(?:titles?|headings?|headlines?|large|big|huge|headers?|banners?)\b", re.I)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a question asks for."""

    words: tuple[str, ...]
    """Content words, stemmed, in order, once each."""
    context: tuple[str, ...] = ()
    """Words of a leading "In the ..., ": they tell where to look, and are not expected in the answer."""
    phrases: tuple[str, ...] = ()
    """What stands in quotation marks."""
    colours: tuple[str, ...] = ()
    wants_text: bool = False
    """The answer is something written or said."""
    names_text: bool = False
    """The question itself speaks of text: a sign, a title, words; "how many" alone, whose answer is a number, does not."""
    is_about: bool = False
    """What is said about something: then the something must be named."""
    wants_time: bool = False
    """The answer is a time."""
    answer_types: tuple[str, ...] = ()
    """Names in ANSWER_TYPES."""
    place: tuple[float | None, float | None] | None = None
    """Where on the picture: x, y as shares; None where it does not matter."""
    is_large: bool = False
    order: int | None = None
    """0 first, 1 second, -1 last ..."""
    at_s: float | None = None
    """The time that the question names: "at 1:15", "at 12 s"."""
    how_often: bool = False
    """The answer is a number of moments."""
    how_many: bool = False
    """The answer is a number of things that are there at once."""
    which_way: bool = False
    """The answer is a direction in which something moves."""
    beside: str = ""
    """"before" or "after": the answer lies on that side of what the question names."""
    sought: tuple[str, ...] = ()
    """What to look for one by one, where the question names two: "Which comes first, the red car or the bus?"."""
    parts: tuple[str, ...] = ()
    """What to look for beside the whole, where it names several things: "a dog", "a cat eats" of "Is there a dog while a cat eats?"."""


def parse(text: str) -> Asked:
    """Total: every text gives an Asked."""
    quoted = tuple(q.strip() for q in re.findall(r"[\"“”«»]([^\"“”«»]{2,})[\"“”«»]", text))
    lower = text.lower()
    plain = re.findall(r"\w+", lower)
    types = tuple(name for name, asks, _ in ANSWER_TYPES if re.search(asks, lower))
    wants_text = bool(_TEXT.search(text)) or (bool(types) and not {"clock"} >= set(types))
    either, beside = _EITHER.search(text), _BESIDE.search(text)
    cues = STOP_WORDS | _FORM | set(_ORDER) | set(_PLACES) | set(names_in(text)) if wants_text else STOP_WORDS
    where = CONTEXT.match(lower)
    return Asked(
        words=_content(lower[where.end() :] if where else lower, cues),
        context=_content(where.group(), cues) if where else (),
        phrases=quoted,
        colours=names_in(text),
        wants_text=wants_text,
        names_text=bool(_TEXT.search(text)),
        is_about=bool(re.search(r"\b(?:say|says|said|speak|speaks|spoken|mention\w*|talks?|talking|tells?|told)\b", lower)),
        wants_time=bool(re.search(r"\bwhen\b|\bat (?:what|which) (?:time|moment|point)\b|\bhow long\b", lower)),
        answer_types=types,
        place=_place(plain),
        is_large=bool(_LARGE.search(text)),
        at_s=_named_time(lower),
        order=next((_ORDER[w] for w in plain if w in _ORDER), None),
        how_often=bool(HOW_OFTEN.search(text)),
        how_many=bool(_HOW_MANY.search(text)),
        which_way=bool(_WHICH_WAY.search(text)),
        beside=beside.group(1).lower() if beside else "",
        sought=either.groups() if either else (),
        parts=() if either or (beside and not IS_IT.match(text)) else _parts(text, quoted),
    )


def _parts(text: str, quoted: Sequence[str]) -> tuple[str, ...]:
    """What stands in quotation marks, and each piece between joints that has a word to look for; none where that is one alone.

    Decoupling a question into what it names is that of "QuoTA: Query-oriented Token Assignment via CoT Query Decouple for Long Video
    Comprehension" (2025), which asks a language model; ours are rules.
    """
    rest = re.sub(r"[\"“”«»][^\"“”«»]{2,}[\"“”«»]", " ", text[where.end() :] if (where := CONTEXT.match(text)) else text)
    pieces = [_FRAME.sub("", piece).strip(" \t\n,;:.?!") for piece in _JOINT.split(" ".join(rest.split()))]
    named = [piece for piece in pieces if any(w not in STOP_WORDS and not w.isdecimal() for w in word_list(piece))]
    found = tuple(dict.fromkeys([*filter(None, quoted), *named]))[:PARTS]
    return found if len(found) > 1 else ()


def _content(text: str, cues: frozenset[str] | set[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(stem(w) for w in word_list(text) if w not in cues))


def _named_time(lower: str) -> float | None:
    match = re.search(r"\bat (?:about |around |second )?(\d+(?::\d{2}){1,2}(?:\.\d+)?|\d+(?:\.\d+)?(?= ?s(?:ec|econds?)?\b))", lower)
    try:
        return parse_clock(match.group(1)) if match else None
    except ValueError:  # 1:75 is no time
        return None


def _place(words: list[str]) -> tuple[float | None, float | None] | None:
    found = [_PLACES[w] for w in words if w in _PLACES]
    if not found:
        return None
    xs, ys = [x for x, _ in found if x is not None], [y for _, y in found if y is not None]
    return (xs[0] if xs else None, ys[0] if ys else None)


def word_list(text: str) -> list[str]:
    """Lower-case words; camelCase, snake_case, paths and addresses also in their parts."""
    words = []
    for token in re.findall(r"[^\W_]+(?:[._'’-][^\W_]+)*", re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", text)):
        parts = re.split(r"[._'’-]", token)
        words.append(token.lower())
        if len(parts) > 1:  # "to-do" is met by "todo", "to-do" and "to do"
            words += [*(p.lower() for p in parts), "".join(parts).lower()]
    return words


def stem(word: str) -> str:
    """A light English stem, so that plurals and verb forms meet; safe on names and numbers."""
    for ending in ("ies", "ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            return word[: -len(ending)] + ("y" if ending == "ies" else "")
    return word[:-1] if word.endswith("e") and len(word) > 4 else word

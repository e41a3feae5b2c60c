"""How the world is asked about: phrasings by kind of question, and what must be in sight for each to have an answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nano.scene import Event
from nano.words import COLOURS, NUMBERS, SHAPES, Kind

Q_KINDS = ("existence", "colour", "shape", "count", "direction", "text", "when", "order", "times", "absent")

PHRASES: dict[str, tuple[str, ...]] = {
    "existence": ("Is there {a}?", "Does {a} appear?", "Can {a} be seen?"),
    "colour": ("What colour is the {shape}?", "What color is the {shape}?"),
    "colour-beside": ("What colour is the {shape} next to {b}?", "What color is the {shape} beside {b}?"),
    "shape": ("What shape is the {colour} thing?", "What is the {colour} thing?"),
    "shape-beside": ("What shape is the {colour} thing next to {b}?", "What is the {colour} thing beside {b}?"),
    "count": ("How many {many} are there?", "How many {many} are there at once?"),
    "direction": ("Which way does {the} move?", "In which direction does {the} move?", "Where does {the} move to?"),
    "text": ("What does the sign say?", "What is written on the screen?"),
    "text-beside": ("What is written next to {the}?", "What does the sign next to {the} say?"),
    "when": ("When does {the} appear?", "When is {the} there?", "When can {the} be seen?"),
    "first": ("Which comes first, {the} or {b}?", "Which appears first, {the} or {b}?"),
    "after": ("What comes after {the}?", "What appears after {the}?"),
    "before": ("What comes before {the}?", "What appears before {the}?"),
    "times": ("How many times does {a} appear?", "How often does {a} appear?"),
}


def named(kind: Kind) -> str:
    return f"{kind[0]} {kind[1]}"


def a(kind: Kind) -> str:
    return f"{'an' if kind[0] == 'orange' else 'a'} {named(kind)}"


def the(what: Kind | str) -> str:
    """the red circle; a text stands for the sign that says it: the word LAMP, the number 42"""
    if isinstance(what, tuple):
        return f"the {named(what)}"
    return f"the {'number' if what.isdigit() else 'word'} {what}"


def many(kind: Kind) -> str:
    return named(kind) + ("es" if kind[1] == "cross" else "s")


def number_word(count: int) -> str:
    return NUMBERS[count] if count < len(NUMBERS) else str(count)


def phrase(form: str, choice: int, **words: str) -> str:
    """One phrasing of a form of question, filled in."""
    options = PHRASES[form]
    return options[choice % len(options)].format(**words)


@dataclass(frozen=True, slots=True)
class Target:
    """What a text is about: all of it must be in sight for the text to match."""

    kinds: tuple[Kind, ...] = ()
    colours: tuple[str, ...] = ()
    shapes: tuple[str, ...] = ()
    sign: str | None = None
    """None: nothing is asked of signs; "": any sign."""

    def matches(self, sight: "Sight") -> bool:
        here = all(k in sight.kinds for k in self.kinds)
        here = here and all(c in sight.colours for c in self.colours) and all(s in sight.shapes for s in self.shapes)
        return here and (self.sign is None or (sight.sign is not None and self.sign in ("", sight.sign)))


@dataclass(frozen=True, slots=True)
class Sight:
    """What can be seen of an event at one time, or in all of it."""

    kinds: Mapping[Kind, int]
    sign: str | None

    @property
    def colours(self) -> set[str]:
        return {k[0] for k in self.kinds}

    @property
    def shapes(self) -> set[str]:
        return {k[1] for k in self.kinds}

    @classmethod
    def of(cls, event: Event | None, at_s: float | None = None) -> "Sight":
        if event is None:
            return cls({}, None)
        counts: dict[Kind, int] = {}
        for t in event.things:
            if at_s is None or t.start_s <= at_s < t.end_s:
                counts[t.kind] = counts.get(t.kind, 0) + 1
        s = event.sign
        return cls(counts, s.text if s and (at_s is None or s.start_s <= at_s < s.end_s) else None)


def text_about(rng: Any, sight: Sight) -> tuple[str, Target]:
    """A caption or question at random that this sight matches, for teaching retrieval."""
    kinds, n = list(sight.kinds), int(rng.integers(0, 6))
    draw = rng.random()
    if sight.sign is not None and (draw < 0.45 or not kinds):
        if rng.random() < 0.15:
            return phrase("text", n), Target(sign="")
        word = the(sight.sign)
        return (word if rng.random() < 0.4 else phrase("when", n, the=word)), Target(sign=sight.sign)
    if not kinds:
        return "nothing", Target(kinds=(("", ""),))
    kind = kinds[int(rng.integers(len(kinds)))]
    others = [k for k in kinds if k != kind]
    if others and draw > 0.8:
        other = others[int(rng.integers(len(others)))]
        form = str(rng.choice(["colour-beside", "shape-beside", "pair", "first"]))
        if form == "pair":
            return f"{a(kind)} and {a(other)}", Target((kind, other))
        if form == "first":
            return phrase("after", n, the=the(kind)), Target((kind,))
        if form == "colour-beside":
            return phrase(form, n, shape=other[1], b=the(kind)), Target((kind,), shapes=(other[1],))
        return phrase(form, n, colour=other[0], b=the(kind)), Target((kind,), colours=(other[0],))
    if sight.sign is not None and draw > 0.7:
        return phrase("text-beside", n, the=the(kind)), Target((kind,), sign="")
    if draw < 0.55:
        form = str(rng.choice(["existence", "when", "direction", "count", "times"]))
        return phrase(form, n, a=a(kind), the=the(kind), many=many(kind)), Target((kind,))
    if draw < 0.6:
        return phrase("colour", n, shape=kind[1]), Target(shapes=(kind[1],))
    if draw < 0.65:
        return phrase("shape", n, colour=kind[0]), Target(colours=(kind[0],))
    return (a(kind) if rng.random() < 0.5 else named(kind)), Target((kind,))


_MORE = (
    "a an and or the word number sign red yes no none nothing stays moves bounces comes closer goes away meets shows appears "
    "then with in to left right up down small medium large"
)


def lexicon() -> list[str]:
    """Every word of the phrasings and answers, as the tokenizer's whole words."""
    filled = " ".join(p.format(a="a", b="the", the="the", shape="", colour="", many="") for ps in PHRASES.values() for p in ps)
    plurals = [many(("red", s)).split()[1] for s in SHAPES]
    asked = {w.strip("?,.") for w in filled.split()}
    return sorted({*asked, *COLOURS, *SHAPES, *plurals, *NUMBERS, *_MORE.split()} - {""})

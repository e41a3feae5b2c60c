"""Questions about a stretch of the world, each with the only right answer and the events that hold it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from nano.phrases import a, many, named, number_word, phrase, the
from nano.scene import Event, Sign, Thing, cell
from nano.words import COLOURS, COLUMNS, DIRECTIONS, ROWS, SHAPES, Kind, is_held_out, kinds, spelled, words

ABSENT = "none"
ABSENT_FORMS = "when direction count times colour-beside shape-beside text-beside after before colour shape text sign".split()
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked:
    """One question and its truth."""

    kind: str
    """One of phrases.Q_KINDS."""
    text: str
    answer: str
    """In words; ABSENT where the footage does not have it, "" where the times themselves are the answer."""
    rows: tuple[int, ...]
    """The events that hold the answer, as places in the list that was asked about."""
    things: tuple[tuple[float, float], ...] = ()
    """(start_s, end_s) inside each event of `rows` in which the thing asked about can be seen."""
    about: str = ""
    """What a look for it finds: "circle red", "star", "sign"; where the red circle is not there "circle blue" or "circle"."""
    workings: str = ""
    """What is said between pointing and the answer, so that each word is one look."""
    held_out: bool = False
    """It is about a pair of colour and shape, or a word, that training never had."""


@dataclass(slots=True)
class Asker:
    """Looks for unambiguous questions over some events; everything random comes from its generator."""

    events: Sequence[Event | None]
    rng: np.random.Generator
    split: str = "train"
    times_s: Sequence[float] = ()
    """When the first event is looked at, in its own seconds; () is all of the time."""
    _at: dict[Kind, list[int]] = field(init=False)

    def __post_init__(self) -> None:
        self._at = {}
        for row, event in enumerate(self.events):
            for kind in event.counts() if event else ():
                self._at.setdefault(kind, []).append(row)

    def ask(self, kind: str) -> Asked | None:
        """One question of a kind (phrases.Q_KINDS), None where these events have none."""
        makers = {
            "existence": self._existence, "colour": self._colour, "shape": self._shape, "count": self._count, "direction": self._direction,
            "text": self._text, "when": self._when, "order": self._order, "times": self._times, "absent": self._absent,
        }  # fmt: skip
        return makers[kind]()

    def _pick(self, options: Sequence[T]) -> T | None:
        return options[int(self.rng.integers(len(options)))] if options else None

    def _n(self) -> int:
        return int(self.rng.integers(0, 12))

    def _look(self, kind: Kind) -> str:
        """What one finds who looks for a thing, shape first: its colour, or that of another of its shape, or nothing more."""
        colours = [colour for colour, shape in self._at if shape == kind[1]]
        return " ".join([kind[1], *([kind[0]] if kind in self._at else colours[:1])])

    def _once(self) -> list[tuple[Kind, int]]:
        """Kinds that only one event shows."""
        return [(kind, rows[0]) for kind, rows in self._at.items() if len(rows) == 1]

    def _event(self, row: int) -> Event:
        event = self.events[row]
        assert event is not None
        return event

    def _made(
        self, kind: str, text: str, answer: str, row: int, thing: Thing | None = None, *, about: str, kinds_: Sequence[Kind] = (),
        workings: str = "",
    ) -> Asked:  # fmt: skip
        event = self._event(row)
        span = (thing.start_s, thing.end_s) if thing else (0.0, event.duration_s)
        return Asked(kind, text, answer, (row,), (span,), about, workings, any(is_held_out(k) for k in kinds_))

    def _existence(self) -> Asked | None:
        if self.rng.random() < 0.5:
            kind = self._pick(list(self._at))
            if kind is None:
                return None
            rows = self._at[kind]
            spans = tuple(_seen(self._event(r), kind) for r in rows)
            text, new = phrase("existence", self._n(), a=a(kind)), is_held_out(kind)
            return Asked("existence", text, "yes", tuple(rows), spans, self._look(kind), held_out=new)
        kind = self._missing()
        if kind is None:
            return None
        return Asked("existence", phrase("existence", self._n(), a=a(kind)), "no", (), (), self._look(kind), held_out=is_held_out(kind))

    def _missing(self) -> Kind | None:
        """A kind that no event shows, most often one whose colour and shape are both there."""
        absent = [kind for kind in kinds(self.split) if kind not in self._at]
        colours, shapes = {c for c, _ in self._at}, {s for _, s in self._at}
        near = [k for k in absent if k[0] in colours and k[1] in shapes]
        return self._pick(near if near and self.rng.random() < 0.7 else absent)

    def _colour(self) -> Asked | None:
        return self._attribute("colour", 1)

    def _shape(self) -> Asked | None:
        return self._attribute("shape", 0)

    def _attribute(self, asked: str, given: int) -> Asked | None:
        """Colour of a shape (given 1) or shape of a colour (given 0): the only one of all, or the one beside another thing."""
        owners: dict[str, list[tuple[Kind, int]]] = {}
        for kind, rows in self._at.items():
            owners.setdefault(kind[given], []).extend((kind, row) for row in rows)
        alone = [owned[0] for owned in owners.values() if len(owned) == 1]
        beside = self._beside(given)
        if alone and (not beside or self.rng.random() < 0.5):
            kind, row = alone[int(self.rng.integers(len(alone)))]
            text = phrase(asked, self._n(), shape=kind[1], colour=kind[0])
            return self._made(asked, text, kind[1 - given], row, _first(self._event(row), kind), about=kind[given], kinds_=[kind])
        chosen = self._pick(beside)
        if chosen is None:
            return None
        kind, other, row = chosen
        text = phrase(f"{asked}-beside", self._n(), shape=kind[1], colour=kind[0], b=the(other))
        about, seen = self._look(other), _first(self._event(row), kind)
        return self._made(asked, text, kind[1 - given], row, seen, about=about, kinds_=[kind, other], workings=kind[given])

    def _beside(self, given: int) -> list[tuple[Kind, Kind, int]]:
        """(kind, other, row): another thing, in one event only, at the same time as the only one with that shape or colour there."""
        found = []
        for other, row in self._once():
            event = self._event(row)
            if event.form == "sequence":
                continue
            for kind in event.counts():
                alike = [k for k in event.counts() if k[given] == kind[given]]
                if kind != other and len(alike) == 1 and kind[given] != other[given]:
                    found.append((kind, other, row))
        return found

    def _count(self) -> Asked | None:
        options = [(k, r) for k, r in self._once() if self._event(r).form == "group" and k == self._event(r).things[0].kind]
        chosen = self._pick(options)
        if chosen is None:
            return None
        kind, row = chosen
        count = self._event(row).counts()[kind]
        text, about = phrase("count", self._n(), many=many(kind)), self._look(kind)
        return self._made("count", text, number_word(count), row, about=about, kinds_=[kind], workings=named(kind))

    def _direction(self) -> Asked | None:
        """Which way a thing moves; of one look alone, where it is. Several looks are taken one by one, and not asked about together."""
        looks = len(self.times_s)
        once = [(self._event(r).one(k), r) for k, r in self._once()]
        chosen = self._pick([(thing, row) for thing, row in once if thing is not None and (looks == 1 or thing.motion in DIRECTIONS)])
        if chosen is None or looks > 1:
            return None
        thing, row = chosen
        text, about = phrase("direction", self._n(), the=the(thing.kind)), self._look(thing.kind)
        answer = _place(thing, self.times_s[0]) if looks else thing.motion
        return self._made("direction", text, answer, row, thing, about=about, kinds_=[thing.kind], workings=named(thing.kind))

    def _text(self) -> Asked | None:
        signs = [row for row, event in enumerate(self.events) if event and event.sign]
        beside = [(k, r) for k, r in self._once() if self._event(r).sign]
        if len(signs) == 1 and (not beside or self.rng.random() < 0.5):
            [row] = signs
            return self._sign_question(phrase("text", self._n()), row, ())
        chosen = self._pick(beside)
        return self._sign_question(phrase("text-beside", self._n(), the=the(chosen[0])), chosen[1], chosen[:1]) if chosen else None

    def _sign_question(self, text: str, row: int, about: Sequence[Kind]) -> Asked:
        sign = self._event(row).sign
        assert sign is not None
        new = any(is_held_out(k) for k in about) or _is_new(sign.text)
        said = self._look(about[0]) if about else "sign"
        return Asked("text", text, sign.text, (row,), ((sign.start_s, sign.end_s),), said, _read(sign), new)

    def _when(self) -> Asked | None:
        signs = [(event.sign, row) for row, event in enumerate(self.events) if event and event.sign]
        once = self._once()
        if signs and (not once or self.rng.random() < 0.4):
            sign, row = signs[int(self.rng.integers(len(signs)))]
            if [s.text for s, _ in signs].count(sign.text) > 1:
                return None
            span, text = ((sign.start_s, sign.end_s),), phrase("when", self._n(), the=the(sign.text))
            return Asked("when", text, "", (row,), span, f"sign {_read(sign)}", held_out=_is_new(sign.text))
        chosen = self._pick(once)
        if chosen is None:
            return None
        kind, row = chosen
        return self._made(
            "when", phrase("when", self._n(), the=the(kind)), "", row, _first(self._event(row), kind), about=self._look(kind), kinds_=[kind]
        )

    def _order(self) -> Asked | None:
        once = self._once()
        runs = [(k, r) for k, r in once if self._event(r).form == "sequence" and len(self._event(r).things) > 1]
        if runs and self.rng.random() < 0.5:
            return self._neighbour(*runs[int(self.rng.integers(len(runs)))])
        pairs = [(x, y) for x in once for y in once if x[1] < y[1] or (x[1] == y[1] and x in runs and self._is_before(*x, y[0]))]
        chosen = self._pick(pairs)
        if chosen is None:
            return None
        (first, row), (second, later) = chosen
        one, other = (first, second) if self.rng.random() < 0.5 else (second, first)
        spans = [(thing.start_s, thing.end_s) for thing in (_first(self._event(row), first), _first(self._event(later), second))]
        return Asked(
            "order", phrase("first", self._n(), the=the(one), b=the(other)), named(first), (row, later), tuple(spans),
            f"{named(one)} {named(other)}", _list(self._event(row)) + " ;", is_held_out(first) or is_held_out(second),
        )  # fmt: skip

    def _is_before(self, kind: Kind, row: int, other: Kind) -> bool:
        return _first(self._event(row), kind).start_s < _first(self._event(row), other).start_s

    def _neighbour(self, kind: Kind, row: int) -> Asked | None:
        """What comes before or after a thing of a sequence; both must be seen to know."""
        event = self._event(row)
        place = [t.kind for t in event.things].index(kind)
        step = 1 if place == 0 or (place + 1 < len(event.things) and self.rng.random() < 0.5) else -1
        pair = event.things[place], event.things[place + step]
        span = min(t.start_s for t in pair), max(t.end_s for t in pair)
        new = any(is_held_out(t.kind) for t in pair)
        text = phrase("after" if step == 1 else "before", self._n(), the=the(kind))
        return Asked("order", text, named(pair[1].kind), (row,), (span,), self._look(kind), _list(event) + " ;", new)

    def _times(self) -> Asked | None:
        several = [k for k, rows in self._at.items() if len(rows) > 1]
        kind = self._pick(several if several and self.rng.random() < 0.75 else list(self._at))
        if kind is None:
            return None
        rows = self._at[kind]
        spans = tuple(_seen(self._event(r), kind) for r in rows)
        text = phrase("times", self._n(), a=a(kind))
        return Asked("times", text, str(len(rows)), tuple(rows), spans, self._look(kind), held_out=is_held_out(kind))

    def _absent(self) -> Asked | None:
        """A question whose answer is not there: about a thing, a colour, a shape or a sign that no event shows."""
        form = str(self.rng.choice(ABSENT_FORMS))
        if form in ("colour", "shape", "text", "sign"):
            return self._none_of(form)
        kind = self._missing()
        if kind is None:
            return None
        given = {"shape": str(self.rng.choice(SHAPES)), "colour": str(self.rng.choice(list(COLOURS)))}
        text = phrase(form, self._n(), a=a(kind), the=the(kind), b=the(kind), many=many(kind), **given)
        return Asked("absent", text, ABSENT, (), (), self._look(kind), held_out=is_held_out(kind))

    def _none_of(self, form: str) -> Asked | None:
        signs = [event.sign for event in self.events if event and event.sign]
        if form == "text":
            return None if signs else Asked("absent", phrase("text", self._n()), ABSENT, (), (), "sign")
        if form == "sign":
            said, seen = spelled(self.rng, self.split), self._pick(signs)
            text, about = phrase("when", self._n(), the=the(said)), f"sign {_read(seen)}" if seen else "sign"
            return None if said in {sign.text for sign in signs} else Asked("absent", text, ABSENT, (), (), about, held_out=_is_new(said))
        given = int(form == "colour")  # of a shape that is not there
        missing = self._pick([word for word in (COLOURS, SHAPES)[given] if word not in {kind[given] for kind in self._at}])
        return Asked("absent", phrase(form, self._n(), shape=missing, colour=missing), ABSENT, (), (), missing) if missing else None


def _first(event: Event, kind: Kind) -> Thing:
    return next(t for t in event.things if t.kind == kind)


def _list(event: Event) -> str:
    """What a sequence shows, from first to last."""
    return " then ".join(named(thing.kind) for thing in event.things)


def _place(thing: Thing, at_s: float) -> str:
    """Its shape is said again before the row, as the token that stands there must find the thing again."""
    column, row = cell(*thing.place(at_s))
    return f"{COLUMNS[column]} {thing.shape} {ROWS[row]}"


def _read(sign: Sign) -> str:
    """The columns of its first and last letter, then every letter after its own column."""
    begin = cell(sign.x, sign.y)[0]
    columns = COLUMNS[begin : begin + len(sign.text)]
    return " ".join([columns[0], columns[-1], *(f"{column} {letter}" for column, letter in zip(columns, sign.text, strict=True))])


def _seen(event: Event, kind: Kind) -> tuple[float, float]:
    same = [t for t in event.things if t.kind == kind]
    return min(t.start_s for t in same), max(t.end_s for t in same)


def _is_new(text: str) -> bool:
    return not text.isdigit() and text in set(words("val", held_out_only=True)) | set(words("test", held_out_only=True))

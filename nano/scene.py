"""One event of the world: things that move and signs that say something, on a shot's background.

Seconds here count from the event's own start; pixels are those of a 128-pixel frame.
"""

from dataclasses import dataclass, field

import numpy as np

from nano import draw
from nano.words import DIRECTIONS, LETTERS, SIZES, TEXTURES, Kind, kinds, spelled

MOTIONS = ("still", *DIRECTIONS, "bounce", "approach", "leave")
_NOISE_FRAMES = 16
PITCH = 16
"""Pixels from letter to letter of a sign."""


@dataclass(frozen=True, slots=True)
class Thing:
    """One shape, there from start_s to end_s."""

    colour: str
    shape: str
    size: str
    texture: str
    motion: str
    """One of MOTIONS, or "collide"."""
    start_s: float
    end_s: float
    x: float
    y: float
    """Where its centre is at start_s."""
    vx: float = 0.0
    vy: float = 0.0
    """Pixels a second."""

    @property
    def kind(self) -> Kind:
        return self.colour, self.shape

    def px(self, at_s: float) -> int:
        """Diameter; it grows while the thing approaches and shrinks while it leaves."""
        base = SIZES[self.size]
        if self.motion not in ("approach", "leave"):
            return base
        done = (at_s - self.start_s) / max(self.end_s - self.start_s, 1e-9)
        return round(18 + 34 * (done if self.motion == "approach" else 1 - done))

    def place(self, at_s: float) -> tuple[float, float]:
        """Centre at a time; bouncing things turn at the frame's edge."""
        x, y = self.x + self.vx * (at_s - self.start_s), self.y + self.vy * (at_s - self.start_s)
        if self.motion == "bounce":
            r = SIZES[self.size] / 2
            return _folded(x, r), _folded(y, r)
        if self.motion == "collide":  # it comes to where the other stands halfway, and goes back
            middle_s = (self.end_s - self.start_s) / 2
            gone_s = middle_s - abs(at_s - self.start_s - middle_s)
            return self.x + self.vx * gone_s, self.y + self.vy * gone_s
        return x, y


@dataclass(frozen=True, slots=True)
class Sign:
    """A word or number, written from start_s to end_s."""

    text: str
    font: str
    ink: tuple[int, int, int]
    plate: tuple[int, int, int]
    x: float
    y: float
    """Centre of the first letter."""
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Event:
    duration_s: float
    things: tuple[Thing, ...]
    sign: Sign | None = None
    form: str = "movers"
    """movers, group, sign, sequence or collide"""

    def counts(self) -> dict[Kind, int]:
        """How many of each kind are there at once."""
        found: dict[Kind, int] = {}
        for thing in self.things:
            found[thing.kind] = found.get(thing.kind, 0) + 1
        return found

    def one(self, kind: Kind) -> Thing | None:
        """The only thing of its kind; None where there are several or none."""
        same = [t for t in self.things if t.kind == kind]
        return same[0] if len(same) == 1 else None


@dataclass(slots=True)
class Shot:
    """What the camera sees between two cuts: a background that drifts, light that changes, a camera that sways."""

    tile: draw.Picture
    drift: tuple[float, float]
    sway_px: float
    light: tuple[float, float, float]
    """Mean, swing, period in seconds."""
    noise: draw.Picture = field(repr=False)
    """(_NOISE_FRAMES, S, S, 1)"""

    @classmethod
    def sample(cls, rng: np.random.Generator, noise: draw.Picture) -> "Shot":
        drifts = rng.random() < 0.5
        drift = tuple(rng.uniform(-1.2, 1.2, 2)) if drifts else (0.0, 0.0)
        sway = float(rng.uniform(0.5, 2.5)) if rng.random() < 0.4 else 0.0
        light = (float(rng.uniform(0.9, 1.08)), float(rng.uniform(0, 0.06)), float(rng.uniform(20, 90)))
        return cls(draw.background(rng), (float(drift[0]), float(drift[1])), sway, light, noise)

    def frame(self, at_s: float, event: Event | None = None, event_s: float = 0.0, number: int = 0) -> np.ndarray:
        """(S, S, 3) uint8 at a time of the shot, with what its event shows at event_s."""
        sx, sy = self.sway(at_s)
        x, y = int(self.drift[0] * at_s - sx) % draw.SIDE, int(self.drift[1] * at_s - sy) % draw.SIDE
        frame = self.tile[y : y + draw.SIDE, x : x + draw.SIDE] + self.noise[number % _NOISE_FRAMES]
        if event is not None:
            for thing in event.things:
                if thing.start_s <= event_s < thing.end_s:
                    px, (tx, ty) = thing.px(event_s), thing.place(event_s)
                    fill = draw.shape_paint(thing.colour, thing.texture, px)
                    draw.paint(frame, draw.shape_mask(thing.shape, px), fill, tx + sx, ty + sy)
            if event.sign is not None and event.sign.start_s <= event_s < event.sign.end_s:
                write(frame, event.sign)
        mean, swing, period_s = self.light
        frame *= mean + swing * np.sin(2 * np.pi * at_s / period_s)
        return np.clip(frame, 0, 255).astype(np.uint8)

    def sway(self, at_s: float) -> tuple[float, float]:
        """How far the camera has moved everything."""
        return self.sway_px * float(np.sin(at_s * 0.9)), self.sway_px * float(np.sin(at_s * 0.7 + 1))


def make_noise(rng: np.random.Generator) -> draw.Picture:
    """Sensor noise, a few frames of it, used again and again."""
    return rng.normal(0, 2.5, (_NOISE_FRAMES, draw.SIDE, draw.SIDE, 1)).astype(np.float32)


def write(frame: draw.Picture, sign: Sign) -> None:
    """Paint a sign, in place."""
    width, height = PITCH * len(sign.text) + 4, PITCH + 4
    draw.paint(frame, np.ones((height, width), np.float32), sign.plate, sign.x + PITCH * (len(sign.text) - 1) / 2, sign.y)
    for k, letter in enumerate(sign.text):
        draw.paint(frame, draw.glyph_mask(letter, sign.font), sign.ink, sign.x + k * PITCH, sign.y)


def cell(x: float, y: float) -> tuple[int, int]:
    """(column, row) of the patch grid, from 0; what lies outside counts to its edge."""
    column, row = (int(np.clip(v // PITCH, 0, draw.SIDE // PITCH - 1)) for v in (x, y))
    return column, row


def _folded(value: float, margin: float) -> float:
    """A straight path, reflected between the two edges."""
    span = draw.SIDE - 2 * margin
    at = (value - margin) % (2 * span)
    return margin + (at if at <= span else 2 * span - at)


def sample_event(rng: np.random.Generator, split: str, *, form: str = "", kind: Kind | None = None) -> Event:
    """One event at random. `kind` forces its first thing; `form` its form."""
    form = form or str(rng.choice(["movers", "group", "sign", "sequence", "collide"], p=[0.36, 0.22, 0.24, 0.12, 0.06]))
    duration_s = float(rng.integers(24, 57)) / 4  # 6 to 14 s, on the grid of every frame rate that we render at
    pool = kinds(split)
    chosen = [pool[int(i)] for i in rng.choice(len(pool), 3, replace=False)]
    if kind is not None:
        chosen = [kind, *(other for other in chosen if other != kind)]
    if form == "group":
        return Event(duration_s, _group(rng, chosen, duration_s), form=form)
    if form == "sequence":
        return Event(duration_s, _sequence(rng, chosen, duration_s), form=form)
    if form == "collide":
        return Event(duration_s, _collide(rng, chosen, duration_s), form=form)
    sign = _sign(rng, split, duration_s) if form == "sign" else None
    count = int(rng.choice([0, 1, 2], p=[0.15, 0.6, 0.25])) if sign else int(rng.choice([1, 2, 3], p=[0.4, 0.4, 0.2]))
    count = max(count, 1) if kind is not None else count
    free = [n for n, y in enumerate((22, 64, 106)) if sign is None or abs(y - sign.y) > 30]
    lanes = [int(n) for n in rng.permutation(free)][:count]
    things = [_mover(rng, k, lane, duration_s, crowded=count > 1 or sign is not None) for k, lane in zip(chosen, lanes, strict=False)]
    return Event(duration_s, tuple(things), sign, form)


def _mover(rng: np.random.Generator, kind: Kind, lane: int, duration_s: float, *, crowded: bool) -> Thing:
    """A thing in one of three horizontal lanes (of three vertical ones when it moves up or down)."""
    motion = str(rng.choice(MOTIONS, p=[0.24, 0.15, 0.15, 0.15, 0.15, 0.06, 0.05, 0.05]))
    if crowded and motion in ("up", "down", "bounce", "approach", "leave") and rng.random() < 0.6:
        motion = str(rng.choice(["still", "left", "right"]))
    size = str(rng.choice(["small", "medium", "large"] if not crowded else ["small", "medium"]))
    r = SIZES[size] / 2
    across, along = 22.0 + 42 * lane + float(rng.uniform(-4, 4)), float(rng.uniform(r + 2, draw.SIDE - r - 2))
    across = float(np.clip(across, r + 1, draw.SIDE - r - 1))
    x, y, vx, vy = along, across, 0.0, 0.0
    if motion in DIRECTIONS:
        dx, dy = DIRECTIONS[motion]
        travel = float(rng.uniform(0.65, 1.0)) * (draw.SIDE - 2 * r)
        begin = float(rng.uniform(r, draw.SIDE - r - travel))
        begin = begin if dx + dy > 0 else draw.SIDE - begin
        speed = travel / duration_s
        x, y, vx, vy = (begin, across, dx * speed, 0.0) if dx else (across, begin, 0.0, dy * speed)
    elif motion == "bounce":
        vx, vy = (float(v) for v in rng.uniform(14, 34, 2) * rng.choice([-1, 1], 2))
    elif motion in ("approach", "leave"):
        x, y = (float(np.clip(v, 28, draw.SIDE - 28)) for v in (x, y))
    return Thing(kind[0], kind[1], size, str(rng.choice(TEXTURES, p=[0.6, 0.2, 0.2])), motion, 0.0, duration_s, x, y, vx, vy)


def _group(rng: np.random.Generator, chosen: list[Kind], duration_s: float) -> tuple[Thing, ...]:
    """One to five alike, and sometimes one or two of other kinds, each on a place of its own."""
    count, others = int(rng.integers(1, 6)), int(rng.integers(0, 3))
    places = rng.permutation(9)[: count + others]
    size, texture = str(rng.choice(["small", "medium"])), str(rng.choice(TEXTURES, p=[0.6, 0.2, 0.2]))
    made = []
    for n, place in enumerate(places):
        colour, shape = chosen[0] if n < count else chosen[n - count + 1]
        x, y = 22 + 42 * (int(place) % 3) + rng.uniform(-6, 6), 22 + 42 * (int(place) // 3) + rng.uniform(-6, 6)
        made.append(Thing(colour, shape, size, texture, "still", 0.0, duration_s, float(x), float(y)))
    return tuple(made)


def _sequence(rng: np.random.Generator, chosen: list[Kind], duration_s: float) -> tuple[Thing, ...]:
    """Two or three things, one after the other, with a short pause between them."""
    count = int(rng.integers(2, 4))
    step = np.floor(duration_s / count * 4) / 4
    return tuple(
        Thing(*chosen[n], str(rng.choice(["medium", "large"])), "plain", "still", n * step, (n + 1) * step - 0.5, *_anywhere(rng))
        for n in range(count)
    )


def _collide(rng: np.random.Generator, chosen: list[Kind], duration_s: float) -> tuple[Thing, ...]:
    """Two things that come together at half time, touch and go back."""
    y, size = float(rng.uniform(30, 98)), str(rng.choice(["small", "medium"]))
    r = SIZES[size] / 2
    speed = (draw.SIDE / 2 - 2 * r - 3) / (duration_s / 2)
    left = Thing(*chosen[0], size, "plain", "collide", 0.0, duration_s, r + 3, y, speed, 0.0)
    right = Thing(*chosen[1], size, "plain", "collide", 0.0, duration_s, draw.SIDE - r - 3, y, -speed, 0.0)
    return left, right


def practice_sign(rng: np.random.Generator, row: int) -> Sign:
    """Two to seven letters or digits at random, in one row of the grid."""
    return _lettered(rng, "".join(rng.choice(list(LETTERS), int(rng.integers(2, 8)))), row, 1.0)


def _sign(rng: np.random.Generator, split: str, duration_s: float) -> Sign:
    return _lettered(rng, spelled(rng, split), int(rng.choice([1, 3, 4, 6])), duration_s)


def _lettered(rng: np.random.Generator, text: str, row: int, duration_s: float) -> Sign:
    """Signs are overlays: they do not sway, and their letters stand on a grid of 16 pixels, as captions of old terminals did."""
    ink, plate = ((245, 245, 245), (25, 25, 30)) if rng.random() < 0.5 else ((15, 15, 20), (235, 235, 225))
    column = int(rng.integers(0, draw.SIDE // PITCH - len(text) + 1))
    return Sign(text, str(rng.choice(draw.FONTS)), ink, plate, PITCH * (column + 0.5), PITCH * (row + 0.5), 0.0, duration_s)


def _anywhere(rng: np.random.Generator) -> tuple[float, float]:
    return float(rng.uniform(24, draw.SIDE - 24)), float(rng.uniform(24, draw.SIDE - 24))

"""Recording, Segment, Gap, TextRow: what was recorded, in which units, what could not be seen, what could be read."""

from dataclasses import dataclass, field

from footage.timespan import TimeSpan


@dataclass(frozen=True, slots=True)
class Recording:
    """One piece of footage, known by its content and not by its name."""

    recording_id: str
    """From size, packet table and sampled bytes: the same file twice is one recording."""
    duration_s: float
    """From the first shown frame to the end of the last one."""
    width_px: int
    height_px: int
    """As shown: upright, square pixels."""
    codec: str = ""
    size_bytes: int = 0
    frames: int = 0
    """Frames that the container shows; 0 when unknown."""
    start_offset_s: float = 0.0
    """First shown frame, in seconds after the container's own start: subtract it from times of sidecar files."""
    facts: dict[str, str] = field(default_factory=dict)
    """What else is worth knowing: container, pixel format, rotation, notes on damage."""

    @property
    def span(self) -> TimeSpan:
        return TimeSpan(0.0, self.duration_s)


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """The unit of work: decoded, encoded, merged and committed as one idempotent step."""

    recording_id: str
    index: int
    span: TimeSpan


@dataclass(frozen=True, slots=True, order=True)
class Gap:
    """Time in which nothing could be seen; answers can quote it."""

    span: TimeSpan
    reason: str
    """In words: "damaged: no frame could be decoded"."""


@dataclass(frozen=True, slots=True)
class TextRow:
    """Text with a time: a subtitle, a line on the screen, spoken words, an object's name."""

    recording_id: str
    span: TimeSpan
    kind: str
    """"subtitle", "ocr", "speech" or "object"."""
    text: str
    score: float = 1.0
    """The reader's own confidence, 0 to 1."""
    box: tuple[float, float, float, float] | None = None
    """Where on the picture: left, top, right, bottom as shares of width and height, (0, 0) top left."""
    ink: tuple[int, int, int] | None = None
    """Colour of the letters, sRGB."""
    ground: tuple[int, int, int] | None = None
    """Colour behind the letters, sRGB."""
    track: str = ""
    """Language or name of the track it came from."""

    @property
    def is_wording(self) -> bool:
        """Words that stand there or are said; not a thing's name, nor "(speech)", of which the words are not known."""
        return self.kind != "object" and not (self.kind == "speech" and self.text.startswith("("))

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise ValueError("a text row needs text")
        if self.box is not None and not (self.box[0] < self.box[2] and self.box[1] < self.box[3]):
            raise ValueError(f"box must be left < right and top < bottom, got {self.box}")

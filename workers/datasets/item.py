"""Item: one question of a benchmark set, with what is true about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import ascii_uppercase

from footage.timespan import TimeSpan

LETTERS = ascii_uppercase


@dataclass(frozen=True, slots=True)
class Item:
    id: str
    """Unique within its set."""
    video: Path
    """Where the video is, or would be."""
    question: str
    choices: tuple[str, ...] = ()
    """Without their letters; the first is A. Sets do hold empty and repeated choices."""
    answer: str = ""
    """The letter of the right choice, or the open answer's text (a whole number: a count). Empty: the set does not say."""
    spans: tuple[TimeSpan, ...] = ()
    """Grounding sets: the true times. Question sets: where the evidence is, if the set says."""
    asked_at_s: float | None = None
    """Streaming sets: nothing after this second may be used."""
    subtitles: Path | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    """What tables are broken down by. A value that names several groups separates them with "; "."""
    subtitles_start_s: float = 0.0
    """The subtitle file's clock at the video's first frame: subtract it from the file's times."""
    scoring_points: tuple[str, ...] = ()
    """Facts that a judge looks for in an open answer."""

    def __post_init__(self) -> None:
        if not self.question.strip():
            raise ValueError(f"item {self.id!r} has no question")
        if self.choices and self.answer and self.answer not in self.letters:
            raise ValueError(f"item {self.id!r}: answer {self.answer!r} is none of {', '.join(self.letters)}")

    @property
    def letters(self) -> tuple[str, ...]:
        """Of the choices, in order."""
        return tuple(LETTERS[: len(self.choices)])

    @property
    def right_choice(self) -> str:
        """The words of the right choice; "" without choices, or where the set does not say."""
        return self.choices[LETTERS.index(self.answer)] if self.choices and self.answer else ""

"""An alert as it is kept, listed and sent."""

import base64
import hashlib
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from footage.timespan import TimeSpan
from workers.alerts.tracker import Event


@dataclass(frozen=True, slots=True)
class Alert:
    id: str
    """Of the event: the same for the same question, recording and beginning, so that a receiver can tell what it has already."""
    question: str
    recording: str
    name: str
    """What people call the recording."""
    start_s: float
    """Recording time at which the event began."""
    end_s: float
    """As far as it was seen; grows while it goes on."""
    fired_s: float
    """Recording time up to which was seen when it fired."""
    at: str
    """The beginning as ISO 8601 UTC; "" where the recording does not know its own."""
    confidence: float
    """0 to 1, see docs/alerts.md."""
    by: str
    """What said so: "model", "text" or "score"."""
    text: str = ""
    """What is written or said there."""
    clip: str = ""
    """Path of a video file, which is there some seconds after the alert where the footage can be cut."""
    thumbnail: bytes = b""
    """JPEG."""

    @classmethod
    def of(cls, event: Event, name: str, at: str | None) -> Self:
        """at: wall clock of the event's beginning, where it is known."""
        moment, part = event.moment, event.part
        key = f"{event.standing.text}\n{moment.recording_id}\n{moment.span.start_s:.3f}"
        return cls(
            hashlib.blake2b(key.encode(), digest_size=8).hexdigest(), event.standing.text, moment.recording_id, name,
            round(moment.span.start_s, 3), round(moment.span.end_s, 3), round(part.span.end_s, 3), at or "", event.confidence, event.by,
            moment.text, thumbnail=part.thumbnail(moment.span.middle_s),
        )  # fmt: skip

    @property
    def span(self) -> TimeSpan:
        return TimeSpan(self.start_s, max(self.end_s, self.start_s + 1e-3))

    def json(self, *, picture: bool = True) -> dict[str, Any]:
        """The fields of this class; thumbnail in base64, or left out."""
        fields = asdict(replace(self, thumbnail=b""))
        return fields | {"thumbnail": base64.b64encode(self.thumbnail).decode()} if picture else _without(fields, "thumbnail")


def _without(fields: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key != name}

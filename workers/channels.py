"""What reads rows out of a segment, wired: text on the screen, objects and speech, of which the last two may each fail alone."""

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from footage.errors import SourceError
from footage.frames import Clip
from footage.protocols import Source
from footage.recordings import Segment, TextRow
from footage.timespan import TimeSpan
from ingest.channels.channel import Guarded
from ingest.channels.objects import ObjectReader
from ingest.channels.speech import SpeechReader, SpeechSegment
from ingest.file_source import FileSource
from ingest.ocr import OcrReader, OcrSegment
from workers.config import Settings

log = logging.getLogger(__name__)

Timed = Callable[[str], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Readers:
    """Built once per process; nothing heavy but the OCR engine is loaded before the first segment."""

    ocr: OcrReader | None
    objects: ObjectReader | None
    speech: SpeechReader | None

    @classmethod
    def build(cls, settings: Settings, *, reads_text: bool) -> "Readers":
        """Raises ConfigError where settings name a file that is not there."""
        return cls(
            OcrReader(settings.ocr) if reads_text else None,
            ObjectReader(settings.objects) if settings.objects.model else None,
            SpeechReader(settings.speech) if settings.speech.is_on else None,
        )

    def segment(self, recording_id: str) -> "Readings | None":
        """What reads the frames of one segment; None where nothing does."""
        ocr, objects = self.ocr, self.objects
        if ocr is None and objects is None:
            return None
        guarded = () if objects is None else (Guarded("objects", lambda: objects.segment(recording_id)),)
        return Readings(ocr.segment(recording_id) if ocr else None, guarded)

    def hearing(self, source: Source, segment: Segment) -> Guarded | None:
        """What hears the sound of one segment: of files alone, a stream's sound is not read yet."""
        speech = self.speech
        if speech is None or not isinstance(source, FileSource):
            return None
        table, is_last = source.table, segment.span.end_s >= source.recording.duration_s - 1e-6

        def begin() -> SpeechSegment:
            if table.clock_restarts:
                raise SourceError("its clock starts anew inside, and its sound is not read then")
            return speech.segment(table.path, segment, origin_s=table.origin_s, is_last=is_last)

        return Guarded("speech", begin)

    @property
    def shaping(self) -> dict[str, Any]:
        """What rows of the channels depend on, of those that are on."""
        on = {"objects": self.objects, "speech": self.speech}
        return {name: reader.shaping for name, reader in on.items() if reader is not None}


@dataclass(frozen=True, slots=True)
class Readings:
    """All that reads the frames of one segment."""

    ocr: OcrSegment | None
    channels: tuple[Guarded, ...]

    def add(self, clip: Clip, timed: Timed) -> None:
        if self.ocr is not None:
            with timed("ocr"):
                self.ocr.add(clip)
        for channel in self.channels:
            with timed(channel.name):
                channel.add(clip)

    def stays(self, span: TimeSpan) -> None:
        """What was seen last goes on being there."""
        for part in (self.ocr, *self.channels):
            if part is not None:
                part.stays(span)

    def rows(self) -> list[TextRow]:
        """What was read so far."""
        return [row for part in (self.ocr, *self.channels) if part is not None for row in part.rows()]


def failures(*channels: Guarded | None) -> dict[str, str]:
    """By name, why those that failed have no rows."""
    return {channel.name: channel.failure for channel in channels if channel is not None and channel.failure}


def tell(failed: Mapping[str, str], counts: dict[str, int], name: str) -> None:
    """Count the segments that channels lost; each channel is warned of once a recording."""
    for channel, why in failed.items():
        counts[channel] = counts.get(channel, 0) + 1
        if counts[channel] == 1:
            log.warning("%s of %s are left out where they fail; the first time: %s", channel, name, why)

"""Speech in files: where somebody speaks, and with a model what is said, as rows with times. A stream's sound is not read yet.

A segment's sound is cut at the quietest moment of the second after its edges, which both neighbours find alike, so that no word is halved.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from footage import Clip, ConfigError, TextRow, TimeSpan
from footage.arrays import AnyArray
from footage.recordings import Segment
from ingest.channels.channel import Once
from ingest.channels.objects import fingerprint
from ingest.channels.sound import RATE_HZ, Sound, sound_of
from ingest.channels.transcribe import MOST_S, Transcriber
from ingest.channels.voice import LoudVoice, SileroVoice, Voice, pieces, spoken
from ingest.packets import Place

EDGE_S = 1.0  # of a segment's least length, so that cuts stay in order
STEP_S = 0.05


@dataclass(frozen=True, slots=True)
class SpeechConfig:
    on: bool = False
    """Hear where somebody speaks; on as well where `vad` or `model` is named."""
    vad: str = ""
    """silero-vad as an ONNX file; "": whatever is loud, which may be music or noise."""
    model: str = ""
    """A folder with a Whisper-like checkpoint that says what is spoken; "": rows only say that somebody speaks."""
    track: str = ""
    """Language of the track to hear, as the file names it (eng, deu ...); "": the default one."""
    language: str = ""
    """What is spoken, for models of many languages (en, de ...); "": the model finds out."""

    @property
    def is_on(self) -> bool:
        return self.on or bool(self.vad or self.model)


class SpeechReader:
    """Hears any number of segments; models are loaded with the first one."""

    def __init__(self, config: SpeechConfig) -> None:
        """Raises ConfigError where the settings name a model that is not there."""
        vad, model = Path(config.vad).expanduser(), Path(config.model).expanduser()
        if config.vad and not vad.is_file():
            raise ConfigError(f"speech.vad is {config.vad!r}, which is not there", hint="name silero_vad.onnx, or leave it out")
        if config.model and not model.is_dir():
            raise ConfigError(
                f"speech.model is {config.model!r}, which is no folder", hint="name the folder of a checkpoint, or leave it out"
            )
        self.config = config
        self._voice: Once[Voice] = Once(lambda: SileroVoice(vad) if config.vad else LoudVoice())
        self._transcriber = Once(lambda: Transcriber(model, language=config.language)) if config.model else None

    def segment(self, path: Place, segment: Segment, *, origin_s: float, is_last: bool) -> "SpeechSegment":
        """Raises what loading the models raised. origin_s: container time of the recording's time 0."""
        transcriber = self._transcriber() if self._transcriber else None
        return SpeechSegment(path, segment, origin_s, is_last, self._voice(), transcriber, self.config.track)

    @cached_property
    def shaping(self) -> list[object]:
        """What rows depend on."""
        one = self.config
        return [one.track, one.language, *(fingerprint(Path(name).expanduser()) if name else "" for name in (one.vad, one.model))]


@dataclass(frozen=True, slots=True)
class SpeechSegment:
    """A channel that looks at no frames."""

    path: Place
    segment: Segment
    origin_s: float
    is_last: bool
    voice: Voice
    transcriber: Transcriber | None
    track: str

    def add(self, clip: Clip) -> None: ...

    def stays(self, span: TimeSpan) -> None: ...

    def rows(self) -> list[TextRow]:
        """By time; none where the file has no sound."""
        start_s, end_s = self.segment.span.start_s, self.segment.span.end_s
        heard = TimeSpan(max(0.0, start_s - EDGE_S), end_s + EDGE_S)
        sound = sound_of(self.path, heard, origin_s=self.origin_s, track=self.track)
        if sound is None or not sound.is_there.any():
            return []
        begin = _cut(sound, start_s) if start_s > 0 else 0
        end = len(sound.samples) if self.is_last else _cut(sound, end_s)
        likely = self.voice.likely(sound.samples)  # the second before is heard too, so that the state has settled
        return list(self._rows(sound, likely, begin, end))

    def _rows(self, sound: Sound, likely: AnyArray, begin: int, end: int) -> Iterator[TextRow]:
        for one in spoken(likely):
            first, last = max(one[0], begin), min(one[1], end)
            if last - first < STEP_S * RATE_HZ:
                continue
            for a, b in pieces(first, last, likely, MOST_S) if self.transcriber else [(first, last)]:
                yield from self._said(sound, a, b)

    def _said(self, sound: Sound, begin: int, end: int) -> Iterator[TextRow]:
        name, whole = self.segment.recording_id, sound.span(begin, end)
        if self.transcriber is None:
            yield TextRow(name, whole, "speech", self.voice.text, track=sound.track)
            return
        for start_s, end_s, words in self.transcriber.read(sound.samples[begin:end]):
            span = TimeSpan(whole.start_s + start_s, min(whole.start_s + end_s, whole.end_s))
            yield TextRow(name, span, "speech", words, track=sound.track)


def _cut(sound: Sound, edge_s: float) -> int:
    """The quietest sample of the second after an edge, to STEP_S and to a decibel; the earliest of equals."""
    at, step = round((edge_s - sound.start_s) * RATE_HZ), round(STEP_S * RATE_HZ)
    near = sound.samples[at : at + round(EDGE_S * RATE_HZ)]
    power = np.square(near[: len(near) // step * step], dtype=np.float64).reshape(-1, step).mean(1)
    return at + (int(np.argmin(np.round(10 * np.log10(power + 1e-9)))) * step if len(power) else 0)

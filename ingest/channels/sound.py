"""Sound of a stretch of a file: 16 kHz, mono, every sample at its own time; what is missing or damaged is silence.

Letters: N samples.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from footage.arrays import AnyArray
from footage.timespan import TimeSpan
from ingest.packets import Place, container_of

RATE_HZ = 16_000
APART_S = 0.05  # time stamps that jump by more are a gap in the sound, or an overlap; by less it is rounding
PREROLL_S = 0.5  # the first frames after a seek lean on frames that were not decoded


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    start_s: float
    samples: AnyArray
    """(N,) float32, -1 to 1."""
    is_there: AnyArray
    """(N,) bool; False where there is no sound."""
    track: str = ""
    """Language of the track, where the file says so."""

    def span(self, begin: int, end: int) -> TimeSpan:
        """The time of samples [begin, end)."""
        return TimeSpan(self.start_s + begin / RATE_HZ, self.start_s + end / RATE_HZ)


def sound_of(path: Place, span: TimeSpan, *, origin_s: float, track: str = "") -> Sound | None:
    """The sound of a span; None where the file has no track of sound that can be decoded. Damaged packets are left out.

    Args:
        origin_s: container time of the recording's time 0. track: a language; "" or one that is not there: the default track.

    Raises:
        av.FFmpegError: the file cannot be opened.
    """

    count = round(span.duration_s * RATE_HZ)
    sound = Sound(span.start_s, np.zeros(count, np.float32), np.zeros(count, bool))
    with container_of(path, metadata_errors="ignore") as container:
        stream = _track(container, track)
        if stream is None:
            return None
        _seek(container, stream, span.start_s + origin_s - PREROLL_S)
        for start_s, samples in _runs(_frames(container, stream, span.end_s + origin_s)):
            at = round((start_s - origin_s - span.start_s) * RATE_HZ)
            here = slice(max(0, at), min(count, max(0, at + len(samples))))
            sound.samples[here] = samples[here.start - at : here.stop - at] if here.start < here.stop else ()
            sound.is_there[here] = True
        return Sound(span.start_s, sound.samples, sound.is_there, str(stream.language or "").removeprefix("und"))


def _track(container: Any, language: str) -> Any:
    """The track to hear; all others are skipped by the demuxer."""
    from av.stream import Discard

    tracks = [stream for stream in container.streams.audio if stream.codec_context is not None and stream.time_base]
    best = container.streams.best("audio")
    default = best if best in tracks else next(iter(tracks), None)
    chosen = next((stream for stream in tracks if language and stream.language == language), default)
    for stream in container.streams:
        if stream is not chosen:
            stream.discard = Discard.all
    return chosen


def _seek(container: Any, stream: Any, time_s: float) -> None:
    """To before a time of the container; where a file cannot be sought in, it is read from its start."""
    import av

    try:
        if stream.start_time is None or time_s > float(stream.start_time * stream.time_base):
            container.seek(int(time_s / stream.time_base), stream=stream)
    except av.FFmpegError:
        container.seek(0)


def _frames(container: Any, stream: Any, end_s: float) -> Iterator[tuple[float | None, Any]]:
    """(container time, decoded frame) up to a time; ends where the file breaks off."""
    import av

    try:
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.FFmpegError:
                continue
            for frame in frames:
                time_s = None if frame.pts is None else float(frame.pts * frame.time_base)
                if time_s is not None and time_s >= end_s:
                    return
                yield time_s, frame
    except av.FFmpegError:
        return


def _runs(frames: Iterator[tuple[float | None, Any]]) -> Iterator[tuple[float, AnyArray]]:
    """(container time, samples) of frames that follow each other without a jump, resampled as one."""
    import av

    resampler, form, start_s, next_s = None, None, 0.0, 0.0
    pieces: list[AnyArray] = []
    for time_s, frame in frames:
        time_s = next_s if time_s is None else time_s
        if resampler is None or abs(time_s - next_s) > APART_S or form != (frame.format.name, frame.layout.name, frame.sample_rate):
            yield from _flushed(resampler, start_s, pieces)
            resampler, pieces = av.AudioResampler(format="flt", layout="mono", rate=RATE_HZ), []
            form, start_s, next_s = (frame.format.name, frame.layout.name, frame.sample_rate), time_s, time_s
        frame.pts = None  # times are ours
        pieces += [made.to_ndarray().reshape(-1) for made in resampler.resample(frame)]
        next_s += frame.samples / frame.sample_rate
    yield from _flushed(resampler, start_s, pieces)


def _flushed(resampler: Any, start_s: float, pieces: list[AnyArray]) -> Iterator[tuple[float, AnyArray]]:
    if resampler is not None:
        pieces += [made.to_ndarray().reshape(-1) for made in resampler.resample(None)]
    if pieces:
        yield start_s, np.concatenate(pieces)

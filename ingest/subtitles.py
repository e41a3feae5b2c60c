"""Subtitles as text rows: the tracks inside a container, and the .srt and .vtt files beside a video."""

import codecs
import html
import logging
import os
import re
import time
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from footage import TextRow, TimeSpan
from footage.timespan import parse_clock
from ingest.limits import DEFAULT_LIMITS, Limits
from ingest.packets import Place, container_of

log = logging.getLogger(__name__)

MAX_CUE_CHARS = 4096
SETTLED_NS = 3_000_000_000
UNENDED_S = 5.0  # a line without an end stands until the next one, at most this long
_UNKNOWN_MS = 0xFFFFFFFF  # libavcodec's "until further notice"

_DRAWING = re.compile(r"\{[^{}]*\\p[1-9][^{}]*\}.*?(?=\{[^{}]*\\p0|$)", re.DOTALL)
_MARKUP = re.compile(r"(?<!\\)\{[^{}]*\}|</?[a-zA-Z][^<>]*>|<[\d:.]+>")  # overrides and comments, tags, karaoke stamps
_LANGUAGE = re.compile(r"[A-Za-z]+([-_][A-Za-z0-9]+)*(\.[A-Za-z]+)*")


def container_subtitles(path: Place, recording_id: str, *, origin_s: float, limits: Limits = DEFAULT_LIMITS) -> list[TextRow]:
    """Rows of every text track in a container, track by track in time order; empty where there is none.

    Pictured tracks (PGS, DVD, DVB) give no rows, damaged packets are skipped; the log says so. Never fails on media.

    Args:
        origin_s: container time of the first shown frame; rows count from it, and what lies before it is cut away.
    """
    import av

    try:
        with container_of(path, metadata_errors="ignore") as container:
            tracks = _text_tracks(container)
            cues = _demuxed(container, tracks, limits)
            return [
                row
                for number, stream in enumerate(tracks)
                for row in _rows(_ended(cues[number]), recording_id, _track_name(stream), origin_s)
            ]
    except av.FFmpegError as error:
        log.warning("subtitles unreadable file=%s error=%s", path.name, error)
        return []


def sidecar_subtitles(path: Place, recording_id: str, *, start_offset_s: float, limits: Limits = DEFAULT_LIMITS) -> list[TextRow]:
    """Rows of the files beside a video: talk.srt, talk.vtt, talk.en.srt (track "en") for talk.mp4; file by file.

    Cues that make no sense are skipped, files above a cap refused; the log says so. Never fails on a file. Time 0 of a
    file is the container's own start (X-TIMESTAMP-MAP, which ties a piece of an HLS stream to its clock, is not read).

    Args:
        start_offset_s: the first shown frame, in seconds after the container's start (`Recording.start_offset_s`).
    """
    rows: list[TextRow] = []
    for file, track in _sidecars(path) if isinstance(path, Path) else ():
        try:
            cues = _parsed(file, limits)
        except OSError as error:
            log.warning("subtitles unreadable file=%s error=%s", file.name, error)
            continue
        rows += _rows(cues, recording_id, track, start_offset_s)
    return rows[: limits.subtitle_rows]


def _rows(cues: Iterable[tuple[TimeSpan, str]], recording_id: str, track: str, origin_s: float) -> Iterator[TextRow]:
    """Cues in container time to rows in recording time; what has no words or ends before 0 is dropped."""
    for span, marked_up in cues:
        text, end_s = _plain(marked_up), span.end_s - origin_s
        if text and end_s > 0:
            yield TextRow(recording_id, TimeSpan(max(0.0, span.start_s - origin_s), end_s), "subtitle", text, track=track)


def _plain(text: str) -> str:
    """Marked-up dialogue (ASS, HTML-like, WebVTT) to one line of words."""
    text = _MARKUP.sub("", _DRAWING.sub("", text[:MAX_CUE_CHARS]))
    text = re.sub(r"\\([{}])", r"\1", re.sub(r"\\[Nnh]", " ", text))
    return " ".join(html.unescape(text.replace("\u2060", "")).split())  # libavcodec puts U+2060 after a true backslash


# Inside the container


def _text_tracks(container: Any) -> list[Any]:
    """The streams to read; all others are set to be skipped by the demuxer, so that a film is not read in full."""
    from av.stream import Discard

    tracks = []
    for stream in container.streams:
        codec = stream.codec_context.codec if stream.type == "subtitle" and stream.codec_context else None
        if codec and codec.text_sub:
            tracks.append(stream)
            continue
        stream.discard = Discard.all
        if codec:
            log.info("subtitles are pictures, not read stream=%d codec=%s", stream.index, codec.name)
    return tracks


def _demuxed(container: Any, tracks: list[Any], limits: Limits) -> list[list[tuple[float, float, str]]]:
    """Per track (start, end, dialogue), in container seconds; end 0 where it is not known."""
    import av

    cues: list[list[tuple[float, float, str]]] = [[] for _ in tracks]
    number_of = {stream.index: number for number, stream in enumerate(tracks)}
    damaged, left, left_bytes = 0, limits.subtitle_rows, limits.subtitle_mib << 20
    try:
        for packet in container.demux(tracks) if tracks else ():
            if left <= 0 or left_bytes <= 0:
                break
            if packet.pts is None or not packet.size:
                continue
            left_bytes -= packet.size
            try:
                found = _decoded(packet)
            except av.FFmpegError:
                damaged += 1
                continue
            left -= len(found)
            cues[number_of[packet.stream_index]] += found
    except av.FFmpegError as error:
        log.warning("subtitles break off error=%s", error)
    if damaged:
        log.warning("subtitles incomplete damaged_packets=%d", damaged)
    if left <= 0 or left_bytes <= 0:
        log.warning("subtitles incomplete: %s", limits.over("subtitle_rows" if left <= 0 else "subtitle_mib", "the file holds too many"))
    return cues


def _decoded(packet: Any) -> list[tuple[float, float, str]]:
    subtitles = packet.stream.decode2(packet)  # a packet's duration becomes end_display_time
    if subtitles is None:
        return []
    time_s, end_ms = float(packet.pts * packet.time_base), subtitles.end_display_time
    start_s = time_s + subtitles.start_display_time / 1000
    end_s = time_s + end_ms / 1000 if 0 < end_ms < _UNKNOWN_MS else 0.0
    # read order, layer, style, name, three margins, effect, text
    events = [rect.ass.decode("utf-8", "replace").split(",", 8) for rect in subtitles.rects if rect.type == b"ass"]
    return [(start_s, end_s, event[8]) for event in events if len(event) == 9]


def _ended(cues: list[tuple[float, float, str]]) -> Iterator[tuple[TimeSpan, str]]:
    """In time order, every line with an end."""
    cues = sorted(cues)
    starts = sorted({start_s for start_s, _, _ in cues})
    next_s = dict(pairwise(starts))
    for start_s, end_s, text in cues:
        if end_s <= start_s:
            end_s = min(start_s + UNENDED_S, next_s.get(start_s, start_s + UNENDED_S))
        yield TimeSpan(start_s, end_s), text


def _track_name(stream: Any) -> str:
    language = stream.language or ""
    return str(stream.metadata.get("title") or "") if language in ("", "und") else language


# Beside the file


def _sidecars(path: Path) -> Iterator[tuple[Path, str]]:
    """The subtitle files that belong to a video, with the language in their names."""
    try:
        changed_ns = path.parent.stat().st_mtime_ns
    except OSError:
        return
    is_settled = time.time_ns() - changed_ns > SETTLED_NS  # a coarse clock may give the same stamp to a later change
    for file in (_subtitle_files if is_settled else _subtitle_files.__wrapped__)(path.parent, changed_ns):
        middle = file.stem[len(path.stem) + 1 :]
        mine = file.name.startswith(f"{path.stem}.") and (not middle or _LANGUAGE.fullmatch(middle))
        if mine and file.is_file():
            yield file, middle


@lru_cache(maxsize=8)
def _subtitle_files(folder: Path, changed_ns: int) -> tuple[Path, ...]:
    """Of a folder as it was at that time, by name: listing it for each of its videos would cost their number squared."""
    try:
        names = os.listdir(folder)
    except OSError:  # one may open a file in a folder that may not be listed
        return ()
    return tuple(folder / name for name in sorted(names) if name.lower().endswith((".srt", ".vtt")))


def _parsed(file: Path, limits: Limits) -> list[tuple[TimeSpan, str]]:
    """The cues of one file, in time order.

    Own code, since what there is drops cues: pysubs2 1.8 takes notes and inline stamps for cues and wants hours;
    libavformat ends a WebVTT file at the first cue it cannot read.
    """
    if file.stat().st_size > limits.subtitle_mib << 20:
        log.warning("subtitles refused: %s", limits.over("subtitle_mib", f"{file.name} holds {file.stat().st_size >> 20} MiB"))
        return []
    lines = _text_of(file.read_bytes()).splitlines()
    timings = [number for number, line in enumerate(lines) if "-->" in line]
    cues, skipped = [], 0
    for timing, following in zip(timings[: limits.subtitle_rows], [*timings[1:], len(lines)], strict=False):
        try:
            span = _span_of(lines[timing])
        except (ValueError, IndexError):
            skipped += 1
            continue
        cues.append((span, _body(lines[timing + 1 : following], file.suffix.lower(), last=following == len(lines))))
    if skipped or not cues:
        log.warning("subtitles incomplete file=%s cues=%d skipped=%d", file.name, len(cues), skipped)
    return sorted(cues, key=lambda cue: cue[0])


def _text_of(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _span_of(line: str) -> TimeSpan:
    """00:00:01,000 --> 00:00:02.5 with optional hours, and cue settings after it."""
    start, _, rest = line.replace(",", ".").partition("-->")
    return TimeSpan(parse_clock(start), parse_clock(rest.split()[0]))


def _body(lines: list[str], suffix: str, *, last: bool) -> str:
    """The text lines of one cue, out of all lines up to the next timing."""
    if suffix == ".vtt":  # ends at the first blank line; notes, styles and the next cue's name follow
        blank = next((number for number, line in enumerate(lines) if not line.strip()), len(lines))
        return "\n".join(lines[:blank])
    if not last and lines and lines[-1].strip().isdigit():  # the next cue's number
        lines = lines[:-1]
    return "\n".join(lines)

"""One segment from bytes to memory: decode, gate, encode, merge, read. Runs in-process, in a worker process or anywhere else."""

import hashlib
import io
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from footage.arrays import Pixels
from footage.carriers import Carrier, SegmentMemory, carriers_of
from footage.errors import ConfigError, SourceError
from footage.frames import Clip
from footage.protocols import Encoder, Gate, Merger, Source
from footage.recordings import Gap, Segment, TextRow
from frame_select.gate import ChangeGate, KeepAllGate
from ingest.file_source import FileSource
from ingest.ocr import OcrReader, OcrSegment
from ingest.synthetic import PREFIX, SyntheticSource
from memory.encoders.registry import load_encoder
from memory.mergers import merger
from workers.config import Settings
from workers.known_encoders import Names
from workers.models import encoder_name
from workers.two_towers import TwoTowers

THUMBNAIL_QUALITY = 80


@dataclass(frozen=True, slots=True)
class Tools:
    """What turns frames into memory; built once per process."""

    settings: Settings
    encoder: Encoder
    merger: Merger
    reader: OcrReader | None

    @classmethod
    def build(cls, settings: Settings) -> "Tools":
        index = settings.index
        encoder = _encoder(settings, index.encoder)
        if index.carriers:
            encoder = TwoTowers.load(encoder, index.carriers, settings)
        return cls(settings, encoder, merger(index.merger), OcrReader(settings.ocr) if reads_text(settings) else None)

    def like(self, names: Names, encoder_id: str) -> Encoder:
        """Another encoder, loaded the same way, as a library remembers it."""
        encoder = _encoder(self.settings, names.encoder)
        if not names.carriers:
            return encoder
        return TwoTowers.load(encoder, names.carriers, self.settings, carriers=encoder_id.removeprefix(f"{encoder.id}+"))

    def gate(self) -> Gate:
        """A fresh one for each segment: segments know nothing of each other."""
        return ChangeGate(self.settings.gate) if self.settings.index.gate == "change" else KeepAllGate()

    @property
    def generation(self) -> str:
        """What wrote the memory: encoder, merger and a hash of every setting that shapes it."""
        s = self.settings
        shaping: dict[str, Any] = {
            "sampling": {k: v for k, v in asdict(s.sampling).items() if k not in ("threads", "decoder")},
            "gate": [s.index.gate, asdict(s.gate)],
            "merge": [self.merger.id, s.index.tokens_per_carrier],
            "ocr": asdict(s.ocr) | {"threads": 0} if self.reader else None,
            "side_px": [s.index.side_px, s.index.ocr_side_px, s.index.thumbnail_px],
        }
        if s.index.encoder != "color" or s.index.carriers:
            shaping["dtype"] = s.index.dtype
        digest = hashlib.blake2b(json.dumps(shaping, sort_keys=True).encode(), digest_size=4).hexdigest()
        return f"{self.encoder.id}+{self.merger.id}+{digest}".replace("/", "_")


def reads_text(settings: Settings) -> bool:
    if settings.index.ocr == "off":
        return False
    if settings.index.ocr == "on":
        return True
    from importlib.util import find_spec

    return find_spec("rapidocr") is not None and find_spec("onnxruntime") is not None


def _encoder(settings: Settings, name: str) -> Encoder:
    index = settings.index
    return load_encoder(encoder_name(name), offline=settings.offline, device=index.device, dtype=index.dtype)


def open_source(location: str, settings: Settings) -> Source:
    """Raises SourceNotFound, NotVideo, DecodeError ... saying what is wrong with it."""
    if location.startswith(PREFIX):
        return SyntheticSource.parse(location, fps=settings.sampling.fps)
    if "://" in location:
        scheme = location.split("://", 1)[0]
        raise ConfigError(f"{scheme}:// sources cannot be indexed yet", hint="download it and index the file")
    index = settings.index
    side_px = max(index.side_px, index.ocr_side_px if reads_text(settings) else 0)
    return FileSource.open(Path(location), settings.sampling, max_side_px=side_px)


@dataclass(slots=True)
class _Draft:
    """A segment's memory while it grows."""

    carriers: list[Carrier] = field(default_factory=list)
    thumbnails: list[bytes] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    seen: int = 0
    kept: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - begun


def remember(source: Source, segment: Segment, tools: Tools, subtitles: Sequence[TextRow]) -> SegmentMemory:
    """Decode one segment and make its memory. Depends on nothing but source, segment and settings: same in, same out.

    subtitles: source.texts(), read once for all segments.
    """
    draft, gate = _Draft(), tools.gate()
    reading = tools.reader.segment(segment.recording_id) if tools.reader else None
    clips = source.clips(segment)
    while True:
        with draft.timed("decode"):
            item = next(clips, None)
        if item is None:
            break
        if isinstance(item, Gap):
            draft.gaps.append(item)
        else:
            _take_in(item, draft, gate, reading, tools)
    with draft.timed("merge"):
        budget = tools.settings.index.tokens_per_carrier * max(1, len(draft.carriers))
        carriers = tools.merger.merge(draft.carriers, max_tokens=budget) if draft.carriers else []
    with draft.timed("ocr"):
        texts = reading.rows() if reading else []
    texts += subtitles_of(segment, subtitles, source.recording.duration_s)
    return SegmentMemory(
        segment, tuple(carriers), tuple(draft.thumbnails) if len(draft.thumbnails) == len(carriers) else (),
        tuple(texts), tuple(draft.gaps), draft.seen, draft.kept,
        {stage: round(seconds, 3) for stage, seconds in draft.seconds.items()},
    )  # fmt: skip


def subtitles_of(segment: Segment, rows: Sequence[TextRow], duration_s: float) -> list[TextRow]:
    """The rows that begin in a segment; the last one also takes lines that outlast the picture."""
    is_last = segment.span.end_s >= duration_s - 1e-6
    return [row for row in rows if row.span.start_s in segment.span or (is_last and row.span.start_s >= segment.span.end_s)]


def _take_in(clip: Clip, draft: _Draft, gate: Gate, reading: OcrSegment | None, tools: Tools) -> None:
    with draft.timed("gate"):
        kept = clip.take(gate.keep(clip))
    with draft.timed("encode"):
        draft.carriers += carriers_of(tools.encoder.encode(kept))
        draft.thumbnails += [jpeg(pixels, tools.settings.index.thumbnail_px) for pixels in kept.pixels]
    if reading is not None:
        with draft.timed("ocr"):
            reading.add(kept)
    draft.seen, draft.kept = draft.seen + len(clip), draft.kept + len(kept)


def jpeg(pixels: Pixels, side_px: int) -> bytes:
    from PIL import Image

    image = Image.fromarray(pixels)
    image.thumbnail((side_px, side_px), Image.Resampling.BOX, reducing_gap=2.0)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=THUMBNAIL_QUALITY)
    return out.getvalue()


class SegmentWorker:
    """A worker process: keeps its tools and the two sources used last, and turns (location, segment) into memory."""

    def __init__(self, settings: Settings) -> None:
        self._tools = Tools.build(settings)
        self._open = lru_cache(maxsize=2)(partial(_opened, settings=settings))

    def __call__(self, location: str, segment: Segment) -> SegmentMemory:
        source, subtitles = self._open(location)
        if source.recording.recording_id != segment.recording_id:
            raise SourceError(f"{location!r} changed while it was being indexed", hint="index it again")
        return remember(source, segment, self._tools, subtitles)


def _opened(location: str, *, settings: Settings) -> tuple[Source, Sequence[TextRow]]:
    source = open_source(location, settings)
    return source, source.texts()

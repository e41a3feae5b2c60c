"""One segment from bytes to memory: decode, gate, encode, merge, read. Runs in-process, in a worker process or anywhere else."""

import hashlib
import io
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from footage.addresses import is_live, without_credentials
from footage.arrays import Pixels
from footage.carriers import Carrier, SegmentMemory, carriers_of
from footage.errors import ConfigError
from footage.frames import Clip
from footage.protocols import Encoder, Gate, Merger, Source
from footage.recordings import Gap, Segment, TextRow
from frame_select.gate import ChangeGate, KeepAllGate
from ingest.channels.channel import Guarded
from ingest.file_source import FileSource
from ingest.synthetic import PREFIX, SyntheticSource
from memory.encoders.registry import load_encoder
from memory.mergers import merger
from memory.quantized import quantized
from workers.channels import Readers, failures
from workers.config import Settings
from workers.known_encoders import Names
from workers.models import encoder_name
from workers.tables import table_at
from workers.two_towers import TwoTowers

THUMBNAIL_QUALITY = 80


@dataclass(frozen=True)
class Tools:
    """What turns frames into memory; built once per process."""

    settings: Settings
    encoder: Encoder
    merger: Merger
    reader: Readers

    @classmethod
    def build(cls, settings: Settings) -> "Tools":
        index = settings.index
        encoder = _encoder(settings, index.encoder)
        if index.carriers:
            encoder = TwoTowers.load(encoder, index.carriers, settings)
        return cls(settings, encoder, merger(index.merger), Readers.build(settings, reads_text=reads_text(settings)))

    def like(self, names: Names, encoder_id: str) -> Encoder:
        """Another encoder, loaded the same way, as a library remembers it."""
        encoder = _encoder(self.settings, names.encoder)
        if not names.carriers:
            return encoder
        return TwoTowers.load(encoder, names.carriers, self.settings, carriers=encoder_id.removeprefix(f"{encoder.id}+"))

    def gate(self, *, may_drop_first: bool = False) -> Gate:
        """A fresh one for each segment: segments know nothing of each other. may_drop_first: see ChangeGate."""
        changes = self.settings.index.gate == "change"
        return ChangeGate(self.settings.gate, may_drop_first=may_drop_first) if changes else KeepAllGate()

    @cached_property
    def generation(self) -> str:
        """What wrote the memory: encoder, merger and a hash of every setting that shapes it. Not of index.tokens: what it rounds can be
        compared with what it does not."""
        s = self.settings
        shaping: dict[str, Any] = {
            "sampling": {k: v for k, v in asdict(s.sampling).items() if k not in ("threads", "decoder")},
            "gate": [s.index.gate, asdict(s.gate)],
            "merge": [self.merger.id, s.index.tokens_per_carrier],
            "ocr": asdict(s.ocr) | {"threads": 0} if self.reader.ocr else None,
            "side_px": [s.index.side_px, s.index.ocr_side_px, s.index.thumbnail_px],
        } | self.reader.shaping
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
    if is_live(location):
        shown = without_credentials(location)
        raise ConfigError(
            f"{shown!r} is a live stream, it has no end", hint=f"watch it: footage watch {shown!r}; then ask without naming it"
        )
    table = table_at(location, settings)
    return FileSource.of(table, settings.sampling, max_side_px=longest_side_px(settings), limits=settings.limits)


def longest_side_px(settings: Settings) -> int:
    """Of the frames that are looked at."""
    objects_px = settings.objects.side_px if settings.objects.model else 0
    return max(settings.index.side_px, settings.index.ocr_side_px if reads_text(settings) else 0, objects_px)


class Draft:
    """A segment's memory while it grows: what was seen goes in, in time order, and what there is so far comes out at any time."""

    def __init__(self, recording_id: str, tools: Tools) -> None:
        self.tools, self.gate = tools, tools.gate()
        self.reading = tools.reader.segment(recording_id)
        self.hearing: Guarded | None = None
        self.carriers: list[Carrier] = []
        """Not merged yet: one for each frame that was kept."""
        self.thumbnails: list[bytes] = []
        self.gaps: list[Gap] = []
        self.seen = self.kept = 0
        self.seconds: dict[str, float] = {}

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - begun

    def add(self, item: Clip | Gap) -> None:
        """Look at a clip, or keep that there was nothing to be seen."""
        if isinstance(item, Gap):
            self.gaps.append(item)
            return
        with self.timed("gate"):
            kept = item.take(self.gate.keep(item))
        self.remember(kept)
        self.seen += len(item)

    def remember(self, kept: Clip) -> None:
        """Encode and read what the gate has let through."""
        with self.timed("encode"):
            self.carriers += carriers_of(self.tools.encoder.encode(kept))
            self.thumbnails += [jpeg(pixels, self.tools.settings.index.thumbnail_px) for pixels in kept.pixels]
        self.read(kept)
        self.kept += len(kept)

    def read(self, kept: Clip) -> None:
        if self.reading is not None:
            self.reading.add(kept, self.timed)

    def rows(self) -> list[TextRow]:
        """What was read so far."""
        with self.timed("ocr"):
            return self.reading.rows() if self.reading else []

    def hear(self, source: Source, segment: Segment) -> list[TextRow]:
        """What is said in a segment, where its sound is read."""
        self.hearing = self.tools.reader.hearing(source, segment)
        if self.hearing is None:
            return []
        with self.timed("speech"):
            return self.hearing.rows()

    def merged(self) -> list[Carrier]:
        return self.merge(self.carriers)

    def merge(self, carriers: Sequence[Carrier]) -> list[Carrier]:
        budget = self.tools.settings.index.tokens_per_carrier * len(carriers)
        return self.tools.merger.merge(carriers, max_tokens=budget) if carriers else []

    def memory(self, segment: Segment, texts: Sequence[TextRow] = ()) -> SegmentMemory:
        """What there is so far, as the memory of a segment that ends here; texts: rows that came with the source."""
        with self.timed("merge"):
            carriers = self.merged()
        made = SegmentMemory(
            segment, tuple(carriers), tuple(self.thumbnails) if len(self.thumbnails) == len(carriers) else (),
            (*self.rows(), *texts), tuple(self.gaps), self.seen, self.kept,
            {stage: round(seconds, 3) for stage, seconds in self.seconds.items()},
            failures(*(self.reading.channels if self.reading else ()), self.hearing),
        )  # fmt: skip
        return quantized(made) if self.tools.settings.index.tokens == "int8" else made


def remember(
    source: Source,
    segment: Segment,
    tools: Tools,
    subtitles: Sequence[TextRow],
    *,
    decoding: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> SegmentMemory:
    """Decode one segment and make its memory. Depends on nothing but source, segment and settings: same in, same out.

    subtitles: source.texts(), read once for all segments. decoding: entered while frames are decoded.
    """
    draft, clips = Draft(segment.recording_id, tools), source.clips(segment)
    while True:
        with draft.timed("decode"), decoding():
            item = next(clips, None)
        if item is None:
            texts = subtitles_of(segment, subtitles, source.recording.duration_s)
            return draft.memory(segment, [*texts, *draft.hear(source, segment)])
        draft.add(item)


def subtitles_of(segment: Segment, rows: Sequence[TextRow], duration_s: float) -> list[TextRow]:
    """The rows that begin in a segment; the last one also takes lines that outlast the picture."""
    is_last = segment.span.end_s >= duration_s - 1e-6
    return [row for row in rows if row.span.start_s in segment.span or (is_last and row.span.start_s >= segment.span.end_s)]


def jpeg(pixels: Pixels, side_px: int) -> bytes:
    from PIL import Image

    image = Image.fromarray(pixels)
    image.thumbnail((side_px, side_px), Image.Resampling.BOX, reducing_gap=2.0)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=THUMBNAIL_QUALITY)
    return out.getvalue()

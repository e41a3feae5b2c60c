"""Carrier, SegmentMemory and MemoryView: what memory keeps, how it arrives, what a reader may hold of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from footage.arrays import AnyArray, Embeds, Seconds, Tokens, halved, is_square_grid, shape_text
from footage.frames import EncodedClip
from footage.nested import nested
from footage.recordings import Gap, Segment, TextRow
from footage.timespan import TimeSpan


@dataclass(frozen=True, slots=True, eq=False)
class Carrier:
    """One or many frames, merged."""

    recording_id: str
    spans: tuple[TimeSpan, ...]
    """All the time it stands for: sorted, disjoint (merges need not be adjacent)."""
    anchor_s: float
    """Decode here to see what it saw; lies inside spans."""
    weight_s: float
    """Seconds of video it stands for: the sum of its spans."""
    tokens: Tokens
    """(K, D) float16."""
    embed: Embeds
    """(E,) float32, unit length."""
    is_nested: bool = False
    """Tokens stand in the order of footage.nested: any beginning of them can be read. Else the encoder or a merger left them so."""

    def __post_init__(self) -> None:
        if not self.spans or any(a.end_s > b.start_s + 1e-9 for a, b in zip(self.spans, self.spans[1:], strict=False)):
            raise ValueError(f"spans must be sorted and disjoint, got {[str(s) for s in self.spans]}")
        if abs(self.weight_s - sum(s.duration_s for s in self.spans)) > 1e-3:
            raise ValueError(f"weight_s {self.weight_s} is not the length of the spans")
        if not any(s.start_s - 1e-9 <= self.anchor_s < s.end_s for s in self.spans):
            raise ValueError(f"anchor_s {self.anchor_s} lies outside {[str(s) for s in self.spans]}")
        if self.tokens.ndim != 2 or self.tokens.dtype != np.float16:
            raise ValueError(f"tokens must be float16 (K, D), got {shape_text(self.tokens)}")
        if self.embed.ndim != 1 or self.embed.dtype != np.float32:
            raise ValueError(f"embed must be float32 (E,), got {shape_text(self.embed)}")

    @property
    def span(self) -> TimeSpan:
        """The hull of all it stands for."""
        return TimeSpan(self.spans[0].start_s, self.spans[-1].end_s)

    def __repr__(self) -> str:
        return f"Carrier({self.recording_id} {self.span} weight={self.weight_s:.3f}s {shape_text(self.tokens)})"


def pooled(carrier: Carrier, at_most: int) -> Carrier:
    """The same carrier at the finest level of at most so many tokens: squares of its grid averaged, 64 to 16 to 4 to 1.

    Tokens that are no such grid come back as they are; nested ones have no places left to average, and lose their end instead.
    """
    if carrier.is_nested:
        return detailed(carrier, at_most)
    tokens = carrier.tokens.astype(np.float32)
    while len(tokens) > at_most and is_square_grid(len(tokens)):
        tokens = halved(tokens)
    return carrier if len(tokens) == len(carrier.tokens) else replace(carrier, tokens=tokens.astype(np.float16))


def carriers_of(encoded: EncodedClip) -> list[Carrier]:
    """One carrier a frame, standing for the frame's own time."""
    clip = encoded.clip
    return [
        Carrier(clip.recording_id, (TimeSpan(float(start), float(end)),), float(anchor), float(end - start), tokens, embed)
        for start, end, anchor, tokens, embed in zip(
            clip.starts_s, clip.ends_s, clip.anchors_s, encoded.tokens, encoded.embeds, strict=True
        )
    ]


def detailed(carrier: Carrier, at_most: int) -> Carrier:
    """The same carrier in at most so many tokens: its weighted mean, then whole tokens, each unlike all before it (footage.nested)."""
    if len(carrier.tokens) <= at_most:
        return carrier
    if carrier.is_nested:
        return replace(carrier, tokens=carrier.tokens[:at_most])
    return replace(carrier, tokens=nested(carrier.tokens, at_most).astype(np.float16), is_nested=True)


@dataclass(frozen=True, slots=True, eq=False)
class MemoryView:
    """An immutable snapshot over one or many recordings; a reader can hold it while recording goes on.

    Rows are carriers, ordered by recording (as in `recording_ids`) and then by first moment. Keys are arrays and tokens
    are read on demand, so that a view of days costs megabytes.
    """

    generation: str
    """Encoder, merger and settings that wrote it; rows of two generations are never mixed."""
    encoder_id: str
    version: int
    """Grows with every change of the store."""
    recording_ids: tuple[str, ...]
    horizons: Mapping[str, TimeSpan]
    """By recording: everything seen so far."""
    gaps: Mapping[str, tuple[Gap, ...]]
    """By recording: time inside the horizon in which nothing could be seen."""
    which: AnyArray
    """(N,) int32, index into recording_ids."""
    starts_s: Seconds
    """(N,) hull start of each row."""
    ends_s: Seconds
    """(N,) hull end of each row."""
    anchors_s: Seconds
    """(N,)"""
    weights_s: Seconds
    """(N,) seconds of video each row stands for."""
    embeds: Embeds
    """(N, E)"""
    load: Callable[[Sequence[int]], list[Carrier]]
    """Reads whole carriers, tokens included, by row."""

    def __post_init__(self) -> None:
        for name in ("which", "starts_s", "ends_s", "anchors_s", "weights_s"):
            if getattr(self, name).shape != (len(self.embeds),):
                raise ValueError(f"{name} must have shape ({len(self.embeds)},), got {getattr(self, name).shape}")

    def __len__(self) -> int:
        return len(self.embeds)

    @classmethod
    def joined(cls, views: Sequence["MemoryView"]) -> "MemoryView":
        """One view over several of different recordings and one encoder, in the order given; at least one."""
        if len(views) == 1:
            return views[0]
        first_rows = np.cumsum([0, *(len(view) for view in views)])
        first_ids = np.cumsum([0, *(len(view.recording_ids) for view in views)])

        def load(rows: Sequence[int]) -> list[Carrier]:
            owners = np.searchsorted(first_rows, rows, side="right") - 1
            return [views[k].load([row - int(first_rows[k])])[0] for row, k in zip(rows, owners.tolist(), strict=True)]

        def rows(name: str) -> AnyArray:
            return np.concatenate([getattr(view, name) for view in views])

        which = np.concatenate([view.which + k for view, k in zip(views, first_ids.tolist(), strict=False)]).astype(np.int32)
        return cls(
            "+".join(dict.fromkeys(view.generation for view in views)),
            views[0].encoder_id,
            max(view.version for view in views),
            tuple(name for view in views for name in view.recording_ids),
            {name: span for view in views for name, span in view.horizons.items()},
            {name: gaps for view in views for name, gaps in view.gaps.items()},
            which, rows("starts_s"), rows("ends_s"), rows("anchors_s"), rows("weights_s"), rows("embeds"), load,
        )  # fmt: skip

    def span(self, row: int) -> TimeSpan:
        return TimeSpan(float(self.starts_s[row]), float(self.ends_s[row]))

    def recording_of(self, row: int) -> str:
        return self.recording_ids[int(self.which[row])]

    def __repr__(self) -> str:
        return f"MemoryView({len(self)} rows of {len(self.recording_ids)} recordings, {self.generation}, v{self.version})"


@dataclass(frozen=True, slots=True, eq=False)
class SegmentMemory:
    """All that one segment left behind; committed as one step, or not at all."""

    segment: Segment
    carriers: tuple[Carrier, ...]
    """In time order; with the gaps they tile segment.span."""
    thumbnails: tuple[bytes, ...] = ()
    """JPEG, one per carrier, or none at all; b"" where there is no picture."""
    texts: tuple[TextRow, ...] = ()
    gaps: tuple[Gap, ...] = ()
    frames_seen: int = 0
    frames_kept: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Work by stage: decode, gate, encode, merge, ocr, objects, speech."""
    failed: Mapping[str, str] = field(default_factory=dict)
    """Channels that lost their rows of this segment, and why; told, and not kept."""
    level: int = 0
    """How far it has aged: 0 as it was made, more after retention made it coarser."""
    novelty: float = 0.0
    """How unlike its rarest moment is to what the recording usually shows, 0 to 1; 0 also while nobody has looked."""
    forgotten: Mapping[str, float] = field(default_factory=dict)
    """Where retention made it coarser: "carriers" and "tokens" as they were made, "unix_s" when it was last made coarser."""

    def __post_init__(self) -> None:
        if self.thumbnails and len(self.thumbnails) != len(self.carriers):
            raise ValueError(f"{len(self.thumbnails)} thumbnails for {len(self.carriers)} carriers")

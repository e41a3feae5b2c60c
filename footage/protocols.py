"""The eight seams. Each has a weightless implementation and one that earns its keep; tests/contracts_*.py hold their suites."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol

from footage.arrays import Bools, Embeds
from footage.carriers import Carrier, MemoryView, SegmentMemory
from footage.costs import Meter
from footage.frames import Clip, EncodedClip, Frame
from footage.questions import Budget, Evidence, Plan, Query, Question, Redecode
from footage.recordings import Gap, Recording, Segment, TextRow
from footage.timespan import TimeSpan


class Source(Protocol):
    """Bytes to clips, forward only."""

    @property
    def recording(self) -> Recording: ...

    @property
    def worst_lateness_s(self) -> float:
        """How long something can be on screen before a sample shows it; known before anything is decoded."""
        ...

    def segments(self) -> Iterator[Segment]:
        """The units of work, in time order; they tile the recording and are the same in every process."""
        ...

    def clips(self, segment: Segment) -> Iterator[Clip | Gap]:
        """Sampled frames of one segment, in time order and bounded batches; with the gaps they tile segment.span.

        Raises:
            DecodeError: the whole source is beyond use. A damaged stretch is a Gap, not an error.
        """
        ...

    def texts(self) -> Sequence[TextRow]:
        """Rows that come with the source: subtitles inside the container or beside the file."""
        ...


class Fetcher(Protocol):
    """Random access to the past."""

    def extent(self, recording_id: str) -> TimeSpan | None:
        """What can be fetched right now; None when the source is away."""
        ...

    def fetch(self, requests: Sequence[Redecode]) -> list[Frame]:
        """The frame on screen at each time_s, in the order asked; longer side at most max_side_px, never enlarged.

        Raises:
            SourceNotFound: the file is away. DecodeError: no frame can be decoded at that time.
        """
        ...


class Gate(Protocol):
    """Which frames earn encoding. Knows no question; keeps state within one segment."""

    def keep(self, clip: Clip) -> Bools:
        """(T,) bool, first entry always True: clip length bounds what can go unseen."""
        ...


class Encoder(Protocol):
    @property
    def id(self) -> str: ...

    @property
    def floor(self) -> float:
        """Cosine below which a match between picture and text means nothing."""
        ...

    def encode(self, clip: Clip) -> EncodedClip:
        """Batching is invisible: a clip at once or frame by frame, the same result to a stated tolerance."""
        ...

    def embed_text(self, texts: Sequence[str]) -> Embeds:
        """(Q, E) unit rows; an all-zero row where the encoder knows none of the words."""
        ...


class Merger(Protocol):
    """Pure: no state, no clock, no randomness."""

    @property
    def id(self) -> str: ...

    def merge(self, carriers: Sequence[Carrier], *, max_tokens: int) -> list[Carrier]:
        """At most max_tokens in all (one token of one carrier at the least); time and the sum of weight x tokens kept."""
        ...


class Store(Protocol):
    """One writer, many readers. The truth: every index is a cache that can be rebuilt from it."""

    def add(self, recording: Recording, name: str, *, location: str = "") -> None:
        """Remember a recording under a name; again, under another name, or after a crash changes nothing else."""
        ...

    def commit(self, memory: SegmentMemory, *, generation: str, encoder_id: str) -> bool:
        """Keep one segment's memory, whole or not at all; False when that segment is already there.

        Raises:
            StoreError: the recording was never added, or the disk refuses.
        """
        ...

    def committed(self, recording_id: str, generation: str) -> Mapping[int, TimeSpan]:
        """Segments already kept: index to span."""
        ...

    def rewrite(self, memory: SegmentMemory, *, generation: str, encoder_id: str) -> None:
        """Replace one segment's memory, after merging it again; atomic for readers."""
        ...

    def replace(
        self, recording_id: str, memories: Sequence[SegmentMemory], *, gone: Sequence[int], generation: str, encoder_id: str
    ) -> None:
        """The segments `gone` leave and `memories` come, in one step for readers: how several segments become one wider one.

        A memory also takes the place of what is kept under its own index.

        Raises:
            StoreError: one of `gone` is not kept, or the disk refuses; nothing has changed then.
            ValueError: a memory of another recording, or two of one index.
        """
        ...

    def recordings(self) -> list[Recording]: ...

    def names(self, recording_id: str) -> tuple[str, ...]: ...

    def locations(self, recording_id: str) -> tuple[str, ...]:
        """Where the source was last seen, newest first."""
        ...

    def view(
        self, recording_ids: Sequence[str] | None = None, *, generation: str, segments: Mapping[str, Collection[int]] | None = None
    ) -> MemoryView:
        """A snapshot, of all recordings when none are named.

        segments: by recording the indices of those whose carriers are wanted; horizons and gaps stay those of the whole recording.

        Raises:
            NothingRecorded: no segment of that generation is kept for any of them.
        """
        ...

    def texts(self, recording_ids: Sequence[str] | None = None, *, match: str = "", limit: int = 0) -> list[TextRow]:
        """Text rows in time order, adjacent equal ones joined; with `match`, best match first (word search); 0: no limit."""
        ...

    def thumbnail(self, recording_id: str, time_s: float, *, generation: str) -> bytes | None:
        """JPEG of the carrier that stands for that time; None where none was kept."""
        ...


class Selector(Protocol):
    """Pure: view, query and budget to a plan."""

    @property
    def name(self) -> str: ...

    def select(self, query: Query, view: MemoryView, budget: Budget, *, extents: Mapping[str, TimeSpan] | None = None) -> Plan:
        """Exact in its budget, deterministic, total. Re-decodes only inside extents[recording_id]; none without extents."""
        ...


class Answerer(Protocol):
    """Question and evidence to words. It may only point at evidence, by its place in the list: [1], [2] ..."""

    @property
    def id(self) -> str: ...

    def stream(
        self, question: Question, evidence: Sequence[Evidence], *, meter: Meter | None = None, overview: Sequence[Evidence] = ()
    ) -> Iterator[str]:
        """Pieces of the answer as they are made; "not streaming" is "".join. Without evidence it says that there is none.

        meter: told of every prompt that a model reads. overview: each recording in few tokens, the same for every question on a view;
        nothing that can be pointed at, and ignored by those that have no place for it.
        """
        ...

"""What Redis keeps of recordings and segments beside payloads, as text."""

import json
from dataclasses import asdict, dataclass, replace

from footage.carriers import SegmentMemory
from footage.recordings import Recording, Segment
from footage.timespan import TimeSpan
from memory.redis.payloads import chunk_count
from memory.segment_rows import rows_of, with_rows
from memory.view import SegmentFacts


@dataclass(frozen=True, slots=True)
class RecordingRow:
    recording: Recording
    names: tuple[str, ...] = ()
    locations: tuple[str, ...] = ()
    """Newest first."""

    @classmethod
    def parse(cls, text: str) -> "RecordingRow":
        row = json.loads(text)
        return cls(Recording(**row["recording"]), tuple(row["names"]), tuple(row["locations"]))

    def seen(self, recording: Recording, name: str, location: str) -> "RecordingRow":
        """The newest facts win; one more name and place where it was seen."""
        names = self.names if name in self.names else (*self.names, name)
        places = (location, *(each for each in self.locations if each != location)) if location else self.locations
        return RecordingRow(recording, names, places)

    def __str__(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)


@dataclass(frozen=True, slots=True, eq=False)
class SegmentRow:
    memory: SegmentMemory
    """Without carriers and pictures."""
    facts: SegmentFacts
    encoder_id: str
    embed_dim: int
    """0 where no carrier was kept."""

    @classmethod
    def parse(cls, recording_id: str, generation: str, text: str) -> "SegmentRow":
        _, payload, own = text.split(" ", 2)
        row = json.loads(own)
        bare = SegmentMemory(Segment(recording_id, 0, TimeSpan(0.0, 1.0)), (), seconds=row["seconds"])
        memory = with_rows(bare, json.dumps(row["rows"]).encode())
        facts = SegmentFacts.of(memory, generation, size_bytes=row["size_bytes"], file=payload)
        facts = replace(facts, carriers=row["carriers"], tokens=row["tokens"])
        return cls(memory, facts, row["encoder_id"], row["embed_dim"])


def segment_text(memory: SegmentMemory, facts: SegmentFacts, encoder_id: str, by: str) -> str:
    """CHUNKS PAYLOAD JSON. by: names this one commit, so that a writer knows it again."""
    row = {
        "size_bytes": facts.size_bytes, "carriers": facts.carriers, "tokens": facts.tokens, "seconds": dict(facts.seconds),
        "encoder_id": encoder_id, "embed_dim": embed_dim(memory), "rows": json.loads(rows_of(memory)), "by": by,
    }  # fmt: skip
    return f"{chunk_count(facts.size_bytes)} {facts.file} {json.dumps(row, separators=(',', ':'))}"


def embed_dim(memory: SegmentMemory) -> int:
    return len(memory.carriers[0].embed) if memory.carriers else 0

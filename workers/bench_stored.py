"""`footage bench size`: bytes an hour of what is kept, by level and encoding, beside all tokens of all sampled frames.

Only shapes and the gate decide on bytes, so towers are stood in for by noise of their shapes, and no checkpoint is needed.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from footage.carriers import SegmentMemory, detailed
from memory.aging import aged
from memory.quantized import quantized
from memory.retention import Rewrite
from memory.segment_format import pack
from nano.world import World, WorldConfig
from workers.config import IndexConfig, Settings
from workers.eval_report import Report
from workers.remember import Tools, open_source, remember

LEVELS = (16, 4, 1)
JOINED = {"in 8 s": 6, "in 64 s": 9}
"""Levels of memory.retention at which a segment has one carrier in so long a time; its defaults come to the first within a week."""
HOT, COLD = "16 tokens, int8", "1 token, int8, 1-bit keys, one in 8 s"
BARS = {HOT: 0.05, COLD: 0.005}
Shorter = Callable[[SegmentMemory], SegmentMemory]


@dataclass(frozen=True, slots=True)
class Tower:
    """What a language model reads of a frame, and what the frame is found by."""

    name: str
    tokens: int
    width: int
    key_width: int

    @property
    def raw_bytes(self) -> int:
        """Of a frame, all its tokens in float16."""
        return 2 * self.tokens * self.width


TOWERS = (
    Tower("nano", 64, 192, 192),
    Tower("SigLIP2 base, 224 px", 196, 768, 768),
    Tower("SmolVLM 2.2B", 81, 2048, 1152),
    Tower("Qwen2.5-VL 7B, 16:9", 126, 3584, 1152),
)


@dataclass(frozen=True, slots=True)
class StoredRun:
    files: tuple[Path, ...] = ()
    """Footage; none: nano worlds, drawn in the folder."""
    folder: Path = Path("eval")
    worlds: int = 2
    duration_s: float = 1200.0

    def footage(self) -> list[Path]:
        configs = () if self.files else (WorldConfig(600 + n, "test", self.duration_s) for n in range(self.worlds))
        drawn = [World.make(c).write(self.folder / f"world-{c.split}-{c.seed}-{round(c.duration_s)}s.mp4", []) for c in configs]
        return [*self.files, *drawn]


def run_stored(run: StoredRun) -> Report:
    """By tower and form, bytes an hour and their share of all tokens of all sampled frames; thumbnails apart."""
    report = Report("bench size", asdict(run))
    tools = Tools.build(Settings(index=IndexConfig(encoder="color", ocr="off", merger="keep", tokens="float16")))
    seen = {path.name: _seen(path, tools) for path in run.footage()}
    every = [memory for memories in seen.values() for memory in memories]
    for tower in TOWERS:
        rows = [{"tower": tower.name, **row} for row in _forms(every, tower)]
        report.rows = [*report.rows, *rows]
        report.table(f"{tower.name}: {tower.tokens} tokens of {tower.width}, keys of {tower.key_width}", [_shown(row) for row in rows])
        for row in rows:
            if row["kept as"] in BARS:
                report.bar(f"{tower.name}, {row['kept as']}: what is saved of all tokens", 1 - row["of raw"], 1 - BARS[row["kept as"]])
    report.table(f"by footage, {TOWERS[1].name}", [_by_film(name, memories) for name, memories in seen.items()])
    return report


def _seen(path: Path, tools: Tools) -> list[SegmentMemory]:
    """What the gate keeps, a frame a carrier."""
    source = open_source(str(path), tools.settings)
    return [remember(source, segment, tools, ()) for segment in source.segments()]


def _forms(memories: Sequence[SegmentMemory], tower: Tower) -> list[dict[str, Any]]:
    """Raw, every form, and the thumbnails that no form counts."""
    raw = sum(memory.frames_seen for memory in memories) * tower.raw_bytes
    hours = sum(memory.segment.span.duration_s for memory in memories) / 3600
    noisy = [_noise(memory, tower) for memory in memories]
    rows = [{"kept as": "all tokens of all frames, float16", "bytes an hour": raw / hours, "of raw": 1.0}]
    for name, shorter in FORMS.items():
        held = sum(len(pack(replace(shorter(memory), thumbnails=()))) for memory in noisy)
        rows.append({"kept as": name, "bytes an hour": held / hours, "of raw": held / raw})
    thumbnails = sum(len(jpeg) for memory in memories for jpeg in memory.thumbnails)
    rows.append({"kept as": "thumbnails, beside them", "bytes an hour": thumbnails / hours, "of raw": thumbnails / raw})
    return rows


def _at(memory: SegmentMemory, level: int) -> SegmentMemory:
    return replace(memory, carriers=tuple(detailed(carrier, level) for carrier in memory.carriers))


def _joined(memory: SegmentMemory, level: int) -> SegmentMemory:
    """As memory.aging leaves it; nothing in it is rare."""
    return aged([memory], Rewrite((memory.segment.index,), level, 0, 0), np.empty((0, 0), np.float32), 0.0)


def _made_forms() -> dict[str, Shorter]:
    """By name, how a segment with 16 tokens a carrier becomes it."""
    forms: dict[str, Shorter] = {}
    for level in LEVELS:
        forms[f"{level} token{'s' * (level > 1)}, float16"] = partial(_at, level=level)
        forms[f"{level} token{'s' * (level > 1)}, int8"] = partial(_eight_bits, at=partial(_at, level=level))
    cold = {"": partial(_at, level=1)} | {f", one {name}": partial(_joined, level=level) for name, level in JOINED.items()}
    for name, at in cold.items():
        forms[f"1 token, int8{name}"] = partial(_eight_bits, at=at)
        forms[f"1 token, int8, 1-bit keys{name}"] = partial(_eight_bits, at=at, one_bit=True)
    return forms


def _eight_bits(memory: SegmentMemory, at: Shorter, *, one_bit: bool = False) -> SegmentMemory:
    return quantized(at(memory), one_bit=one_bit)


FORMS = _made_forms()


def _noise(memory: SegmentMemory, tower: Tower) -> SegmentMemory:
    """The same carriers as that tower would have made them, nested."""
    rng, carriers = np.random.default_rng(memory.segment.index), []
    for carrier in memory.carriers:
        tokens, key = rng.standard_normal((LEVELS[0], tower.width), np.float32), rng.standard_normal(tower.key_width, np.float32)
        carriers.append(replace(carrier, tokens=tokens.astype(np.float16), embed=key / np.linalg.norm(key), is_nested=True))
    return replace(memory, carriers=tuple(carriers))


def _by_film(name: str, memories: Sequence[SegmentMemory]) -> dict[str, Any]:
    seen, kept = sum(m.frames_seen for m in memories), sum(len(m.carriers) for m in memories)
    shares = {row["kept as"]: f"{row['of raw']:.2%}" for row in _forms(memories, TOWERS[1]) if row["kept as"] in BARS}
    return {"footage": name, "frames seen": seen, "kept by the gate": f"{kept / max(seen, 1):.0%}", **shares}


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {"kept as": row["kept as"], "MB an hour": f"{row['bytes an hour'] / 1e6:,.3g}", "of raw": f"{row['of raw']:.2%}"}

"""Worlds to measure on: rendered once, indexed once, kept in a folder."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nano.world import World, WorldConfig, WorldQuestion
from workers.engine import Library, open_library

NANO: dict[str, Any] = {"encoder": "nano", "ocr": "off", "side_px": 128, "thumbnail_px": 128}
"""Merger and tokens are those that everyone gets; signs are read by the model itself."""
NANO_INDEX = NANO | {"merger": "pool", "tokens_per_carrier": 64}
"""Full tokens, 64 a frame."""
NANO_ASK: dict[str, Any] = {"model": "nano", "moments": 6, "ground": False}


@dataclass(frozen=True, slots=True)
class Filmed:
    """A world, its film and its recording in a library."""

    world: World
    questions: list[WorldQuestion]
    path: Path
    recording_id: str


def open_nano(folder: Path, *, model: str = "nano", index: Mapping[str, Any] = NANO_INDEX, alone: bool = False) -> Library:
    """A library in a folder, read by nano's tower. model: who answers, nano or a checkpoint that reads the same carriers.

    alone: every question pays for all that is read for it; nothing is kept from the one before.
    """
    return open_library(str(folder), index=dict(index), ask=NANO_ASK | {"model": model} | ({"prefix_mib": 0} if alone else {}))


def film(library: Library, config: WorldConfig, folder: Path, *, per_kind: int, per_kind_new: int = 0) -> Filmed:
    """Render and index a world, unless that was done before.

    per_kind_new: as many more questions of each kind about pairs and words that training never had.
    """
    world = World.make(config)
    new = [replace(q, id=f"new-{q.id}") for q in world.questions(per_kind_new, seed=1, held_out=True)]
    questions = [*world.questions(per_kind, held_out=False if per_kind_new else None), *new]
    path = world.write(folder / f"world-{config.split}-{config.seed}-{round(config.duration_s)}s.mp4", questions)
    [done] = library.index(path)
    return Filmed(world, questions, path, done.recording)

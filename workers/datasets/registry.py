"""The sets by the names that people use."""

import difflib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from footage.errors import ConfigError
from workers.datasets.choice import read_longvideobench, read_lvbench, read_mlvu, read_video_mme
from workers.datasets.grounding import read_charades_sta, read_extreme_when_bench, read_qvhighlights
from workers.datasets.item import Item
from workers.datasets.streaming import read_ovo_bench

Reader: TypeAlias = Callable[[Path], list[Item]]

SETS: dict[str, Reader] = {
    "video-mme": read_video_mme,
    "longvideobench": read_longvideobench,
    "mlvu": read_mlvu,
    "lvbench": read_lvbench,
    "extremewhenbench": read_extreme_when_bench,
    "charades-sta": read_charades_sta,
    "qvhighlights": read_qvhighlights,
    "ovo-bench": read_ovo_bench,
}


@dataclass(frozen=True, slots=True)
class Found:
    items: tuple[Item, ...]
    """Those whose video is there."""
    missing: tuple[str, ...]
    """One entry for each item left out: where its video was looked for."""


def read_set(name: str, folder: Path) -> Found:
    """All items of a set on local disk.

    Raises:
        ConfigError: no such set or folder; a file that is not laid out as the set is distributed.
    """
    if name not in SETS:
        near = difflib.get_close_matches(name.lower(), SETS, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(f"no set is called {name!r}", hint=f"{hint}known: {', '.join(SETS)}")
    if not folder.is_dir():
        raise ConfigError(f"{str(folder)!r} is no folder", hint=f"give the folder that {name} was downloaded into")
    items = SETS[name](folder)
    if twice := [key for key, count in Counter(item.id for item in items).items() if count > 1]:
        raise ConfigError(f"{name} in {str(folder)!r} has {twice[0]!r} more than once", hint="is the same file there twice?")
    there = {path: path.is_file() for path in {item.video for item in items}}
    return Found(tuple(item for item in items if there[item.video]), tuple(str(item.video) for item in items if not there[item.video]))

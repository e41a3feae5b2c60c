"""`footage timeline`: the scenes of a recording, from the cutter in memory and the words in qa."""

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from footage.carriers import MemoryView
from footage.errors import ConfigError
from footage.protocols import Answerer
from footage.recordings import Gap, Recording
from footage.timespan import TimeSpan, clock_words, subtract
from memory.segmentation import OnlineCutter, scenes
from memory.view import NOT_INDEXED
from qa.answerers.prompt import evenly
from qa.answerers.vlm import VlmAnswerer
from qa.ask import within
from qa.timeline import PER_HOUR, SAME, SHOWN, Scene, Texts, colours_of, edges_of, exact, fewer, limit_of, readable, told_by, typical
from workers.pictures import Pictures
from workers.reading import Reading
from workers.two_towers import finder_of

if TYPE_CHECKING:
    from workers.engine import Library

MIN_S = 2.0
EXACT = PER_HOUR  # above so many scenes edges stay as sampled: each costs a third of a second of decoding or more
LABEL_CHARS = 46


def timeline(
    library: "Library", recording: str, start: float | str | None, end: float | str | None, *, min_s: float = MIN_S, every: bool = False,
    asks: bool = True,
) -> list[Scene]:  # fmt: skip
    """See Library.timeline. asks: the model that answers, where it follows instructions, for the captions."""
    if not min_s > 0:
        raise ConfigError(f"a scene must last longer than 0 s, not {min_s:g}", hint="--min-s 2 is the default")
    facts = recording_of(library, recording)
    scope = library.scope(facts.recording_id, start, end)
    reading = library.whole(scope, "timeline")
    view = within(reading.view(scope.recording_ids), scope.span)
    span = _both(facts.span, scope.span or facts.span)
    gaps = _gaps(view, facts, span)
    runs = _runs(view, gaps, min_s)
    most = None if every else readable(span)
    runs, spans = fewer(runs, edges_of(runs, view, span, gaps), view, min_s=min_s, most=most)
    is_sharp = library.settings.ask.ground and len(spans) <= EXACT
    sharp = exact(spans, facts.recording_id, library.fetcher()) if is_sharp else [(each, False) for each in spans]
    told = _told(library, reading, view, runs, sharp, library.answerer if asks else None)
    return sorted([*told, *(Scene(facts.recording_id, gap.span, gap.reason, "gap", None) for gap in gaps)], key=lambda scene: scene.span)


def recording_of(library: "Library", name: str) -> Recording:
    """The one of that name, or the only one. Raises ConfigError: no such recording, or several."""
    known = [recording for recording, _ in library.recordings()]
    if not name and len(known) != 1:
        names = ", ".join(library.name_of(recording.recording_id) for recording in known[:8])
        raise ConfigError(f"the library holds {len(known)} recordings", hint=f"name one of them: {names}" if names else "index one first")
    wanted = library.resolve(name) if name else known[0].recording_id
    return next(recording for recording in known if recording.recording_id == wanted)


def _both(a: TimeSpan, b: TimeSpan) -> TimeSpan:
    return TimeSpan(max(a.start_s, b.start_s), min(a.end_s, b.end_s))


def _gaps(view: MemoryView, recording: Recording, span: TimeSpan) -> list[Gap]:
    """What could not be seen, and what was not indexed, in time order."""
    unread = [Gap(rest, NOT_INDEXED) for rest in subtract(recording.span, [view.horizons[recording.recording_id]], slack_s=0.1)]
    every = [*view.gaps[recording.recording_id], *unread]
    return sorted(Gap(_both(gap.span, span), gap.reason) for gap in every if gap.span.overlap_s(span) > 0)


def _runs(view: MemoryView, gaps: Sequence[Gap], min_s: float) -> list[slice]:
    """Rows of one scene each, never over a gap, where a cutter that reads forwards or one that reads backwards cuts.

    It cuts once where things begin to move: both ways part a stretch in motion from what stands before and after it. A row that lasts
    min_s is told twice, so that it is seen at rest.
    """
    limit, found = limit_of(view.embeds), []
    parts = np.searchsorted([gap.span.start_s for gap in gaps], view.starts_s, side="right")
    for part in np.unique(parts):
        rows = np.flatnonzero(parts == part)
        fed = np.repeat(rows, 1 + (view.weights_s[rows] >= min_s))
        there, back = (list(scenes(view.embeds[way], _cutter(limit))) for way in (fed, fed[::-1]))
        begins = sorted({int(fed[scene.start]) for scene in there} | {int(fed[len(fed) - scene.stop]) for scene in back})
        found += [slice(a, b) for a, b in zip(begins, [*begins[1:], int(rows[-1]) + 1], strict=True)]
    return found


def _cutter(limit: float) -> OnlineCutter:
    return OnlineCutter(threshold=limit, same=SAME, least=1, most=sys.maxsize)


def _told(
    library: "Library", reading: Reading, view: MemoryView, runs: Sequence[slice], spans: Sequence[tuple[TimeSpan, bool]],
    model: Answerer | None,
) -> list[Scene]:  # fmt: skip
    """Every scene with the best that is known to say of it."""
    [recording_id] = view.recording_ids
    texts = Texts(reading.texts([recording_id]), [span for span, _ in spans])
    by_colour, made = finder_of(library.encoder).id == "color@1", []
    for run, (span, is_exact) in zip(runs, spans, strict=True):
        row = typical(view, run)
        caption, source = "", ""
        if isinstance(model, VlmAnswerer) and model.reading.instructed:  # nano answers, and was never taught to describe
            some = evenly(range(run.start, run.stop), SHOWN)
            caption, source = told_by(model, span, view.load(some)), "model"
        if not caption:
            caption, source = texts.caption(span)
        if not caption and by_colour:
            caption, source = colours_of(view.embeds[row]), "colour"
        looks_s = min(max(float(view.anchors_s[row]), span.start_s), span.end_s - 1e-3)
        made.append(Scene(recording_id, span, caption or "no text", source, looks_s, is_exact or span.start_s == 0.0))
    return made


def scene_json(scene: Scene) -> dict[str, Any]:
    """One line of `footage timeline --json`.

    start_s, end_s: seconds; caption: words, or why nothing could be seen; source: of the caption, "text", "subtitle", "model", "colour",
    "gap" or "" (nothing is known); thumbnail_s: when it looks most like itself, null for a gap; exact: it begins at the very frame of a
    cut, else where sampling saw it first.
    """
    return {
        "start_s": scene.span.start_s, "end_s": scene.span.end_s, "caption": scene.caption, "source": scene.source,
        "thumbnail_s": scene.thumb_s, "exact": scene.is_exact,
    }  # fmt: skip


def print_timeline(found: Sequence[Scene]) -> None:
    """A line a scene, as wide as the terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("time", "what", box=None, header_style="bold", pad_edge=False)
    table.columns[0].no_wrap = table.columns[1].no_wrap = True
    table.columns[0].min_width = max((len(_when(scene)) for scene in found), default=0)
    table.columns[0].justify, table.columns[1].overflow = "right", "ellipsis"
    for scene in found:
        style = "dim" if scene.source in ("gap", "") else ""
        words = f"[gap] {scene.caption}" if scene.source == "gap" else scene.caption
        table.add_row(_when(scene), Text(words, style))
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def _when(scene: Scene) -> str:
    return f"{clock_words(scene.span.start_s)}-{clock_words(scene.span.end_s)}"


def _label(scene: Scene) -> str:
    label = f"{_when(scene)} {scene.caption}"
    return label if len(label) <= LABEL_CHARS else label[: LABEL_CHARS - 3].rstrip() + "..."


def scene_sheet(library: "Library", found: Sequence[Scene], target: Path) -> Path:
    """A picture of each scene with its time, in time order, as PNG or JPEG.

    Raises:
        ConfigError: there is nothing to see in any of them.
    """
    from PIL import Image

    from workers.export import PER_ROW, draw_sheet

    seen = [scene for scene in found if scene.thumb_s is not None]
    looks = Pictures(library).pictures(seen[0].recording_id, [scene.thumb_s or 0.0 for scene in seen]) if seen else []
    cells = [
        (np.asarray(Image.open(io.BytesIO(data)).convert("RGB")), _label(scene))
        for scene, data in zip(seen, looks, strict=True) if data
    ]  # fmt: skip
    if not cells:
        raise ConfigError("there is no picture of any scene", hint="leave --sheet out")
    return draw_sheet([cells[n : n + PER_ROW] for n in range(0, len(cells), PER_ROW)], target)

"""Citations as files: the clip, a contact sheet of its frames, or the whole content of a library as text."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from footage.arrays import Pixels
from footage.errors import FootageError
from footage.frames import Frame
from footage.questions import Moment, Redecode
from footage.timespan import TimeSpan, clock
from ingest.cut import cut
from ingest.file_source import FileFetcher
from ingest.live.archive_cut import cut_archive
from workers.engine import Library
from workers.fetchers import archive_of
from workers.tables import table_at

CELL_PX, LABEL_PX, PER_ROW = 320, 22, 4


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: the file, and the stretch of the recording that it really shows."""

    recording: str
    path: Path
    span: TimeSpan
    note: str = ""
    """Why it is shorter than asked, in words."""


def export_clip(library: Library, recording_id: str, span: TimeSpan, target: Path, *, exact: bool = False) -> Exported:
    """Raises SourceNotFound when the recording's file is away, SourceError when nothing of a stream's span is kept any more."""
    archive = archive_of(library.store, recording_id)
    if archive is not None:
        shown, note = cut_archive(archive, span, target, exact=exact)
        return Exported(recording_id, target, shown, note)
    files = FileFetcher(library.store.locations, table_at=partial(table_at, settings=library.settings))
    table = files.table(recording_id)
    if table is None:
        raise files.away(recording_id, library.name_of(recording_id))
    return Exported(recording_id, target, cut(table, span, target, exact=exact))


def contact_sheet(library: Library, moments: Sequence[Moment], target: Path) -> Path:
    """A PNG or JPEG picture, one row a moment: frames from its start to its end, each with its time."""
    rows = []
    for moment in moments:
        frames = _frames(library, moment)
        names = [f"{library.name_of(moment.recording_id)[:24]}  ", *[""] * len(frames)]
        rows.append([(f.pixels, f"{name}{clock(f.span.start_s)}") for f, name in zip(frames, names, strict=False)])
    return draw_sheet(rows, target)


def draw_sheet(rows: Sequence[Sequence[tuple[Pixels, str]]], target: Path) -> Path:
    """Pictures (H, W, 3) in rows of at most PER_ROW, each under its label, as a PNG or JPEG."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size=14)
    heights = [max((CELL_PX * len(pixels) // pixels.shape[1] for pixels, _ in row), default=60) + LABEL_PX for row in rows]
    sheet = Image.new("RGB", (CELL_PX * PER_ROW, sum(heights) + 4 * len(rows)), "white")
    draw, top = ImageDraw.Draw(sheet), 0
    for row, height in zip(rows, heights, strict=True):
        for i, (pixels, label) in enumerate(row):
            sheet.paste(Image.fromarray(pixels).resize((CELL_PX - 4, height - LABEL_PX)), (i * CELL_PX + 2, top + LABEL_PX))
            draw.text((i * CELL_PX + 4, top + 3), label, fill="black", font=font)
        top += height + 4
    target.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(target)
    return target


def _frames(library: Library, moment: Moment) -> list[Frame]:
    """Frames spread over a moment; the kept thumbnail where the source is away."""
    inner = np.linspace(moment.span.start_s, moment.span.end_s, PER_ROW + 1)[:-1]
    try:
        requests = [Redecode(moment.recording_id, float(t), CELL_PX * 2) for t in inner]
        return library.fetcher().fetch(requests)
    except FootageError:
        return _thumbnail(library, moment)


def _thumbnail(library: Library, moment: Moment) -> list[Frame]:
    from PIL import Image

    [generation, *_] = library.store.generations(moment.recording_id)
    data = library.store.thumbnail(moment.recording_id, moment.span.start_s, generation=generation)
    if not data:
        return []
    return [Frame(moment.recording_id, moment.span, np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))]

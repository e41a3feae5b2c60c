"""`footage summary`: scenes from the timeline put into sections, told by a model where one follows instructions, and kept."""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from footage.arrays import AnyArray
from footage.carriers import MemoryView
from footage.protocols import Answerer
from footage.questions import Evidence
from footage.recordings import TextRow
from memory.durable import replace_file
from qa.ask import within
from qa.retell import retold, tells, told
from qa.summary import Section, Summary, Told, outline
from qa.timeline import Scene
from workers.timeline import recording_of, timeline

if TYPE_CHECKING:
    from workers.engine import Library

log = logging.getLogger(__name__)
FOLDER = "summaries"
FORMAT = 1  # raise it with every change of what a summary says: those that are kept are then made again
KINDS = {"text": "ocr", "subtitle": "subtitle"}


def summary(library: "Library", recording: str, start: float | str | None, end: float | str | None) -> Summary:
    """See Library.summary."""
    facts = recording_of(library, recording)
    scope = library.scope(facts.recording_id, start, end)
    reading = library.whole(scope, "summary")
    view = within(reading.view(scope.recording_ids), scope.span)
    rows = [row for row in reading.texts(scope.recording_ids) if row.is_wording]
    rows = [row for row in rows if scope.span is None or row.span.overlap_s(scope.span) > 0]
    speaker = library.answerer if tells(library.answerer) else None
    kept = Kept.of(library, view, (start, end), speaker.id if speaker else "", rows)
    if found := kept.summary():
        return found
    scenes = timeline(library, facts.recording_id, start, end, asks=False)
    made = Summary(
        facts.recording_id, scenes[0].span.hull(scenes[-1].span), sum(scene.source != "gap" for scene in scenes),
        outline(scenes, looks_of(scenes, view), rows),
    )  # fmt: skip
    if speaker is not None:
        made = retold(made, speaker, lambda section: shown(section, scenes, view), kept.told)
    kept.keep(made)
    return made


def looks_of(scenes: Sequence[Scene], view: MemoryView) -> AnyArray:
    """(S, E) the mean of the rows whose middle lies in each scene, weighted by their seconds; zero where there is none."""
    starts = np.array([scene.span.start_s for scene in scenes])
    at = np.clip(np.searchsorted(starts, (view.starts_s + view.ends_s) / 2, side="right") - 1, 0, None)
    looks, seconds = np.zeros((len(scenes), view.embeds.shape[1])), np.zeros(len(scenes))
    np.add.at(looks, at, view.weights_s[:, None] * view.embeds)
    np.add.at(seconds, at, view.weights_s)
    means: AnyArray = looks / np.maximum(seconds, 1e-9)[:, None]
    return means


def shown(section: Section, scenes: Sequence[Scene], view: MemoryView) -> list[Evidence]:
    """What a model sees of a section: of each scene that is quoted its most typical frame, and what stands or is said there."""
    thumbs = {scene.span: scene.thumb_s for scene in scenes}
    items = []
    for quote in (quote for part in section.parts for quote in part.quotes):
        [carrier] = view.load([int(np.argmin(np.abs(view.anchors_s - (thumbs[quote.span] or 0.0))))])
        items.append(Evidence(carrier.recording_id, quote.span, 1.0, carrier, shown=(carrier,)))
        if quote.source in KINDS:
            row = TextRow(carrier.recording_id, quote.span, KINDS[quote.source], quote.text)
            items.append(Evidence(carrier.recording_id, quote.span, 1.0, row))
    return items


class Kept:
    """One summary in a file of the library. It is read only while nothing that it was made from has changed; what a model said of a section
    is taken over as long as that section has not, so that a recording that grows is told where it grew.
    """

    def __init__(self, path: Path, content: str) -> None:
        self._path, self._content = path, content
        self._old, self._new = self._read(), dict[str, Any]()

    @classmethod
    def of(
        cls, library: "Library", view: MemoryView, between: tuple[Any, Any], model: str, rows: Sequence[TextRow]
    ) -> "Kept":  # fmt: skip
        """Named by generation, recording, stretch and model; good for this content."""
        [recording_id] = view.recording_ids
        name = _digest([view.generation, str(between), model])
        files = [facts.file for facts in library.store.segment_facts(recording_id, view.generation)]
        texts = [[row.span.start_s, row.span.end_s, row.kind, row.text] for row in rows]
        content = _digest([FORMAT, files, texts, str(view.gaps[recording_id]), library.settings.ask.ground])
        return cls(library.directory / FOLDER / f"{recording_id}-{name}.json", content)

    def summary(self) -> Summary | None:
        from pydantic import TypeAdapter, ValidationError

        if self._old.get("content") != self._content:
            return None
        try:
            return TypeAdapter(Summary).validate_python(self._old.get("summary"))
        except ValidationError:  # written by another version
            return None

    def told(self, answerer: Answerer, asked: str, shown: Sequence[Evidence]) -> Told:
        """qa.retell.told, or what was said of the very same before. Written at once: what a model takes minutes for is not lost."""
        from pydantic import TypeAdapter

        key = _digest([asked, *(_looks_like(item) for item in shown)])
        if key in self._old.get("told", {}):
            said = TypeAdapter(Told).validate_python(self._old["told"][key])
        else:
            said = told(answerer, asked, shown)
        self._new[key] = asdict(said)
        self._write({"content": "", "told": self._old.get("told", {}) | self._new})
        return said

    def keep(self, made: Summary) -> None:
        self._write({"content": self._content, "summary": asdict(made), "told": self._new})

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self._path.read_text())
        except (OSError, ValueError):  # none yet, or one that a kill cut off
            return {}
        return found if isinstance(found, dict) else {}

    def _write(self, value: dict[str, Any]) -> None:
        try:
            self._path.parent.mkdir(exist_ok=True)
            replace_file(self._path, partial(_dump, value))
        except OSError as error:
            log.warning("the summary could not be kept: %s", error)


def _dump(value: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False))


def _looks_like(item: Evidence) -> list[Any]:
    """What makes evidence the same to a model."""
    if isinstance(item.content, TextRow):
        return [str(item.span), item.content.kind, item.content.text]
    return [str(item.span), *(hashlib.blake2b(carrier.tokens.tobytes(), digest_size=8).hexdigest() for carrier in item.shown)]


def _digest(value: Any) -> str:
    return hashlib.blake2b(json.dumps(value, ensure_ascii=False).encode(), digest_size=8).hexdigest()

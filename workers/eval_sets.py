"""`footage eval set`: the field's own sets, from a folder on this machine, through the same ask() that users call."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from footage.questions import Answer
from footage.timespan import TimeSpan
from workers.datasets.item import Item
from workers.datasets.registry import read_set
from workers.datasets.score import mark, tally
from workers.datasets.score_grounding import score_grounding
from workers.engine import Library
from workers.eval_report import Report
from workers.eval_stats import bootstrap


def run_set(library: Library, name: str, folder: Path, *, limit: int = 0) -> Report:
    """Index the set's videos, ask its questions, score them by its own rules.

    limit: only the first so many questions; 0: all.
    Raises:
        ConfigError: no such set, or a folder that is not laid out like it.
    """
    begun, found = time.perf_counter(), read_set(name, folder)
    items = found.items[:limit] if limit else found.items
    answers = {item.id: _ask(library, item) for item in items}
    rows = [{"id": i.id, "video": str(i.video), "question": i.question, "truth": i.answer, "reply": answers[i.id].text,
             "spans": [str(m.span) for m in answers[i.id].citations]} for i in items]  # fmt: skip
    report = Report("eval set", {"set": name, "folder": folder, "questions": len(items), "videos missing": len(found.missing),
                                 "model": library.settings.ask.model, "encoder": library.encoder.id}, rows)  # fmt: skip
    report.begun = begun
    if any(item.choices or item.answer for item in items):
        report.table(f"{name}: answers", _answers(items, answers))
    if any(item.spans and not item.choices for item in items):
        report.table(f"{name}: grounding", [_grounding(items, answers)])
    return report


def _ask(library: Library, item: Item) -> Answer:
    end = item.asked_at_s
    return library.ask(item.question, str(item.video), choices=item.choices, end=end)


def _answers(items: Sequence[Item], answers: dict[str, Answer]) -> list[dict[str, Any]]:
    """All, then by every group that the set tells apart."""
    marks = [mark(item, answers[item.id].text) for item in items]
    groups = {"all": list(range(len(items)))}
    for n, item in enumerate(items):
        for key, value in item.groups.items():
            groups.setdefault(f"{key}: {value}", []).append(n)
    rows = []
    for group, places in groups.items():
        own = [marks[n] for n in places]
        total = tally(own)
        judged = [n for n in places if marks[n].outcome != "unjudged"]
        if judged:
            accuracy = bootstrap([float(marks[n].is_right) for n in judged], groups=[str(items[n].video) for n in judged])
            rows.append({"questions": group, "right": accuracy, "refused": total.refused, "not understood": total.unparsed})
    return rows


def _grounding(items: Sequence[Item], answers: dict[str, Answer]) -> dict[str, Any]:
    asked = [item for item in items if item.spans]
    found: dict[str, list[TimeSpan]] = {i.id: [m.span for m in answers[i.id].citations] for i in asked}
    score = score_grounding({i.id: i.spans for i in asked}, found)
    videos = [str(i.video) for i in asked]
    recall = {f"R@1, IoU >= {bar}": bootstrap([float(score.ious[i.id] >= bar) for i in asked], groups=videos) for bar in (0.3, 0.5, 0.7)}
    return {"questions": len(asked), **recall, "mean IoU": bootstrap([score.ious[i.id] for i in asked], groups=videos)}

"""`footage demo`: a film whose truth is known, ten questions of ten kinds, answer and truth side by side, and a score."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from footage.questions import Moment
from footage.timespan import TimeSpan
from nano.world import WorldConfig
from workers.eval_films import NANO, film, open_nano
from workers.eval_marks import Marked, mark
from workers.export import contact_sheet, export_clip

WORLD = WorldConfig(seed=7, split="test", duration_s=1200.0)


def run_world_demo(folder: Path, emit: Callable[[dict[str, Any]], None] | None = None, *, config: WorldConfig = WORLD) -> bool:
    """True when at least eight of ten are right and every right answer points into the true time. `emit` takes JSON instead of text."""
    begun = time.perf_counter()
    say: Callable[[str], object] = print if emit is None else (lambda _: None)
    library = open_nano(folder / "library", index=NANO)
    say(f"making and indexing {config.duration_s / 60:g} minutes of nano's world, a film whose whole truth is known ...")
    filmed = film(library, config, folder, per_kind=1)
    say(f"{filmed.path}: {len(filmed.world.events)} events; truth in {filmed.path.with_suffix('.json').name}\n")
    marks: list[Marked] = []
    moments: list[Moment] = []
    for question in filmed.questions:
        answer = library.ask(question.text, recording=filmed.recording_id)
        marks.append(mark(question, "footage", answer))
        moments += answer.citations[:1]
        say(_side_by_side(marks[-1]))
    sheet = contact_sheet(library, moments, folder / "citations.png") if moments else folder
    clip = export_clip(library, moments[-1].recording_id, moments[-1].span, folder / "citation.mp4").path if moments else folder
    right, cited = sum(m.right for m in marks), sum(m.right and m.cited for m in marks)
    took_s = time.perf_counter() - begun
    say(f"{right} of {len(marks)} right, {cited} of those cited at the right time, in {took_s:.0f} s\nlook at {sheet} and {clip}")
    if emit is not None:
        for m in marks:
            emit(_row(m))
        emit({"score": {"asked": len(marks), "right": right, "cited": cited}, "seconds": round(took_s, 1)})
    return right >= 0.8 * len(marks) and cited == right


def _side_by_side(m: Marked) -> str:
    verdict = ("right" if m.right else "WRONG") + ("" if m.cited or not m.right else ", but cited elsewhere")
    return f"Q  {m.question.text}\nA  {m.reply}\n   truth: {_truth(m)}  ->  {verdict}\n"


def _truth(m: Marked) -> str:
    times = ", ".join(str(TimeSpan(a, b)) for a, b in m.question.spans)
    words = {"none": "not in the footage", "": ""}.get(m.question.answer, m.question.answer)
    return f"{words} {times}".strip()


def _row(m: Marked) -> dict[str, Any]:
    """question, kind, answer, truth; right: the answer is the true one; cited: every citation overlaps a true interval."""
    return {"question": m.question.text, "kind": m.question.kind, "answer": m.reply, "truth": _truth(m), "right": m.right, "cited": m.cited}

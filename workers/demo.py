"""`footage demo --harbour`: make a film, index it, ask about it, and check every answer against the truth that is known."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from footage.questions import Answer
from workers.demo_film import QUESTIONS, Asked, write_film
from workers.engine import Library, open_library
from workers.export import contact_sheet, export_clip

EDGE_S = 0.04 + 1e-6  # one frame


def run_demo(folder: Path, emit: Callable[[dict[str, Any]], None] | None = None) -> bool:
    """True when every answer is right and every citation lies where the truth is. `emit` takes JSON instead of text."""
    begun = time.perf_counter()
    say = print if emit is None else (lambda *_: None)
    film = write_film(folder / "harbour.mp4")
    say(f"made {film} (2 minutes, with subtitles in {film.with_suffix('.srt').name})")
    with open_library(str(folder / "library")) as library:
        [done] = library.index(film)
        speed = f"{done.x_realtime:.3g}x real time" if done.x_realtime else "already there"
        say(f"indexed it: {done.frames_kept} of {done.frames_seen} frames kept, {done.text_rows} text rows, {speed}\n")
        rows = [_row(asked, library.ask(asked.question)) for asked in QUESTIONS]
        for row in rows:
            verdict = "right" if row["right"] and row["cited"] else "WRONG"
            say(f"Q  {row['question']}\nA  {row['answer']}\n   truth {row['truth']}  ->  {verdict}\n")
        written = _pictures(library, folder)
    right, cited = sum(r["right"] for r in rows), sum(r["cited"] for r in rows)
    say(f"{right} of {len(rows)} right, {cited} cited at the right time, in {time.perf_counter() - begun:.1f} s; see {written}")
    if emit is not None:
        for row in rows:
            emit(row)
        emit(
            {
                "score": {"asked": len(rows), "right": right, "cited": cited},
                "seconds": round(time.perf_counter() - begun, 1),
            }
        )
    return right == cited == len(rows)


def _row(asked: Asked, answer: Answer) -> dict[str, Any]:
    """question, answer, truth; right: the answer says it; cited: the first citation begins and ends where it should."""
    first = answer.citations[0].span if answer.citations else None
    cited = first is not None and abs(first.start_s - asked.truth.start_s) <= EDGE_S and abs(first.end_s - asked.truth.end_s) <= EDGE_S
    text = answer.text.splitlines()[0]
    return {"question": asked.question, "answer": text, "truth": str(asked.truth), "citation": str(first) if first else None,
            "right": asked.says.lower() in text.lower(), "cited": cited}  # fmt: skip


def _pictures(library: Library, folder: Path) -> str:
    """A contact sheet of the first citations of all questions, and the clip of the last one."""
    moments = [answer.citations[0] for asked in QUESTIONS if (answer := library.ask(asked.question)).citations]
    if not moments:
        return str(folder)
    sheet = contact_sheet(library, moments, folder / "citations.png")
    clip = export_clip(library, moments[-1].recording_id, moments[-1].span, folder / "citation.mp4")
    return f"{sheet} and {clip.path}"

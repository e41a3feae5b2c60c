"""`footage eval`: questions with known answers and intervals through the same ask() that users call, next to uniform sampling."""

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from footage.errors import ConfigError
from footage.questions import Moment
from footage.recordings import TextRow
from footage.timespan import TimeSpan
from qa.rank_text import squeezed
from workers.bench_decode import machine
from workers.engine import Library

IOUS = (0.3, 0.5)


@dataclass(frozen=True, slots=True)
class Case:
    id: str
    video: str
    question: str
    answer: str
    truth: tuple[TimeSpan, ...]


@dataclass(frozen=True, slots=True)
class Scored:
    """One question under one method. recalled: by each of IOUS, whether a moment matches a true interval."""

    case: Case
    recalled: tuple[bool, ...]
    first_iou: float
    """Temporal IoU of the first moment with the best true interval."""
    is_quoted: bool
    """The text quoted with the moments contains the answer."""
    moments: tuple[Moment, ...]
    why_missed: str = ""


def read_cases(file: Path, kinds: Sequence[str]) -> list[Case]:
    """Raises ConfigError where the file is no such list."""
    try:
        rows = json.loads(file.read_text())["questions"]
        return [Case(r["id"], r["video"], r["question"], r["answer"], tuple(TimeSpan(a, b) for a, b in r["intervals"]))
                for r in rows if not kinds or r["kind"] in kinds]  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError) as error:
        shape = "{questions: [{id, video, kind, question, answer, intervals: [[start, end]]}]}"
        raise ConfigError(f"{str(file)!r} is no question file ({error!r})", hint=f"expected {shape}") from error


def run_questions(
    library: Library,
    file: Path,
    videos: Path,
    *,
    kinds: Sequence[str],
    moments: int,
    out: Path | None,
    emit: Callable[[dict[str, Any]], None] | None,
) -> dict[str, Any]:
    """Index what is missing, ask everything, print the table; returns the summary."""
    cases = read_cases(file, kinds)
    recording_of = {
        video: library.index(videos / video, jobs=library.settings.index.jobs)[0].recording for video in sorted({c.video for c in cases})
    }
    ours, uniform = [], []
    for case in cases:
        rows = library.store.texts([recording_of[case.video]])
        answer = library.ask(case.question, recording=recording_of[case.video])
        ours.append(score(case, answer.citations[:moments], [m.text for m in answer.citations[:moments]], rows))
        windows, texts = uniform_moments(library, recording_of[case.video], rows, moments)
        uniform.append(score(case, windows, texts, rows))
    summary = {"questions": len(cases), "moments": moments, "footage": summarise(ours), "uniform": summarise(uniform),
               "settings": {"encoder": library.encoder.id, "model": library.settings.ask.model}, "machine": machine()}  # fmt: skip
    report = _report(summary, ours)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(report)
    if emit is None:
        print(report)
    else:
        for s in ours:
            emit(
                {
                    "id": s.case.id,
                    "recalled": dict(zip(map(str, IOUS), s.recalled, strict=True)),
                    "first_iou": round(s.first_iou, 3),
                    "quoted": s.is_quoted,
                    "why_missed": s.why_missed,
                }
            )
        emit(summary)
    return summary


def uniform_moments(library: Library, recording_id: str, rows: Sequence[TextRow], count: int) -> tuple[list[Moment], list[str]]:
    """The recording cut into equal windows, with all text on screen at the middle of each: what uniform frames would show."""
    [recording] = [r for r, _ in library.recordings() if r.recording_id == recording_id]
    edges = np.linspace(0, recording.duration_s, count + 1).tolist()
    spans = [TimeSpan(a, b) for a, b in itertools.pairwise(edges)]
    texts = [" | ".join(row.text for row in rows if span.middle_s in row.span) for span in spans]
    return [Moment(recording_id, span, 0.0, "image") for span in spans], texts


def score(case: Case, moments: Sequence[Moment], texts: Sequence[str], rows: Sequence[TextRow]) -> Scored:
    ious = [max(m.span.iou(t) for t in case.truth) for m in moments]
    recalled = tuple(any(iou >= bar for iou in ious) for bar in IOUS)
    is_quoted = any(contains(text, case.answer) for text in texts)
    why = "" if recalled[0] and is_quoted else why_missed(case, recalled[0], is_quoted, rows)
    return Scored(case, recalled, ious[0] if ious else 0.0, is_quoted, tuple(moments), why)


def contains(text: str, answer: str) -> bool:
    """All parts of an answer stand in a text, spaces and marks aside ("a, b and c" has three parts)."""
    parts = [squeezed(part) for part in answer.replace(" and ", ",").split(",")]
    return squeezed(answer) in squeezed(text) or all(part in squeezed(text) for part in parts if part)


def why_missed(case: Case, recalled: bool, is_quoted: bool, rows: Sequence[TextRow]) -> str:
    """In words: never read, read but ranked low, or cited over another stretch of time."""
    holders = [r for r in rows if contains(r.text, case.answer) and any(r.span.overlap_s(t) > 0 for t in case.truth)]
    if not holders:
        near = [r.text for r in rows if any(r.span.overlap_s(t) > 0 for t in case.truth)]
        joined = contains(" ".join(near), case.answer)
        return "the answer is spread over several rows" if joined else f"the answer was not read in one piece ({len(near)} rows there)"
    best = max(max(r.span.iou(t) for t in case.truth) for r in holders)
    if is_quoted:
        return f"quoted, but over another stretch of time (best row has IoU {best:.2f})"
    return f"read, but other text ranked higher (its row has IoU {best:.2f})" + ("; the time is right" if recalled else "")


def summarise(scored: Sequence[Scored]) -> dict[str, float]:
    n = max(1, len(scored))
    result = {f"recall_iou_{bar}": round(sum(s.recalled[i] for s in scored) / n, 3) for i, bar in enumerate(IOUS)}
    result["first_iou"] = round(float(np.mean([s.first_iou for s in scored])), 3) if scored else 0.0
    result["quoted"] = round(sum(s.is_quoted for s in scored) / n, 3)
    return result


def _report(summary: dict[str, Any], ours: Sequence[Scored]) -> str:
    settings, machine_ = summary["settings"], summary["machine"]
    lines = [
        f"{summary['questions']} questions, first {summary['moments']} moments, encoder {settings['encoder']}, "
        f"model {settings['model']}; {machine_['cores']} cores, {machine_['cpu']}",
        "",
        "| method | " + " | ".join(f"recall, IoU >= {b}" for b in IOUS) + " | IoU of the first | answer quoted |",
        "|---|---|---|---|---|",
    ]
    for name in ("footage", "uniform"):
        s = summary[name]
        lines.append(
            f"| {name} | " + " | ".join(f"{s[f'recall_iou_{b}']:.0%}" for b in IOUS) + f" | {s['first_iou']:.2f} | {s['quoted']:.0%} |"
        )
    missed = [s for s in ours if not s.recalled[0] or not s.is_quoted]
    lines += ["", f"Missed, or found without the answer's words ({len(missed)}):", ""]
    lines += [f"- {'time missed' if not s.recalled[0] else 'time right'}, {'quoted' if s.is_quoted else 'not quoted'}: {s.case.id} "
              f"\"{s.case.question}\" ({s.case.answer}): {s.why_missed}" for s in missed]  # fmt: skip
    return "\n".join(lines) + "\n"

"""What `--json` prints: each shape is described where it is made."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from footage.questions import Answer, Moment
from workers.recording_job import Done

if TYPE_CHECKING:
    from workers.engine import Library


def moment_json(moment: Moment, library: "Library") -> dict[str, Any]:
    """One citation or search result.

    recording: id; name: what people call it; start_s, end_s: seconds from its start; score: 0 to 1, within its kind;
    kind: "image", "ocr", "subtitle" ...; text: what is written or said there; supported: the evidence bears it out; at: wall clock at
    start_s (ISO 8601, UTC), left out where it is not known, as for files.
    """
    at = library.wall_clock(moment.recording_id, moment.span.start_s)
    return {
        "recording": moment.recording_id, "name": library.name_of(moment.recording_id), "start_s": moment.span.start_s,
        "end_s": moment.span.end_s, "score": moment.score, "kind": moment.kind, "text": moment.text,
        "supported": moment.supported, **({"at": at} if at else {}),
    }  # fmt: skip


def answer_json(answer: Answer, library: "Library") -> dict[str, Any]:
    """`footage ask --json`: text, model, route, choice, found, citations (see moment_json), gaps, plan, warnings, tokens, cost,
    seconds by stage.

    route, choice: see footage.questions.Answer; cost: see footage.costs.Cost.
    """
    return {
        "text": answer.text,
        "model": answer.model,
        "route": answer.route,
        "choice": answer.choice,
        "found": answer.found,
        "citations": [moment_json(m, library) for m in answer.citations],
        "gaps": [{"recording": name, "start_s": g.span.start_s, "end_s": g.span.end_s, "reason": g.reason} for name, g in answer.gaps],
        "plan": answer.plan.to_json(),
        "warnings": list(answer.warnings),
        "tokens": dict(answer.tokens),
        "cost": asdict(answer.cost),
        "seconds": dict(answer.seconds),
    }


def done_json(done: Done) -> dict[str, Any]:
    """One line of `footage index --json`; the fields are described at workers.recording_job.Done."""
    return asdict(done)

"""`footage eval objects`: questions about things, with what a detector has seen, without it, and next to uniform sampling."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from footage.questions import Moment
from footage.recordings import TextRow
from qa.object_names import class_of
from qa.objects import counted
from qa.objects_asked import Sought, sought
from qa.parse import parse
from workers.bench_decode import machine
from workers.engine import Library
from workers.evaluate import IOUS, Case, Scored, read_cases, score, summarise, uniform_moments
from workers.reading import Reading

KINDS = ("object", "count", "needle")


class WordsAlone(Reading):
    """A library without what detectors have seen, to compare with."""

    def texts(self, recording_ids: Sequence[str] | None = None, *, match: str = "", limit: int = 0) -> list[TextRow]:
        return [row for row in super().texts(recording_ids, match=match, limit=limit) if row.is_wording]


class WithoutThings(Library):
    @property
    def memory(self) -> Reading:
        whole = super().memory
        return WordsAlone(whole.store, whole.encoder_id, whole.preferred, whole.encoder_names)


@dataclass(frozen=True, slots=True)
class ObjectsRun:
    file: Path
    videos: Path
    moments: int = 5


@dataclass(frozen=True, slots=True)
class ObjectsReport:
    """Questions that name a class or a kind of classes, by method; each miss with what the rows hold there."""

    run: ObjectsRun
    scored: dict[str, list[Scored]]
    why: dict[str, str]
    """By question, of those that are missed."""
    left_out: list[Case]
    """Of the same kinds, that name no class."""
    facts: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        made = {name: summarise(each) for name, each in self.scored.items()}
        return {"questions": len(self.scored["footage"]), "moments": self.run.moments, **made, "missed": self.why, **self.facts}

    def to_markdown(self) -> str:
        lines = [
            f"{len(self.scored['footage'])} questions of the kinds {', '.join(KINDS)} that name a class of COCO or a kind of them, first "
            f"{self.run.moments} moments; encoder {self.facts['encoder']}, detector {self.facts['detector']}; "
            f"{self.facts['machine']['cores']} cores, {self.facts['machine']['cpu']}",
            "",
            "| method | " + " | ".join(f"recall, IoU >= {bar}" for bar in IOUS) + " | IoU of the first |",
            "|---|---|---|---|",
        ]
        for name, each in self.scored.items():
            told = summarise(each)
            lines.append(f"| {name} | " + " | ".join(f"{told[f'recall_iou_{bar}']:.0%}" for bar in IOUS) + f" | {told['first_iou']:.2f} |")
        lines += ["", f"Missed ({len(self.why)}):", ""]
        lines += [f'- {s.case.id} "{s.case.question}": {self.why[s.case.id]}' for s in self.scored["footage"] if s.case.id in self.why]
        lines += ["", f"Of the same kinds, but naming no class ({len(self.left_out)}):", ""]
        lines += [f'- {case.id} "{case.question}" ({case.answer})' for case in self.left_out]
        return "\n".join(lines) + "\n"


def run_objects(library: Library, run: ObjectsRun) -> ObjectsReport:
    """Index what is missing with the library's settings, and ask everything. Raises ConfigError where the file is no list of questions."""
    cases = read_cases(run.file, KINDS)
    wanted = {case.id: sought(case.question, parse(case.question), ()) for case in cases}
    asked = [case for case in cases if (found := wanted[case.id]) is not None and found.is_subject]
    recording_of = {video: library.index(run.videos / video)[0].recording for video in sorted({case.video for case in asked})}
    without = WithoutThings(library.settings)
    scored: dict[str, list[Scored]] = {"footage": [], "without objects": [], "uniform": []}
    why: dict[str, str] = {}
    for case in asked:
        name = recording_of[case.video]
        rows = library.store.texts([name])
        for method, lib in (("footage", library), ("without objects", without)):
            cited = lib.ask(case.question, recording=name).citations[: run.moments]
            scored[method].append(score(case, cited, [], rows))
        windows, _ = uniform_moments(library, name, (), run.moments)
        scored["uniform"].append(score(case, windows, [], rows))
        if not scored["footage"][-1].recalled[0]:
            why[case.id] = why_missed(case, wanted[case.id], rows, scored["footage"][-1].moments)
    facts = {"encoder": library.encoder.id, "detector": Path(library.settings.objects.model).stem, "machine": machine()}
    return ObjectsReport(run, scored, why, [case for case in cases if case not in asked], facts)


def why_missed(case: Case, wanted: Sought | None, rows: Sequence[TextRow], moments: Sequence[Moment]) -> str:
    """In words: never detected there, seen over another stretch, or ranked too low."""
    things = [row for row in rows if row.kind == "object"]
    runs = [stretch for group in (wanted.groups if wanted else ()) for stretch in counted(things, group)]
    there = [stretch for stretch in runs if any(stretch.span.overlap_s(truth) > 0 for truth in case.truth)]
    if not there:
        seen = {class_of(row.text.split(" ", 1)[-1] if row.text[0].isdigit() else row.text)
                for row in things if any(row.span.overlap_s(truth) > 0 for truth in case.truth)}  # fmt: skip
        return "never detected there; seen instead: " + (", ".join(sorted(seen)) or "nothing")
    best = max(max(stretch.span.iou(truth) for truth in case.truth) for stretch in there)
    if best >= IOUS[0]:
        return f"detected there (IoU {best:.2f}), but {len(moments)} other moments came first"
    longest = max(there, key=lambda stretch: stretch.span.duration_s).span
    return f"detected from {longest.start_s:.0f} to {longest.end_s:.0f} s, but what is asked about is {case.truth[0]} (IoU {best:.2f})"

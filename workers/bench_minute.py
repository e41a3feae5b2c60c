"""`footage bench minute`: questions about one minute, which is read whole in all its tokens, or through footage's defaults."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from footage.nested import nested_macs
from footage.questions import Answer, Question
from footage.timespan import TimeSpan
from nano.world import WorldConfig
from workers.eval_films import NANO, NANO_INDEX, film, open_nano
from workers.eval_marks import Marked, mark
from workers.eval_methods import Examined, read_rows
from workers.eval_report import Report
from workers.eval_world import FIRST_SEED, row, spent

MINUTE_S = 60.0
ALL = 64
FRAMES_OF_A_ROW = 4
LIBRARIES = {"whole": NANO_INDEX | {"gate": "all"}, "chosen": NANO_INDEX, "default": NANO}
"""Every sampled frame; those that the gate keeps; those, with the merger and the tokens that everyone gets."""
FOLDERS = {"whole": "library-whole", "chosen": "library", "default": "library-default"}
"""The second is that of the other evaluations, whose films lie there already."""


@dataclass(frozen=True, slots=True)
class MinuteRun:
    """How much to measure."""

    folder: Path
    worlds: int = 4
    per_kind: int = 4
    duration_s: float = 1200.0
    split: str = "test"
    first_seed: int = FIRST_SEED


class Read(Protocol):
    def __call__(self, question: Question, minute: TimeSpan) -> Answer: ...


def run_minute(run: MinuteRun) -> Report:
    """Accuracy and cost of the same questions about the same minutes."""
    report = Report("bench minute", asdict(run))
    marks: list[Marked] = []
    frames: list[int] = []
    kept: list[int] = []
    for films in _filmed(run):
        methods, every = _methods(films), films["whole"]
        for question in films["chosen"].film.questions:
            minute = minute_of(films["chosen"], question.text, question.spans)
            if minute is None:
                continue
            frames.append(len(every.rows_in(minute)))
            kept.append(len(films["default"].rows_in(minute)))
            dated = replace(question, id=f"{every.film.path.stem}/{question.id}")
            marks += [mark(dated, name, read(Question(question.text), minute)) for name, read in methods.items()]
    names = list(dict.fromkeys(m.method for m in marks))
    report.rows = [row(m) for m in marks]
    report.table(f"{len(frames)} questions about a minute of {np.mean(frames):.0f} frames", [spent(marks, n, names[0]) for n in names])
    report.table("what the compression itself costs", [_own_cost(films["default"], float(np.mean(kept)), marks, names)])
    whole, chosen, ours = ([m for m in marks if m.method == name] for name in (names[0], names[-2], names[-1]))
    for what, others in (("every frame", whole), ("the chosen frames", chosen)):
        kept_share = sum(m.right for m in ours) / max(1, sum(m.right for m in others))
        report.bar(f"share of the right answers of {what} in all tokens that the defaults keep", kept_share, 0.99)
    saved = 1 - sum(m.cost.prefill_macs for m in ours) / max(1.0, sum(m.cost.prefill_macs for m in whole))
    report.bar("share of the prefill that they save", saved, 0.93)
    return report


def _own_cost(examined: Examined, kept: float, marks: Sequence[Marked], names: Sequence[str]) -> dict[str, str]:
    """In multiply-accumulates: of the merger once for all questions, of the selector for each."""
    [carrier] = examined.carriers([0])
    level, width = carrier.tokens.shape
    merging, choosing = kept * nested_macs(ALL, level, width), kept * len(carrier.embed)
    first, last = (np.mean([m.cost.prefill_macs for m in marks if m.method == name]) for name in (names[0], names[-1]))
    return {
        "frames kept by the gate": f"{kept:.0f}", "merging them, once": f"{merging / 1e6:.1f} million MACs",
        "choosing, a question": f"{choosing / 1e6:.4f} million",
        "of the whole prefill, all in all": f"{(last + merging + choosing) / first:.1%}",
    }  # fmt: skip


def minute_of(examined: Examined, text: str, truth: Sequence[tuple[float, float]]) -> TimeSpan | None:
    """The minute around the true spans, or around what looks most like the question; None where no minute holds them all."""
    likely = examined.library.search(text, recording=examined.film.recording_id, limit=1) if not truth else []
    spans = [TimeSpan(a, b) for a, b in truth] or [moment.span for moment in likely]
    if not spans or spans[-1].end_s - spans[0].start_s > MINUTE_S:
        return None
    start_s = (spans[0].start_s + spans[-1].end_s - MINUTE_S) / 2
    start_s = min(max(0.0, start_s), examined.film.world.config.duration_s - MINUTE_S)
    return TimeSpan(start_s, start_s + MINUTE_S)


def _methods(films: Mapping[str, Examined]) -> dict[str, Read]:
    """The baseline first, footage's defaults last; between them each half of what they do, and as many frames without choosing."""
    every, level = films["whole"], films["default"].library.settings.index.tokens_per_carrier
    return {
        "every frame, all tokens": partial(_whole, every, level=ALL),
        f"every frame, {level} tokens": partial(_whole, every, level=level),
        "4 frames evenly, all tokens": partial(_whole, every, level=ALL, count=4),
        "chosen frames, all tokens": partial(_asked, films["chosen"]),
        f"defaults: chosen frames, {level} tokens": partial(_asked, films["default"]),
    }


def _whole(examined: Examined, question: Question, minute: TimeSpan, *, level: int, count: int = 0) -> Answer:
    """Every frame in so many tokens, a few a row, in time order until a row answers. count: only so many, spread evenly."""
    rows = examined.rows_in(minute)
    if count:
        rows = [rows[n] for n in np.linspace(0, len(rows) - 1, 2 * count + 1).round().astype(int)[1::2]]
    return read_rows(examined, question, [rows[at : at + FRAMES_OF_A_ROW] for at in range(0, len(rows), FRAMES_OF_A_ROW)], level)


def _asked(examined: Examined, question: Question, minute: TimeSpan) -> Answer:
    return examined.library.ask(question.text, recording=examined.film.recording_id, start=minute.start_s, end=minute.end_s)


def _filmed(run: MinuteRun) -> Iterator[dict[str, Examined]]:
    """World by world, in each library."""
    with ExitStack() as stack:
        opened = {
            name: stack.enter_context(open_nano(run.folder / FOLDERS[name], index=index, alone=True)) for name, index in LIBRARIES.items()
        }
        for seed in range(run.first_seed, run.first_seed + run.worlds):
            config = WorldConfig(seed, run.split, run.duration_s)
            yield {
                name: Examined(library, film(library, config, run.folder, per_kind=run.per_kind, per_kind_new=run.per_kind // 3))
                for name, library in opened.items()
            }

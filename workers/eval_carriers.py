"""`footage eval carriers`: nano with one trained carrier a frame, against an untrained one, one mean token, and all tokens."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from footage.carriers import pooled
from nano.phrases import Q_KINDS
from nano.tokenizer import make_tokenizer
from nano.world import WorldConfig
from qa.answerers.vlm import Reading
from qa.carriers.adapter import load
from qa.carriers.answerer import CarrierAnswerer
from qa.families.family import shape_of
from workers.eval_marks import Marked
from workers.eval_methods import Method, each, given
from workers.eval_report import Report
from workers.eval_stats import paired
from workers.eval_world import FIRST_SEED, WorldRun, examine, right, row
from workers.train_carriers import shipped

ALL, TRAINED, UNTRAINED, MEAN = "all 64 tokens", "trained carrier", "untrained carrier", "mean of the tokens"
DETAILS = "4 tokens"
HELD = {ALL: 64, DETAILS: 4}
"""Tokens a frame whose keys and values stand before the question; one where none is said."""


@dataclass(frozen=True, slots=True)
class CarriersRun(WorldRun):
    adapter: Path = Path("carriers")
    split: str = "test"
    first_seed: int = FIRST_SEED

    @property
    def configs(self) -> list[WorldConfig]:
        return [WorldConfig(self.first_seed + n, self.split, self.duration_s) for n in range(self.worlds)]


def run_carriers(run: CarriersRun) -> Report:
    """Accuracy by kind with the right frames given, everything but the tokens of a frame the same."""
    methods: dict[str, Method] = {
        ALL: given(64), DETAILS: given(4), TRAINED: given(64, answerer=carriers(run.adapter)),
        UNTRAINED: given(64, answerer=carriers(None)), MEAN: given(1, each(pooled)),
    }  # fmt: skip
    report = Report("eval carriers", asdict(run))
    marks = examine(run, methods)
    report.rows = [row(m) for m in marks]
    report.table("right answers, the right frames given", [_by_kind(marks, name) for name in methods])
    report.table(f"{TRAINED} against the others, the same questions", [
        {"method": name, "gain": paired(_rights(marks, TRAINED), _rights(marks, name), groups=_worlds(marks))}
        for name in methods if name != TRAINED
    ])  # fmt: skip
    token_bytes = shape_of(shipped().config.text_config).kv_bytes_per_token
    report.table("what stands for a frame before the question, in two bytes a number", [
        {"method": name, "tokens": (held := HELD.get(name, 1)), "bytes of keys and values": held * token_bytes,
         "of what all tokens give": f"{right(_of(marks, name)).value / max(right(_of(marks, ALL)).value, 1e-9):.1%}"}
        for name in methods
    ])  # fmt: skip
    for name in (UNTRAINED, MEAN):
        gain = paired(_rights(marks, TRAINED), _rights(marks, name), groups=_worlds(marks))
        report.bar(f"{TRAINED} above {name}: lower end of the gain", gain.low, 0.0)
    return report


def carriers(adapter: Path | None) -> CarrierAnswerer:
    """nano, reading each frame through a carrier; None: one that nobody trained. Raises ModelError: no adapter of nano there."""
    model, known = shipped(), {field.name for field in fields(Reading)}
    reading = Reading(**{name: value for name, value in model.config.footage.items() if name in known})
    if adapter is not None:
        load(model, adapter)
    return CarrierAnswerer(model, make_tokenizer(), id=TRAINED if adapter else UNTRAINED, reading=reading)


def _by_kind(marks: Sequence[Marked], name: str) -> dict[str, Any]:
    own = _of(marks, name)
    kinds = {kind: [m for m in own if m.question.kind == kind] for kind in Q_KINDS}
    return {"method": name, **{kind: right(some) for kind, some in kinds.items() if some}, "all": right(own)}


def _of(marks: Sequence[Marked], name: str) -> list[Marked]:
    return [m for m in marks if m.method == name]


def _rights(marks: Sequence[Marked], name: str) -> list[float]:
    return [float(m.right) for m in _of(marks, name)]


def _worlds(marks: Sequence[Marked]) -> list[str]:
    return [m.question.id.split("/")[0] for m in _of(marks, TRAINED)]

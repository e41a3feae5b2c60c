"""`footage bench qa --size`: time to the first token and tokens a second of random weights of a published size, next to predicted work."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from statistics import median
from typing import Any

import numpy as np

from footage.carriers import Carrier, MemoryView
from footage.costs import Cost, Meter
from footage.errors import ConfigError, OutOfDeviceMemory
from footage.questions import Budget, Evidence, Query, Question
from footage.timespan import TimeSpan
from frame_select.registry import selector
from qa.answerers.vlm import Limits, Reading, VlmAnswerer
from workers.config import IndexConfig
from workers.eval_needle import length, peak_mb
from workers.eval_report import Report
from workers.overviews import Overviews
from workers.random_models import FRAME, configuration, make_model, make_tokenizer

HELD = IndexConfig().tokens_per_carrier
OF_A_ROW = 4
FULL = "full tokens"
DEFAULT = 20
"""Carriers that are read by default: five moments of four frames."""
HOURS = (1 / 6, 1.0, 24.0)
QUESTION = Question("When does the red car appear?")
Ask = Callable[[VlmAnswerer, Meter], None]


@dataclass(frozen=True, slots=True)
class SizeRun:
    size: str = "7b"
    frames: int = 3600
    """An hour at one a second; fewer where they do not fit."""
    carriers: int = 128
    overview: int = 128
    new: int = 33
    """Tokens written, for the rate."""
    repeats: int = 3


def run_size(run: SizeRun) -> Report:
    """Full tokens, the default plan and 128 carriers, each with the first token's time, the rate, the peak and the work.

    Raises:
        ConfigError: a size that wants a GPU, and there is none.
    """
    import torch

    config, where = configuration(run.size), torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if run.size != "tiny" and where.type == "cpu":
        raise ConfigError(f"size {run.size} is made and run on a GPU, and torch sees none", hint="--size tiny runs anywhere")
    report = Report(f"bench qa {run.size}", asdict(run))
    model = make_model(run.size, device=where, dtype=torch.bfloat16 if where.type == "cuda" else torch.float32)
    bench = _Bench(model, make_tokenizer(), run, int(config.text_config.max_position_embeddings))
    rows = [bench.full(), bench.planned("default plan", 1.0, DEFAULT)]
    rows += [bench.planned(f"{run.carriers} carriers", hours, run.carriers) for hours in HOURS]
    first = rows[0]
    for row in rows:
        row |= {
            "TTFT against full": first["ttft_s"] / row["ttft_s"], "predicted": first["macs"] / row["macs"],
            "rate against full": row["rate"] / first["rate"], "predicted rate": first["decode_macs"] / row["decode_macs"],
        }  # fmt: skip
    report.rows = rows
    title = f"random weights of {run.size} on {where.type}, an hour at one frame a second; TTFT of {run.repeats}"
    report.table(title, [_shown(row) for row in rows])
    return report


class _Bench:
    def __init__(self, model: Any, tokenizer: Any, run: SizeRun, positions: int) -> None:
        self._model, self._tokenizer, self._run, self._positions = model, tokenizer, run, positions
        self._width = self._answerer(1).shape.width

    def _answerer(self, new: int) -> VlmAnswerer:
        reading, limits = Reading(max_new_tokens=new, max_visual_tokens=10**9), Limits(seconds=1e9, prefix_bytes=0)
        return VlmAnswerer(self._model, self._tokenizer, id=f"random-{self._run.size}", reading=reading, limits=limits)

    def full(self) -> dict[str, Any]:
        """Every frame in all its tokens, half as many again and again until they fit positions and memory."""
        each, frames = FRAME[self._run.size], self._run.frames
        while frames * (each + 8) > self._positions:  # marks and times of a row are some eight tokens a frame
            frames //= 2
        while True:
            view = made_view(frames, each, self._width)
            evidence = pieces(view.load(range(frames)))
            try:
                return self._row(FULL, frames / 3600, partial(_read, evidence=evidence, whole=()))
            except OutOfDeviceMemory:
                if frames == 1:
                    raise
                frames //= 2

    def planned(self, name: str, hours: float, carriers: int) -> dict[str, Any]:
        """Selecting, loading and reading so many carriers of a memory, and its overview."""
        view, query = made_view(round(hours * 3600), HELD, self._width), Query(QUESTION, "random", np.eye(1, 64, dtype=np.float32)[0])

        def ask(answerer: VlmAnswerer, meter: Meter) -> None:
            plan = selector("peaks", tokens_per_carrier=HELD).select(query, view, Budget(HELD * carriers))
            _, whole = Overviews()(view, self._run.overview)
            _read(answerer, meter, evidence=pieces(view.load([pick.row for pick in plan.picks])), whole=whole)

        return self._row(name, hours, ask)

    def _row(self, name: str, hours: float, ask: Ask) -> dict[str, Any]:
        self._timed(ask, 1)  # kernels are chosen and memory is taken
        _reset_peak()
        firsts = [self._timed(ask, 1)[0] for _ in range(self._run.repeats)]
        whole_s, cost = self._timed(ask, self._run.new)
        tokens, first_s, shape = cost.visual_tokens + cost.text_tokens, median(firsts), self._answerer(1).shape
        rate = (cost.new_tokens - 1) / (whole_s - first_s) if whole_s > first_s else math.nan
        return {
            "case": name, "hours": hours, "visual": cost.visual_tokens, "text": cost.text_tokens, "ttft_s": first_s,
            "ttft_low_s": min(firsts), "ttft_high_s": max(firsts), "new": cost.new_tokens,
            "rate": rate, "peak_mb": _peak_mb(), "macs": cost.prefill_macs,
            "decode_macs": shape.prefill_macs(tokens + 1, reused=tokens), "kv_mb": cost.kv_bytes / 1e6,
        }  # fmt: skip

    def _timed(self, ask: Ask, new: int) -> tuple[float, Cost]:
        meter, answerer = Meter(), self._answerer(new)
        begun = time.perf_counter()
        ask(answerer, meter)
        return time.perf_counter() - begun, meter.cost


def _read(answerer: VlmAnswerer, meter: Meter, *, evidence: Sequence[Evidence], whole: Sequence[Evidence]) -> None:
    for _ in answerer.stream(QUESTION, evidence, meter=meter, overview=whole):
        pass


def pieces(carriers: Sequence[Carrier]) -> list[Evidence]:
    """Carriers of one recording in time order, a few a piece."""
    groups = [tuple(carriers[at : at + OF_A_ROW]) for at in range(0, len(carriers), OF_A_ROW)]
    return [Evidence(g[0].recording_id, TimeSpan(g[0].span.start_s, g[-1].span.end_s), 1.0, g[0], "", g) for g in groups]


def made_view(rows: int, tokens: int, width: int) -> MemoryView:
    """Random rows of a second each; every carrier holds (tokens, width) of noise, nested."""
    embeds = np.random.default_rng(0).normal(size=(rows, 64)).astype(np.float32)
    embeds /= np.linalg.norm(embeds, axis=1, keepdims=True)
    starts = np.arange(rows, dtype=np.float64)
    noise = np.random.default_rng(1).normal(size=(64, tokens, width)).astype(np.float16)

    def load(picked: Sequence[int]) -> list[Carrier]:
        spans = [TimeSpan(float(row), row + 1.0) for row in picked]
        return [Carrier("random", (s,), s.middle_s, 1.0, noise[row % 64], embeds[row], True) for s, row in zip(spans, picked, strict=True)]

    horizon = {"random": TimeSpan(0.0, float(rows))}
    return MemoryView(
        "random", "random", 1, ("random",), horizon, {"random": ()}, np.zeros(rows, np.int32), starts, starts + 1, starts + 0.5,
        np.ones(rows), embeds, load,
    )  # fmt: skip


def _reset_peak() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def _peak_mb() -> float:
    """Of the GPU since _reset_peak; without one, of this process so far."""
    import torch

    return torch.cuda.max_memory_allocated() / 1e6 if torch.cuda.is_available() else peak_mb()


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "what is read": row["case"], "memory": length(row["hours"]),
        "visual tokens": f"{row['visual']:,}", "text tokens": f"{row['text']:,}",
        "TTFT": f"{row['ttft_s']:.3g} s ({row['ttft_low_s']:.3g}-{row['ttft_high_s']:.3g})", "tokens a second": f"{row['rate']:.3g}",
        "peak": f"{row['peak_mb']:,.0f} MB", "keys and values": f"{row['kv_mb']:,.1f} MB", "MACs": f"{row['macs']:.3g}",
        **{name: f"{row[name]:.3g} x" for name in ("TTFT against full", "predicted", "rate against full", "predicted rate")},
    }  # fmt: skip

"""`footage eval retention`: what stays of a day, a month and a year of a made-up camera, and what of it is found again."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from footage.arrays import Embeds, Seconds
from footage.timespan import TimeSpan
from memory.aging import Aging
from memory.ram_store import RamStore
from memory.retention import RetentionConfig, octave_of
from workers.eval_report import Report
from workers.eval_stats import bootstrap, paired
from workers.made_up_stream import STREAM, TOKENS, MadeUpStream, Needle

WIDTH = 768  # for which sizes are told: an embedding of so many float32 a carrier, so many float16 a token
FIRST = 5  # of what is found, so many count
NEAR_S = 60.0
EVERY = 8  # segments between two looks at what has aged
OURS, PLAIN = "footage", "footage without a share for what is rare"
FIFO, THIN, THIN_ONE = "newest only", "evenly thinned", "evenly thinned, one token each"
BASELINES = (FIFO, THIN, THIN_ONE)


@dataclass(frozen=True, slots=True)
class Length:
    """One stream and the settings that it fades with, scaled to its size."""

    name: str
    stream: MadeUpStream
    config: RetentionConfig


LENGTHS = (
    Length("24 h", MadeUpStream(24, 60, 6, 1800), RetentionConfig(recent_h=1, octave_tokens=2048, octave_segments=64)),
    Length("30 days", MadeUpStream(720, 600, 6, 43200), RetentionConfig(octave_tokens=4096, octave_segments=64)),
    Length("1 year", MadeUpStream(8766, 7200, 16, 43200), RetentionConfig(octave_tokens=4096, octave_segments=64)),
)
QUICK = (
    Length("24 h", MadeUpStream(24, 120, 6, 1800, needles=60), RetentionConfig(recent_h=1, octave_tokens=512, octave_segments=32)),
    Length("10 days", MadeUpStream(240, 1200, 6, 43200, needles=60), RetentionConfig(octave_tokens=1024, octave_segments=32)),
)


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """N carriers as search sees them."""

    embeds: Embeds
    spans: Sequence[tuple[TimeSpan, ...]]
    anchors_s: Seconds
    tokens: int

    @property
    def size_bytes(self) -> int:
        return len(self.embeds) * 4 * WIDTH + self.tokens * 2 * WIDTH

    def found(self, query: Embeds, needle: Needle) -> tuple[bool, bool]:
        """Among the first FIRST is a carrier that stands for the needle's time; and it would be decoded no more than NEAR_S from it."""
        best = np.argsort(-(self.embeds @ query), kind="stable")[:FIRST].tolist()
        holding = [row for row in best if any(needle.middle_s in span for span in self.spans[row])]
        return bool(holding), any(abs(self.anchors_s[row] - needle.middle_s) <= NEAR_S for row in holding)


@dataclass(slots=True)
class Faded:
    """A stream that went through retention, and the same stream whole."""

    kept: Kept
    whole: Kept
    growth: list[tuple[float, int]] = field(default_factory=list)
    """(seconds of the stream, tokens kept), each time it had doubled and at the end."""
    segments: int = 0
    steps: int = 0


def run_retention(lengths: Sequence[Length] = LENGTHS) -> Report:
    """Tokens against time, and recall by age of things seen once, beside equally large memories of other kinds."""
    report = Report("eval retention", {each.name: asdict(each.config) for each in lengths})
    rows: list[dict[str, Any]] = []
    growth: list[dict[str, Any]] = []
    for length in lengths:
        ours, plain = fade(length.stream, length.config), fade(length.stream, replace(length.config, rare=0.0))
        growth += _growth(length, ours, report)
        memories = {OURS: ours.kept, PLAIN: plain.kept, **baselines(ours.whole, ours.kept.size_bytes)}
        rows += [row for name, kept in memories.items() for row in _asked(length, name, kept)]
    report.rows = rows
    report.table("tokens kept as the stream grows", growth)
    _tables(report, rows, [length.name for length in lengths], lengths[-1].config.recent_h)
    return report


def fade(stream: MadeUpStream, config: RetentionConfig) -> Faded:
    """Commit the stream segment by segment, and let it fade meanwhile."""
    store, whole = RamStore(), []
    store.add(stream.recording, STREAM)
    aging = Aging(store, STREAM, "made-up", config, unix_s=lambda: 0.0)
    faded = Faded(_kept([]), _kept([]))
    doubled = {2**k for k in range(4, 40)} | {stream.segments}
    for count, memory in enumerate(stream.memories(), 1):
        store.commit(memory, generation="made-up", encoder_id="made-up")
        whole += [replace(carrier, tokens=carrier.tokens[:0]) for carrier in memory.carriers]
        if count % EVERY == 0 or count in doubled:
            while steps := aging.steps():
                faded.steps += len(steps)
                for step in steps:
                    aging.apply(step)
        if count in doubled:
            tokens = sum(facts.tokens for facts in store.segment_facts(STREAM, "made-up"))
            faded.growth.append((count * stream.segment_s, tokens))
    view = store.view(generation="made-up")
    faded.segments = len(store.segment_facts(STREAM, "made-up"))
    faded.kept, faded.whole = _kept(view.load(range(len(view)))), _kept(whole)
    return faded


def baselines(whole: Kept, size_bytes: int) -> dict[str, Kept]:
    """Equally large: the newest carriers as they were made, or evenly spread ones, whole or of one token."""
    total = len(whole.embeds)
    full, one = (min(total, int(size_bytes / (4 * WIDTH + 2 * WIDTH * tokens))) for tokens in (TOKENS, 1))
    evenly = {name: np.linspace(0, total - 1, count).astype(int) for name, count in ((THIN, full), (THIN_ONE, one))}
    chosen = {FIFO: np.arange(total - full, total), **evenly}
    tokens = {FIFO: TOKENS, THIN: TOKENS, THIN_ONE: 1}
    return {
        name: Kept(whole.embeds[rows], [whole.spans[row] for row in rows], whole.anchors_s[rows], tokens[name] * len(rows))
        for name, rows in chosen.items()
    }


def _kept(carriers: Sequence[Any]) -> Kept:
    embeds = np.stack([carrier.embed for carrier in carriers]) if carriers else np.empty((0, 0), np.float32)
    anchors_s = np.array([carrier.anchor_s for carrier in carriers], np.float64)
    return Kept(embeds, [carrier.spans for carrier in carriers], anchors_s, sum(len(carrier.tokens) for carrier in carriers))


def _asked(length: Length, name: str, kept: Kept) -> list[dict[str, Any]]:
    stream, rows = length.stream, []
    for needle in stream.hidden.values():
        age_s = stream.segments * stream.segment_s - needle.middle_s
        found, near = kept.found(stream.query(needle), needle)
        octave = octave_of(age_s, length.config.recent_h * 3600)
        rows.append(
            {"length": length.name, "method": name, "age_h": round(age_s / 3600, 2), "octave": octave, "found": found, "near": near}
        )
    return rows


def _growth(length: Length, faded: Faded, report: Report) -> list[dict[str, Any]]:
    """tokens <= c log2(1 + t / recent): c is what the recent hours and one octave may hold, and what it came to."""
    recent_s, tokens_in_all = length.config.recent_h * 3600, len(faded.whole.embeds) * TOKENS
    seen = [(t_s, tokens, tokens / math.log2(1 + t_s / recent_s)) for t_s, tokens in faded.growth if t_s >= recent_s]
    recent = tokens_in_all * recent_s / (length.stream.hours * 3600)
    allowed = recent * 1.05 + length.config.octave_tokens  # visitors make some hours fuller than others
    worst = max(c for *_, c in seen)
    report.bar(f"{length.name}: c allowed over the worst c", allowed / worst, 1.0)
    return [
        {
            "stream": length.name, "after hours": round(t_s / 3600, 1), "tokens": tokens,
            "of all that were made": f"{tokens / (tokens_in_all * t_s / faded.growth[-1][0]):.1%}",
            "tokens / log2(1 + t / recent)": round(c), "c allowed": round(allowed),
        }
        for t_s, tokens, c in seen
    ]  # fmt: skip


def _tables(report: Report, rows: Sequence[Mapping[str, Any]], lengths: Sequence[str], recent_h: float) -> None:
    def of(name: str, length: str, octave: int | None = None, key: str = "found") -> list[float]:
        return [float(r[key]) for r in rows if (r["method"], r["length"]) == (name, length) and octave in (None, r["octave"])]

    methods = list(dict.fromkeys(r["method"] for r in rows))
    report.table(f"things seen once: a carrier that stands for their time among the first {FIRST}", [
        {"memory": name, **{length: bootstrap(of(name, length)) for length in lengths}} for name in methods
    ])  # fmt: skip
    report.table(f"the same, anchored no more than {NEAR_S:.0f} s from them", [
        {"memory": name, **{length: bootstrap(of(name, length, key="near")) for length in lengths}} for name in methods
    ])  # fmt: skip
    longest = lengths[-1]
    octaves = sorted({r["octave"] for r in rows if r["length"] == longest})
    report.curve = {name: [(recent_h * 2.0**octave, bootstrap(of(name, longest, octave))) for octave in octaves] for name in methods}
    report.x_label, report.log_x = f"age in hours, up to (octaves of {longest})", True
    for length in lengths:
        for name in BASELINES:
            report.bar(
                f"{length}: gain over {name}, lower end", paired(of(OURS, length, key="near"), of(name, length, key="near")).low, 0.0
            )

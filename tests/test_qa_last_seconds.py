"""What is asked about now is decoded again and read in all its tokens; the past stays as it was kept."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from views import make_view

from footage import Carrier, Evidence, MemoryView, TimeSpan
from footage.carriers import detailed
from footage.questions import Budget
from ingest.synthetic import SyntheticSource
from memory.encoders.color import ColorEncoder
from nano.world import World, WorldConfig
from qa.last_seconds import AT_ONCE, IN_FULL_S, in_full
from workers.engine import open_library
from workers.eval_films import NANO, NANO_ASK

SOURCE = SyntheticSource.parse("synthetic:red=30,blue=10")
NAME = SOURCE.recording.recording_id
BUDGET = Budget(10_000, redecodes=8, max_side_px=64)


@pytest.fixture
def view() -> MemoryView:
    return make_view(np.eye(40, 8), recordings=[NAME] * 40)


def kept(begin_s: float, end_s: float) -> Evidence:
    carrier = Carrier(
        NAME, (TimeSpan(begin_s, end_s),), begin_s, end_s - begin_s, np.zeros((16, 3), np.float16), np.eye(1, 8, dtype=np.float32)[0]
    )
    few = detailed(carrier, 2)
    return Evidence(NAME, TimeSpan(begin_s, end_s), 0.0, few, "", (few,))


def sharpened(evidence: list[Evidence], view: MemoryView, budget: Budget = BUDGET) -> tuple[list[Evidence], list[float], int]:
    made = in_full(evidence, view, fetcher=SOURCE, encoder=ColorEncoder(), budget=budget)
    return made.evidence, [r.time_s for r in made.redecodes], made.tokens


def test_the_last_seconds_come_in_full_and_the_past_as_it_was(view: MemoryView) -> None:
    newest, recent, old = kept(38, 40), kept(30, 38), kept(10, 30)
    evidence, times, more = sharpened([newest, recent, old], view)
    assert [[len(c.tokens) for c in e.shown] for e in evidence] == [[16] * 2, [16] * AT_ONCE, [2]]
    assert times == [38.5, 39.5, 31, 33, 35, 37]
    assert more == (2 + AT_ONCE) * 16 - 2 * 2
    assert evidence[2] is old
    assert all(e.shown[0].anchor_s in e.span and e.content is e.shown[0] for e in evidence[:2])
    assert all(0 < 40 - time_s <= IN_FULL_S for time_s in times)
    blue = ColorEncoder().embed_text(["blue"])[0]
    assert all(float(c.embed @ blue) > 0.9 for e in evidence[:2] for c in e.shown)  # what was decoded, not what was kept


@pytest.mark.parametrize(
    ("budget", "frames"), [(replace(BUDGET, redecodes=3), 3), (replace(BUDGET, tokens=40), 2), (replace(BUDGET, redecodes=0), 0)]
)
def test_no_more_than_the_budget_and_the_newest_first(view: MemoryView, budget: Budget, frames: int) -> None:
    _, times, more = sharpened([kept(30, 38), kept(38, 40)], view, budget)
    assert len(times) == frames
    assert times[:2] == [38.5, 39.5][:frames]
    assert more <= budget.tokens


def test_where_the_file_is_away_memory_stands(view: MemoryView) -> None:
    away = make_view(np.eye(40, 8), recordings=["away"] * 40)
    evidence = [replace(kept(38, 40), recording_id="away")]
    made = in_full(evidence, away, fetcher=SOURCE, encoder=ColorEncoder(), budget=BUDGET)
    assert (made.evidence, made.redecodes, made.tokens) == (evidence, (), 0)


def test_a_model_reads_now_in_all_its_tokens(tmp_path: Path) -> None:
    film = World.make(WorldConfig(5, "test", 60.0)).write(tmp_path / "film.mp4")
    with open_library(str(tmp_path / "library"), index=NANO | {"tokens_per_carrier": 4}, ask=NANO_ASK | {"ground": True}) as library:
        library.index(film)
        now, then = library.ask("Is there a red star right now?"), library.ask("Is there a red star?")
        asked = library.ask("What does the sign say now?")
    assert (now.route, then.route, then.plan.redecodes) == ("now", "local", ())
    assert asked.plan.redecodes
    assert all(50 <= r.time_s < 60 and r.max_side_px == NANO["side_px"] for r in asked.plan.redecodes)
    assert asked.cost.visual_tokens > 10 * 64
    assert then.cost.visual_tokens <= 4 * 4 * then.cost.passes
    assert asked.plan.tokens <= 4096

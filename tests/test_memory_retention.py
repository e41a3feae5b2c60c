"""What is forgotten with age: the policy over made-up tables, its steps on carriers, and both over a whole stream."""

from dataclasses import replace

import numpy as np
import pytest

pytest.register_assert_rewrite("contracts_store")

from contracts_store import GENERATION, carriers_of, put, recording_of, segment_of, text_of  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from footage import Carrier, Gap, Segment, SegmentMemory, TimeSpan  # noqa: E402
from footage.timespan import union  # noqa: E402
from memory.aging import Aging, aged  # noqa: E402
from memory.local_store import LocalStore  # noqa: E402
from memory.novelty import rarest, usual  # noqa: E402
from memory.ram_store import RamStore  # noqa: E402
from memory.retention import (  # noqa: E402
    BARE,
    LAST,
    RARE_TOKENS,
    RetentionConfig,
    Rewrite,
    Row,
    carriers_in,
    fair_caps,
    most_tokens,
    octave_of,
    plan,
    tokens_each,
)

HOUR_S = 3600.0
OVERHEAD_BYTES, CARRIER_BYTES, TOKEN_BYTES = 400, 60, 8


# The policy, on tables


def sized(row: Row) -> Row:
    return replace(row, size_bytes=OVERHEAD_BYTES + CARRIER_BYTES * row.carriers + TOKEN_BYTES * row.tokens)


def done(rows: list[Row], step: Rewrite) -> list[Row]:
    """The table after a step that leaves as much as it may."""
    parts = [row for row in rows if row.index in step.indices]
    assert tuple(row.index for row in parts) == step.indices
    span = TimeSpan(parts[0].span.start_s, parts[-1].span.end_s)
    whole = replace(
        parts[0], span=span, level=max(step.level, *(row.level for row in parts)), carriers=sum(row.carriers for row in parts),
        tokens=sum(row.tokens for row in parts),
        novelties=tuple(sorted((novelty for row in parts for novelty in row.novelties), reverse=True)),
    )  # fmt: skip
    if step.level:
        rare, count = min(step.rare, whole.carriers), carriers_in(span.duration_s, step.level)
        left = rare + min(whole.carriers - rare, whole.carriers if count is None else count)
        whole = replace(whole, carriers=left, tokens=most_tokens(whole, step.level, rare), novelties=whole.novelties[:left])
    return sorted([row for row in rows if row.index not in step.indices] + [sized(whole)], key=lambda row: row.span)


def settle(rows: list[Row], now_s: float, config: RetentionConfig) -> list[Row]:
    for _ in range(2000):
        steps = plan(rows, now_s, config)
        if not steps:
            return rows
        named = [index for step in steps for index in step.indices]
        assert len(named) == len(set(named))
        for step in steps:
            rows = done(rows, step)
    raise AssertionError("retention does not come to an end")


@st.composite
def tables(draw: st.DrawFn) -> list[Row]:
    at_s, rows = 0.0, []
    for index in range(draw(st.integers(1, 60))):
        at_s += draw(st.sampled_from([0.0, 0.0, 0.0, 0.0, 50.0]))
        length_s = draw(st.sampled_from([60.0, 60.0, 60.0, 7.5, 400.0]))
        carriers = draw(st.integers(0, 30))
        rare = sorted(draw(st.lists(st.floats(0, 1), max_size=carriers)), reverse=True)
        tokens = carriers * draw(st.sampled_from([1, 4, 24]))
        rows.append(sized(Row(index, TimeSpan(at_s, at_s + length_s), 0, carriers, tokens, 0, tuple(rare))))
        at_s += length_s
    return rows


configs = st.builds(
    RetentionConfig, recent_h=st.sampled_from([0.02, 0.1, 0.5]), octave_tokens=st.sampled_from([64, 256, 1024]),
    octave_segments=st.sampled_from([1, 2, 8]), rare=st.sampled_from([0.0, 0.25, 0.5]),
    recording_mib=st.sampled_from([0.0, 0.0, 0.002, 0.01]),
)  # fmt: skip


def tokens_of(rows: list[Row], now_s: float, config: RetentionConfig) -> dict[int, int]:
    totals: dict[int, int] = {}
    for row in rows:
        octave = octave_of(now_s - row.span.end_s, config.recent_h * HOUR_S)
        totals[octave] = totals.get(octave, 0) + row.tokens
    return totals


@settings(max_examples=60, deadline=None)
@given(table=tables(), config=configs)
def test_what_is_planned_ends_in_a_table_that_holds_all_budgets(table: list[Row], config: RetentionConfig) -> None:
    now_s = table[-1].span.end_s
    after = settle(table, now_s, config)
    assert plan(after, now_s, config) == []
    assert union(row.span for row in after) == union(row.span for row in table)
    assert [row.span for row in after] == sorted(row.span for row in after)
    assert sum(row.tokens for row in after) <= sum(row.tokens for row in table)
    assert sum(row.carriers for row in after) <= sum(row.carriers for row in table)
    assert after[-1] == table[-1]  # the newest is whole
    if not config.recording_mib:
        recent_s = now_s - config.recent_h * HOUR_S
        assert [row for row in after if row.span.end_s > recent_s] == [row for row in table if row.span.end_s > recent_s]
    holes = len(union(row.span for row in table)) - 1
    for octave, tokens in tokens_of(after, now_s, config).items():
        assert octave == 0 or tokens <= config.octave_tokens + 8 * holes  # what does not touch cannot become one
    stretches = union(row.span for row in table[:-1])
    least = table[-1].size_bytes + sum(OVERHEAD_BYTES + CARRIER_BYTES + TOKEN_BYTES for _ in stretches) * 8
    if config.recording_mib:
        assert sum(row.size_bytes for row in after) <= max(config.recording_mib * 2**20, least)


@settings(max_examples=15, deadline=None)
@given(table=tables(), config=configs)
def test_the_order_of_the_table_makes_no_difference(table: list[Row], config: RetentionConfig) -> None:
    now_s = table[-1].span.end_s
    assert plan(table[::-1], now_s, config) == plan(table, now_s, config)


def minutes(count: int, **known: object) -> list[Row]:
    made = (Row(i, TimeSpan(60.0 * i, 60.0 * i + 60), 0, 10, 240, 0, (0.1,) * 4) for i in range(count))
    return [sized(replace(row, **known)) for row in made]  # type: ignore[arg-type]


CONFIG = RetentionConfig(recent_h=1.0, octave_tokens=2048, octave_segments=16)


def test_tokens_grow_with_the_logarithm_of_time() -> None:
    rows: list[Row] = []
    for row in minutes(60 * 32):
        rows.append(row)
        if row.index % 60 == 59:
            rows = settle(rows, row.span.end_s, CONFIG)
            octaves = max(tokens_of(rows, row.span.end_s, CONFIG))
            assert sum(row.tokens for row in rows) <= 60 * 240 + 2048 * octaves
    assert octaves == 5
    assert len(rows) <= 60 + 5 * (2 * 16 + 8)


def test_tokens_go_before_carriers_and_carriers_before_segments() -> None:
    rows = minutes(120)
    assert {(step.level, len(step.indices)) for step in plan(rows, 120 * 60.0, CONFIG)} <= {(level, 1) for level in (1, 2, 3)}
    tight = RetentionConfig(recent_h=1.0, octave_tokens=160, octave_segments=16, rare=0.0)
    once = plan(rows, 120 * 60.0, tight)
    assert all(step.level > 3 and len(step.indices) == 1 for step in once)
    roomy = RetentionConfig(recent_h=1.0, octave_tokens=65536, octave_segments=16)
    joined = plan(rows, 120 * 60.0, roomy)
    assert joined
    assert all(step.level == 0 and 1 < len(step.indices) <= 4 for step in joined)  # an hour in 16: four minutes at most fit


def test_the_rarest_moments_of_an_octave_stay_single_and_the_oldest_usual_ones_go_first() -> None:
    rows = minutes(120)
    rows[7], rows[40] = replace(rows[7], novelties=(0.9, 0.8)), replace(rows[40], novelties=(0.7,))
    few = replace(CONFIG, rare=3 * RARE_TOKENS / 2048)
    by_index = {step.indices[0]: step for step in plan(rows, 120 * 60.0, few)}
    assert {index: step.rare for index, step in by_index.items() if step.rare} == {7: 2, 40: 1}
    levels = [by_index[index].level for index in sorted(by_index)]
    assert levels == sorted(levels, reverse=True)


def test_an_octave_that_fits_is_left_alone() -> None:
    rows = minutes(120, carriers=1, tokens=24)
    roomy = replace(CONFIG, octave_segments=60)
    assert plan(rows, 120 * 60.0, roomy) == []


def test_under_a_cap_on_bytes_the_oldest_shrink_first_and_the_newest_never() -> None:
    rows = minutes(240)
    wide = replace(CONFIG, octave_tokens=65536, octave_segments=240, recording_mib=sum(r.size_bytes for r in rows) / 2**20 * 0.9)
    after = settle(rows, 240 * 60.0, wide)
    assert sum(row.size_bytes for row in after) <= wide.recording_mib * 2**20
    touched = [row.span for row in after if row.level]
    assert touched
    assert max(span.end_s for span in touched) <= 120 * 60.0
    tiny = replace(wide, recording_mib=0.004)
    after = settle(rows, 240 * 60.0, tiny)
    assert sum(row.size_bytes for row in after) <= 0.004 * 2**20
    assert after[-1] == rows[-1]
    assert after[0].level == BARE


def test_levels_take_tokens_first_and_then_every_other_carrier() -> None:
    assert [tokens_each(level) for level in (0, 1, 2, 3, 9)] == [None, 16, 4, 1, 1]
    assert [carriers_in(60, level) for level in (3, 4, 5, 8, 9, LAST)] == [None, 30, 15, 2, 1, 1]


def test_a_library_shrinks_its_largest_recordings_to_one_size() -> None:
    assert fair_caps({"a": 10, "b": 50, "c": 100}, 90) == {"a": 10, "b": 40, "c": 40}
    assert fair_caps({"a": 10, "b": 50}, 100) == {"a": 10, "b": 50}
    assert fair_caps({}, 5) == {}


@pytest.mark.parametrize("wrong", [{"recent_h": 0}, {"octave_segments": 0}, {"octave_tokens": 10}, {"rare": 0.9}, {"recording_mib": -1}])
def test_settings_that_cannot_hold_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RetentionConfig(**wrong)  # type: ignore[arg-type]


# What is rare


def test_what_is_seen_all_day_is_usual_and_a_visit_is_not() -> None:
    rng = np.random.default_rng(0)
    yard, night, visitor = np.eye(3, 8, dtype=np.float32)
    embeds = np.stack([yard] * 600 + [visitor] * 3 + [night] * 400) + 0.02 * rng.standard_normal((1003, 8))
    embeds = (embeds / np.linalg.norm(embeds, axis=1, keepdims=True)).astype(np.float32)
    scenes = usual(embeds, np.ones(1003))
    order, novelties = rarest(embeds, scenes, 4)
    assert 600 <= order[0] < 603
    assert novelties[0] > 0.9
    assert max(novelties[1:]) < 0.1  # the visit's other frames, and noise
    assert novelties == sorted(novelties, reverse=True)


def test_seconds_and_not_carriers_make_a_scene_usual() -> None:
    calm, busy = np.eye(2, 8, dtype=np.float32)
    embeds = np.stack([calm] * 2 + [busy] * 500)
    scenes = usual(embeds, np.array([50_000.0] * 2 + [0.2] * 500))
    assert rarest(embeds, scenes, 1)[0][0] >= 2


def test_nothing_is_usual_where_nothing_was_seen() -> None:
    assert usual(np.empty((0, 4), np.float32), np.empty(0)).shape == (0, 4)
    assert rarest(np.empty((0, 4), np.float32), np.empty((0, 4), np.float32), 3) == ([], [])


# Steps, on carriers


def watched(store: RamStore | LocalStore, count: int, rows: int = 6) -> None:
    store.add(recording_of(), "door")
    for index in range(count):
        texts = (text_of("EXIT", index * 10.0, index * 10.0 + 10),)
        put(store, segment_of(index=index, rows=rows, texts=texts, gaps=(Gap(TimeSpan(index * 10.0 + 9, index * 10.0 + 10), "lost"),)))


def tokens_in(memory: SegmentMemory) -> list[int]:
    return [len(carrier.tokens) for carrier in memory.carriers]


def test_a_step_keeps_all_time_texts_and_gaps() -> None:
    store = RamStore()
    watched(store, 3)
    parts = [store.read_segment("door", GENERATION, index) for index in range(3)]
    whole = aged(parts, Rewrite((0, 1, 2), 5, 2, 3), np.empty((0, 8), np.float32), 12.5)
    assert whole.segment == Segment("door", 0, TimeSpan(0, 30))
    assert len(whole.carriers) == 2 + 8  # 30 s, one in four seconds
    assert sum(carrier.weight_s for carrier in whole.carriers) == pytest.approx(30)
    assert union(span for carrier in whole.carriers for span in carrier.spans) == (TimeSpan(0, 30),)
    assert max(sorted(tokens_in(whole))[:-2]) == 1
    assert [(row.span.start_s, row.span.end_s) for row in whole.texts] == [(0, 30)]
    assert [gap.span.start_s for gap in whole.gaps] == [9, 19, 29]
    assert (whole.frames_seen, whole.frames_kept, dict(whole.seconds)) == (30, 12, {"decode": 1.5})
    assert sum(map(bool, whole.thumbnails)) == 3
    assert (whole.level, dict(whole.forgotten)) == (5, {"carriers": 18, "tokens": 63, "unix_s": 12.5})
    again = aged([whole], Rewrite((0,), 6, 1, 0), np.empty((0, 8), np.float32), 99.0)
    assert (len(again.carriers), again.thumbnails) == (1 + 4, ())
    assert dict(again.forgotten) == {"carriers": 18, "tokens": 63, "unix_s": 99.0}


def test_a_rare_carrier_stays_as_it_was_with_its_own_time_and_picture() -> None:
    usual_one, strange = np.eye(2, 8, dtype=np.float32)
    parts = carriers_of("door", 0, rows=10)
    seen = tuple(replace(c, embed=strange if i == 6 else usual_one) for i, c in enumerate(parts))
    pictures = tuple(f"{i}".encode() for i in range(10))
    memory = SegmentMemory(Segment("door", 0, TimeSpan(0, 10)), seen, pictures)
    after = aged([memory], Rewrite((0,), LAST, 1, 1), usual_one[None], 0.0)
    (kept,) = [c for c in after.carriers if np.array_equal(c.embed, strange)]
    assert (kept.spans, kept.anchor_s, len(kept.tokens)) == (parts[6].spans, parts[6].anchor_s, 7)
    (rest,) = [c for c in after.carriers if c is not kept]
    assert rest.spans == (TimeSpan(0, 6), TimeSpan(7, 10))
    assert dict(zip([c.anchor_s for c in after.carriers], after.thumbnails, strict=True))[kept.anchor_s] == b"6"
    assert after.novelty == 1.0


def test_segments_that_are_only_joined_lose_nothing() -> None:
    store = RamStore()
    watched(store, 2)
    parts = [store.read_segment("door", GENERATION, index) for index in range(2)]
    whole = aged(parts, Rewrite((0, 1), 0, 0, 99), np.empty((0, 8), np.float32), 1.0)
    assert [c.spans for c in whole.carriers] == [c.spans for part in parts for c in part.carriers]
    assert tokens_in(whole) == [tokens for part in parts for tokens in tokens_in(part)]
    assert (whole.level, dict(whole.forgotten)) == (0, {})
    assert whole.thumbnails == parts[0].thumbnails + parts[1].thumbnails


def test_a_segment_in_which_nothing_was_seen_ages_too() -> None:
    gap = Gap(TimeSpan(0, 10), "not watched")
    blank = SegmentMemory(Segment("door", 0, TimeSpan(0, 10)), (), gaps=(gap,))
    seen = segment_of(index=1)
    whole = aged([blank, seen], Rewrite((0, 1), BARE, 0, 0), np.empty((0, 8), np.float32), 0.0)
    assert (len(whole.carriers), whole.gaps) == (1, (gap,))


# A store that ages


FADING = RetentionConfig(recent_h=60 / HOUR_S, octave_tokens=64, octave_segments=4, octave_thumbnails=8)


def settled(aging: Aging) -> int:
    count = 0
    while steps := aging.steps():
        for step in steps:
            aging.apply(step)
            count += 1
    return count


@pytest.mark.parametrize("kind", ["ram", "local"])
def test_a_store_ages_until_all_fits_and_its_readers_miss_no_second(kind: str, tmp_path: object) -> None:
    store = RamStore() if kind == "ram" else LocalStore(tmp_path / "library")  # type: ignore[operator]
    watched(store, 48)
    newest = store.read_segment("door", GENERATION, 47)
    aging = Aging(store, "door", GENERATION, FADING, unix_s=lambda: 7.0)
    assert settled(aging) > 20
    assert settled(aging) == 0
    facts = store.segment_facts("door", GENERATION)
    rows = [Row.of(each) for each in facts]
    assert all(tokens <= 64 for octave, tokens in tokens_of(rows, 480.0, FADING).items() if octave)
    view = store.view(generation=GENERATION)
    assert view.weights_s.sum() == pytest.approx(480)
    assert view.horizons["door"] == TimeSpan(0, 480)
    assert {gap.reason for gap in view.gaps["door"]} == {"lost"}
    assert [(row.span.start_s, row.span.end_s) for row in store.texts()] == [(0, 480)]
    kept = store.read_segment("door", GENERATION, 47)
    assert [c.tokens.tolist() for c in kept.carriers] == [c.tokens.tolist() for c in newest.carriers]
    assert sum(each.forgotten.get("tokens", each.tokens) for each in facts) == 48 * 21
    assert {each.forgotten.get("unix_s", 7.0) for each in facts} == {7.0}
    for carrier in view.load(range(len(view))):
        assert any(carrier.anchor_s in span for span in carrier.spans)
    if isinstance(store, LocalStore):
        assert store.verify() == []
        store.close()


def test_what_ages_step_by_step_and_what_ages_at_once_both_fit(tmp_path: object) -> None:
    store = RamStore()
    store.add(recording_of(), "door")
    aging = Aging(store, "door", GENERATION, FADING, unix_s=lambda: 0.0)
    for index in range(120):
        put(store, segment_of(index=index, rows=4))
        settled(aging)
        assert store.view(generation=GENERATION).weights_s.sum() == pytest.approx(10 * (index + 1))
    rows = [Row.of(each) for each in store.segment_facts("door", GENERATION)]
    assert sum(row.tokens for row in rows) <= 7 * 10 + 64 * 5


@pytest.mark.parametrize(("rare", "is_found"), [(0.25, True), (0.0, False)])
def test_a_thing_seen_once_is_found_when_all_around_it_has_faded(rare: float, is_found: bool) -> None:
    store, (yard, strange) = RamStore(), np.eye(2, 8, dtype=np.float32)
    store.add(recording_of(), "door")
    noise = 0.05 * np.random.default_rng(0).standard_normal((400, 4, 8))
    for index in range(400):
        memory = segment_of(index=index, rows=4)
        seen = [(strange if (index, i) == (20, 2) else yard) + noise[index, i] for i in range(4)]
        looks = [(look / np.linalg.norm(look)).astype(np.float32) for look in seen]
        put(store, replace(memory, carriers=tuple(replace(c, embed=e) for c, e in zip(memory.carriers, looks, strict=True))))
    settled(Aging(store, "door", GENERATION, replace(FADING, octave_tokens=128, octave_segments=2, rare=rare), unix_s=lambda: 0.0))
    view = store.view(generation=GENERATION)
    (best,) = view.load([int((view.embeds @ strange).argmax())])
    is_single = best.spans == (TimeSpan(205.0, 207.5),) and len(best.tokens) == 3
    assert is_single == is_found


def test_frames_on_a_grid_can_be_joined_with_details() -> None:
    grid = Carrier("door", (TimeSpan(0, 1),), 0.0, 1.0, np.arange(16, dtype=np.float16).reshape(4, 4), np.eye(1, 8, dtype=np.float32)[0])
    fine = Carrier("door", (TimeSpan(1, 2),), 1.0, 1.0, np.ones((9, 4), np.float16), np.eye(1, 8, dtype=np.float32)[0], is_nested=True)
    memory = SegmentMemory(Segment("door", 0, TimeSpan(0, 2)), (grid, fine))
    (whole,) = aged([memory], Rewrite((0,), 5, 0, 0), np.empty((0, 8), np.float32), 0.0).carriers
    assert (whole.spans, len(whole.tokens), whole.is_nested) == ((TimeSpan(0, 2),), 1, True)

"""The contract of every store, as one suite, and small made-up memories whose values can be checked by hand."""

import json
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from footage import Carrier, Gap, NothingRecorded, Recording, Segment, SegmentMemory, StoreError, TextRow, TimeSpan

GENERATION = "made-up@1+mean"
ENCODER = "made-up@1"
EMBED_DIM, TOKEN_DIM, SEGMENT_S = 8, 4, 10.0


def recording_of(recording_id: str = "door", duration_s: float = 60.0) -> Recording:
    return Recording(recording_id, duration_s, 320, 240, codec="h264", facts={"container": "mp4"})


def carriers_of(recording_id: str, index: int, rows: int = 2, seed: int = 0) -> tuple[Carrier, ...]:
    """`rows` carriers that tile segment `index` of ten seconds; carrier i has 1 + i tokens; equal for equal seeds."""
    rng = np.random.default_rng([zlib.crc32(recording_id.encode()), index, seed])
    length_s, carriers = SEGMENT_S / rows, []
    for i in range(rows):
        span = TimeSpan(index * SEGMENT_S + i * length_s, index * SEGMENT_S + (i + 1) * length_s)
        embed = rng.standard_normal(EMBED_DIM).astype(np.float32)
        tokens = rng.standard_normal((1 + i, TOKEN_DIM)).astype(np.float16)
        unit = embed / np.linalg.norm(embed)
        carriers.append(Carrier(recording_id, (span,), span.start_s + 0.5, span.duration_s, tokens, unit))
    return tuple(carriers)


def segment_of(recording_id: str = "door", index: int = 0, rows: int = 2, seed: int = 0, **rest: Any) -> SegmentMemory:
    segment = Segment(recording_id, index, TimeSpan(index * SEGMENT_S, (index + 1) * SEGMENT_S))
    carriers = carriers_of(recording_id, index, rows, seed) if rows else ()
    thumbnails = tuple(f"jpeg {recording_id} {index} {i} {seed}".encode() for i in range(rows))
    return SegmentMemory(segment, carriers, thumbnails, frames_seen=10, frames_kept=4, seconds={"decode": 0.5}, **rest)


def text_of(text: str, start_s: float, end_s: float, recording_id: str = "door", kind: str = "ocr") -> TextRow:
    return TextRow(recording_id, TimeSpan(start_s, end_s), kind, text)


def put(store: Any, memory: SegmentMemory, generation: str = GENERATION) -> bool:
    return bool(store.commit(memory, generation=generation, encoder_id=ENCODER))


def say(store: Any, *texts: str) -> None:
    """One segment per text of the recording "door", so that none touches another."""
    store.add(recording_of(), "door.mp4")
    for i, text in enumerate(texts):
        put(store, segment_of("door", i, texts=(text_of(text, i * 10.0, i * 10.0 + 2),)))


def widened(memories: Sequence[SegmentMemory]) -> SegmentMemory:
    """Touching segments as one with a single carrier."""
    first, last = memories[0].segment, memories[-1].segment
    span, carrier = TimeSpan(first.span.start_s, last.span.end_s), memories[0].carriers[0]
    whole = Carrier(carrier.recording_id, (span,), carrier.anchor_s, span.duration_s, carrier.tokens, carrier.embed)
    texts = tuple(row for memory in memories for row in memory.texts)
    return SegmentMemory(replace(first, span=span), (whole,), (b"wide",), texts)


def spans(rows: Sequence[TextRow]) -> list[tuple[float, float]]:
    return [(row.span.start_s, row.span.end_s) for row in rows]


class StoreContract:
    """Subclass it with a fixture `store` that yields an empty store."""

    # Recordings

    def test_a_recording_is_remembered_with_its_facts_name_and_location(self, store: Any) -> None:
        store.add(recording_of(), "door.mp4", location="/a/door.mp4")
        assert store.recordings() == [recording_of()]
        assert store.names("door") == ("door.mp4",)
        assert store.locations("door") == ("/a/door.mp4",)

    def test_adding_it_again_changes_nothing(self, store: Any) -> None:
        store.add(recording_of(), "door.mp4", location="/a/door.mp4")
        version = store.version
        store.add(recording_of(), "door.mp4", location="/a/door.mp4")
        assert store.version == version
        assert store.names("door") == ("door.mp4",)

    def test_another_name_is_one_more_name_of_the_same_recording(self, store: Any) -> None:
        store.add(recording_of(), "door.mp4")
        store.add(recording_of(), "copy.mp4")
        assert store.names("door") == ("door.mp4", "copy.mp4")
        assert len(store.recordings()) == 1

    def test_the_place_where_it_was_seen_last_comes_first(self, store: Any) -> None:
        for location in ("/a", "/b", "/a"):
            store.add(recording_of(), "door.mp4", location=location)
        assert store.locations("door") == ("/a", "/b")

    def test_a_recording_that_grew_is_as_long_as_it_was_seen_last(self, store: Any) -> None:
        store.add(recording_of(duration_s=10), "door")
        store.add(recording_of(duration_s=20), "door")
        assert [r.duration_s for r in store.recordings()] == [20]

    def test_a_file_name_that_is_not_utf8_comes_back_as_it_was(self, store: Any) -> None:
        store.add(recording_of(), "caf\udce9.mp4", location="/a/caf\udce9.mp4")
        assert store.names("door") == ("caf\udce9.mp4",)
        assert store.locations("door") == ("/a/caf\udce9.mp4",)

    def test_nothing_is_known_of_a_recording_that_was_never_added(self, store: Any) -> None:
        assert store.names("door") == store.locations("door") == store.generations("door") == ()
        assert store.sizes("door") == 0
        with pytest.raises(StoreError, match="never added"):
            put(store, segment_of())

    def test_forgetting_a_recording_leaves_the_others_alone(self, store: Any) -> None:
        for recording_id in ("door", "yard"):
            store.add(recording_of(recording_id), recording_id, location=f"/{recording_id}")
            put(store, segment_of(recording_id, texts=(text_of("hello", 1, 2, recording_id),)))
        store.forget("door")
        assert [r.recording_id for r in store.recordings()] == ["yard"]
        assert store.view(generation=GENERATION).recording_ids == ("yard",)
        assert [row.recording_id for row in store.texts(match="hello")] == ["yard"]
        assert (store.names("door"), store.sizes("door")) == ((), 0)

    # Segments

    def test_committing_a_segment_again_returns_false_and_changes_nothing(self, store: Any) -> None:
        store.add(recording_of(), "door.mp4")
        assert put(store, segment_of()) is True
        version, content = store.version, list(store.dump())
        assert put(store, segment_of(seed=1)) is False
        assert store.version == version
        assert list(store.dump()) == content

    def test_committed_segments_are_listed_by_index_and_generation(self, store: Any) -> None:
        store.add(recording_of(), "door.mp4")
        for index in (0, 2):
            put(store, segment_of(index=index))
        assert store.committed("door", GENERATION) == {0: TimeSpan(0, 10), 2: TimeSpan(20, 30)}
        assert store.committed("door", "another") == {}
        assert store.generations("door") == (GENERATION,)
        assert store.encoder_id(GENERATION) == ENCODER

    def test_the_version_grows_with_every_change(self, store: Any) -> None:
        store.add(recording_of(), "door.mp4")
        versions = [store.version]
        put(store, segment_of())
        versions.append(store.version)
        store.rewrite(segment_of(seed=1), generation=GENERATION, encoder_id=ENCODER)
        versions.append(store.version)
        store.drop_segment("door", GENERATION, 0)
        versions.append(store.version)
        store.forget("door")
        versions.append(store.version)
        assert versions == sorted(set(versions))

    def test_a_segment_comes_back_as_it_was_committed(self, store: Any) -> None:
        store.add(recording_of(), "door.mp4")
        row = TextRow("door", TimeSpan(1, 2), "ocr", "EXIT", 0.5, (0.1, 0.2, 0.3, 0.4), (1, 2, 3), (4, 5, 6), "sign")
        memory = segment_of(rows=3, texts=(row,), gaps=(Gap(TimeSpan(4, 5), "damaged"),))
        put(store, memory)
        back = store.read_segment("door", GENERATION, 0)
        assert (back.segment, back.texts, back.gaps, back.thumbnails) == (
            memory.segment, memory.texts, memory.gaps, memory.thumbnails,
        )  # fmt: skip
        assert (back.frames_seen, back.frames_kept, dict(back.seconds)) == (10, 4, {"decode": 0.5})
        for a, b in zip(back.carriers, memory.carriers, strict=True):
            assert (a.spans, a.anchor_s, a.weight_s) == (b.spans, b.anchor_s, b.weight_s)
            assert np.array_equal(a.tokens, b.tokens)
            assert np.array_equal(a.embed, b.embed)

    def test_what_was_done_for_each_segment_is_on_record(self, store: Any) -> None:
        store.add(recording_of(), "door.mp4")
        put(store, segment_of(rows=3))
        (facts,) = store.segment_facts("door", GENERATION)
        assert (facts.frames_seen, facts.frames_kept, facts.carriers, facts.tokens) == (10, 4, 3, 1 + 2 + 3)
        assert facts.seconds == {"decode": 0.5}
        assert facts.size_bytes == store.sizes("door") > 3 * EMBED_DIM * 4

    def test_rewriting_replaces_one_segment(self, store: Any) -> None:
        store.add(recording_of(), "door.mp4")
        put(store, segment_of(index=0, texts=(text_of("before", 1, 2),)))
        put(store, segment_of(index=1))
        merged = segment_of(index=0, rows=1, seed=1, texts=(text_of("after", 1, 2),))
        store.rewrite(merged, generation=GENERATION, encoder_id=ENCODER)
        assert [c.weight_s for c in store.view(generation=GENERATION).load([0, 1, 2])] == [10, 5, 5]
        assert [row.text for row in store.texts()] == ["after"]
        assert store.texts(match="before") == []

    def test_rewriting_with_what_is_there_keeps_the_content(self, store: Any) -> None:
        store.add(recording_of(), "door.mp4")
        put(store, segment_of(texts=(text_of("hello", 1, 2),), gaps=(Gap(TimeSpan(4, 5), "damaged"),)))
        content = list(store.dump())
        same = store.read_segment("door", GENERATION, 0)
        store.rewrite(same, generation=GENERATION, encoder_id=ENCODER)
        assert list(store.dump()) == content

    def test_what_was_never_committed_cannot_be_rewritten_or_read(self, store: Any) -> None:
        store.add(recording_of(), "door.mp4")
        with pytest.raises(StoreError, match="not kept"):
            store.rewrite(segment_of(), generation=GENERATION, encoder_id=ENCODER)
        with pytest.raises(StoreError, match="not kept"):
            store.read_segment("door", GENERATION, 0)

    def test_several_segments_become_one_wider_in_one_step(self, store: Any) -> None:
        store.add(recording_of(), "door.mp4")
        for index in range(4):
            put(store, segment_of(index=index, texts=(text_of(f"line {index}", index * 10.0, index * 10.0 + 1),)))
        before, old = store.version, store.view(generation=GENERATION)
        wide = widened([store.read_segment("door", GENERATION, index) for index in (1, 2)])
        store.replace("door", [wide], gone=(1, 2), generation=GENERATION, encoder_id=ENCODER)
        assert store.version > before
        assert store.committed("door", GENERATION) == {0: TimeSpan(0, 10), 1: TimeSpan(10, 30), 3: TimeSpan(30, 40)}
        view = store.view(generation=GENERATION)
        assert (view.weights_s.tolist(), view.gaps["door"]) == ([5, 5, 20, 5, 5], ())
        assert len(old.load(range(8))) == 8
        assert [row.text for row in store.texts()] == ["line 0", "line 1", "line 2", "line 3"]
        assert set(store.fingerprints(GENERATION)) == {("door", 0), ("door", 1), ("door", 3)}
        assert store.thumbnail("door", 29.0, generation=GENERATION) == b"wide"

    def test_how_far_a_recording_has_aged_is_told(self, store: Any) -> None:
        store.add(recording_of(), "door.mp4")
        for index, level in enumerate((3, 2, 0)):
            put(store, replace(segment_of(index=index), level=level))
        assert [store.aged_until("door", GENERATION, level) for level in (0, 2, 3, 4)] == [20, 20, 10, None]
        assert store.aged_until("yard", GENERATION, 1) is None

    def test_the_hash_of_what_is_kept_changes_with_it_and_with_nothing_else(self, store: Any) -> None:
        store.add(recording_of(), "door.mp4")
        put(store, segment_of())
        told = [store.content(GENERATION)]
        store.add(recording_of(), "another.mp4")
        assert store.content(GENERATION) == told[0]
        for change in (lambda: put(store, segment_of(index=1)), lambda: store.drop_segment("door", GENERATION, 0)):
            change()
            told.append(store.content(GENERATION))
        assert len(set(told)) == 3

    def test_a_replacement_that_is_refused_changes_nothing(self, store: Any) -> None:
        for recording_id in ("door", "yard"):
            store.add(recording_of(recording_id), recording_id)
            put(store, segment_of(recording_id))
        content, version = list(store.dump()), store.version
        with pytest.raises(StoreError, match="not kept"):
            store.replace("door", [segment_of(seed=1)], gone=(0, 1), generation=GENERATION, encoder_id=ENCODER)
        with pytest.raises(ValueError, match="yard"):
            store.replace("door", [segment_of("yard", seed=1)], gone=(0,), generation=GENERATION, encoder_id=ENCODER)
        with pytest.raises(ValueError, match="encoder"):
            store.replace("door", [segment_of(seed=1)], gone=(0,), generation=GENERATION, encoder_id="another@1")
        with pytest.raises(ValueError, match="one index"):
            store.replace("door", [segment_of(seed=1), segment_of(seed=2)], gone=(0,), generation=GENERATION, encoder_id=ENCODER)
        assert (list(store.dump()), store.version) == (content, version)

    def test_what_age_has_done_to_a_segment_is_kept(self, store: Any) -> None:
        store.add(recording_of(), "door.mp4")
        put(store, replace(segment_of(), level=2, novelty=0.25, forgotten={"carriers": 9, "tokens": 99, "unix_s": 5.5}))
        put(store, segment_of(index=1))
        aged, new = store.segment_facts("door", GENERATION)
        assert (aged.level, aged.novelty, aged.forgotten) == (2, 0.25, {"carriers": 9, "tokens": 99, "unix_s": 5.5})
        assert (new.level, new.novelty, new.forgotten) == (0, 0.0, {})
        back = store.read_segment("door", GENERATION, 0)
        assert (back.level, back.novelty, back.forgotten) == (aged.level, aged.novelty, aged.forgotten)

    def test_a_view_of_some_segments_knows_the_whole_recording(self, store: Any) -> None:
        for recording_id in ("door", "yard"):
            store.add(recording_of(recording_id), recording_id)
            for index in (0, 1, 2, 4, 5):
                gaps = (Gap(TimeSpan(12, 13), "dark"),) if index == 1 else ()
                put(store, segment_of(recording_id, index, gaps=gaps))
        whole = store.view(["door", "yard"], generation=GENERATION)
        part = store.view(["door", "yard"], generation=GENERATION, segments={"door": [4, 0], "yard": [2]})
        assert (part.horizons, part.gaps) == (whole.horizons, whole.gaps)
        assert [(part.recording_of(row), float(part.starts_s[row])) for row in range(len(part))] == [
            ("door", 0), ("door", 5), ("door", 40), ("door", 45), ("yard", 20), ("yard", 25)
        ]  # fmt: skip
        assert [carrier.span.start_s for carrier in part.load([2, 5])] == [40, 25]
        with pytest.raises(NothingRecorded):
            store.view(["door"], generation=GENERATION, segments={"door": [3]})

    def test_segments_are_found_by_time(self, store: Any) -> None:
        store.add(recording_of(), "door.mp4")
        for index in (0, 1, 2, 4):
            put(store, segment_of(index=index))
        found = store.segments_at("door", GENERATION, [45.0, 0.0, 10.0, 35.0, 99.0])
        assert [segment and segment.index for segment in found] == [4, 0, 1, None, None]
        assert [segment.index for segment in store.segments_within("door", GENERATION, TimeSpan(10, 41))] == [1, 2, 4]
        assert store.horizon("door", GENERATION) == TimeSpan(0, 50)
        assert store.horizon("yard", GENERATION) is None
        every = store.amount(["door", "yard"], GENERATION)
        assert (every.segments, every.seconds) == (4, 40)
        assert store.amount(["door"], GENERATION, TimeSpan(15, 25)).segments == 2
        assert store.written() == {"door": (GENERATION,)}

    def test_text_rows_are_found_by_time_and_by_place(self, store: Any) -> None:
        say(store, "red car", "blue car", "red bus")
        some = {"door": [TimeSpan(0, 10), TimeSpan(20, 30)]}
        assert [row.text for row in store.texts_in(some)] == ["red car", "red bus"]
        assert [row.text for row in store.texts_in(some, match="bus red")] == ["red bus", "red car"]
        assert store.text_places("red bus") == [("door", 20), ("door", 0)]
        assert store.text_places("red", span=TimeSpan(0, 5)) == [("door", 0)]
        assert store.text_places("red car", limit=1) == [("door", 0)]
        assert store.text_places("red", ["yard"]) == []

    def test_a_dropped_segment_can_be_committed_again(self, store: Any) -> None:
        store.add(recording_of(), "door.mp4")
        put(store, segment_of())
        store.drop_segment("door", GENERATION, 0)
        assert store.committed("door", GENERATION) == {}
        assert put(store, segment_of()) is True

    def test_one_generation_has_one_encoder_and_one_width(self, store: Any) -> None:
        store.add(recording_of(), "door.mp4")
        put(store, segment_of())
        with pytest.raises(ValueError, match="encoder"):
            store.commit(segment_of(index=1), generation=GENERATION, encoder_id="another@1")
        (carrier,) = carriers_of("door", 1, rows=1)
        wide = Carrier("door", carrier.spans, 10.5, 10.0, carrier.tokens, np.ones(9, np.float32))
        with pytest.raises(ValueError, match="9"):
            put(store, SegmentMemory(Segment("door", 1, TimeSpan(10, 20)), (wide,)))

    def test_parts_of_another_recording_or_out_of_order_are_refused(self, store: Any) -> None:
        store.add(recording_of(), "door.mp4")
        with pytest.raises(ValueError, match="yard"):
            put(store, segment_of(texts=(text_of("hello", 1, 2, "yard"),)))
        with pytest.raises(ValueError, match="time order"):
            put(store, SegmentMemory(Segment("door", 0, TimeSpan(0, 10)), carriers_of("door", 0)[::-1]))

    # Views

    def test_rows_of_a_view_are_ordered_by_recording_as_asked_and_then_by_time(self, store: Any) -> None:
        for recording_id in ("door", "yard"):
            store.add(recording_of(recording_id), recording_id)
            for index in (1, 0):
                put(store, segment_of(recording_id, index))
        view = store.view(["yard", "door"], generation=GENERATION)
        assert view.recording_ids == ("yard", "door")
        assert view.which.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
        assert view.starts_s.tolist() == [0, 5, 10, 15, 0, 5, 10, 15]
        assert view.ends_s.tolist() == [5, 10, 15, 20, 5, 10, 15, 20]
        assert view.anchors_s.tolist() == [0.5, 5.5, 10.5, 15.5, 0.5, 5.5, 10.5, 15.5]
        assert view.weights_s.tolist() == [5.0] * 8
        assert np.array_equal(view.embeds[2], carriers_of("yard", 1)[0].embed)
        assert (view.encoder_id, view.version) == (ENCODER, store.version)
        assert store.view(generation=GENERATION).recording_ids == ("door", "yard")

    def test_a_view_loads_whole_carriers_in_the_order_asked(self, store: Any) -> None:
        store.add(recording_of(), "door.mp4")
        for index in range(3):
            put(store, segment_of(index=index))
        view = store.view(generation=GENERATION)
        loaded = view.load([5, 0, 3, 0])
        assert [c.span.start_s for c in loaded] == [25, 0, 15, 0]
        assert [c.tokens.shape for c in loaded] == [(2, TOKEN_DIM), (1, TOKEN_DIM), (2, TOKEN_DIM), (1, TOKEN_DIM)]
        assert np.array_equal(loaded[0].tokens, carriers_of("door", 2)[1].tokens)
        assert np.array_equal(loaded[0].embed, view.embeds[5])
        assert view.load([]) == []
        with pytest.raises(IndexError):
            view.load([6])
        with pytest.raises(IndexError):
            view.load([-1])

    def test_a_view_does_not_change_under_a_writer(self, store: Any) -> None:
        store.add(recording_of(), "door.mp4")
        put(store, segment_of(index=0))
        put(store, segment_of(index=1))
        view = store.view(generation=GENERATION)
        embeds = view.embeds.copy()
        store.rewrite(segment_of(index=0, rows=1, seed=1), generation=GENERATION, encoder_id=ENCODER)
        put(store, segment_of(index=2))
        store.drop_segment("door", GENERATION, 1)
        store.forget("door")
        assert np.array_equal(view.embeds, embeds)
        for loaded, kept in zip(view.load(range(4)), carriers_of("door", 0) + carriers_of("door", 1), strict=True):
            assert loaded.spans == kept.spans
            assert np.array_equal(loaded.tokens, kept.tokens)

    def test_the_arrays_of_a_view_cannot_be_written(self, store: Any) -> None:
        store.add(recording_of(), "door.mp4")
        put(store, segment_of())
        view = store.view(generation=GENERATION)
        for array in (view.embeds, view.starts_s, view.ends_s, view.anchors_s, view.weights_s, view.which):
            assert not array.flags.writeable

    def test_a_merged_carrier_keeps_all_its_spans(self, store: Any) -> None:
        store.add(recording_of(), "door.mp4")
        (first, second) = carriers_of("door", 0)
        parts = (TimeSpan(0, 2), TimeSpan(6, 10))
        merged = Carrier("door", parts, 7.0, 6.0, first.tokens, first.embed)
        middle = Carrier("door", (TimeSpan(2, 6),), 3.0, 4.0, second.tokens, second.embed)
        put(store, SegmentMemory(Segment("door", 0, TimeSpan(0, 10)), (merged, middle), (b"merged", b"middle")))
        view = store.view(generation=GENERATION)
        assert view.load([0])[0].spans == parts
        assert (view.starts_s.tolist(), view.ends_s.tolist()) == ([0, 2], [10, 6])
        jpegs = [store.thumbnail("door", time_s, generation=GENERATION) for time_s in (1.9, 2.0, 6.0)]
        assert jpegs == [b"merged", b"middle", b"merged"]

    def test_horizon_and_gaps_say_what_was_seen(self, store: Any) -> None:
        store.add(recording_of(), "door.mp4")
        put(store, segment_of(index=0, gaps=(Gap(TimeSpan(8, 10), "damaged"),)))
        put(store, segment_of(index=1, gaps=(Gap(TimeSpan(10, 11), "damaged"), Gap(TimeSpan(12, 13), "no signal"))))
        put(store, segment_of(index=4))
        view = store.view(generation=GENERATION)
        assert view.horizons == {"door": TimeSpan(0, 50)}
        assert view.gaps["door"] == (
            Gap(TimeSpan(8, 11), "damaged"),
            Gap(TimeSpan(12, 13), "no signal"),
            Gap(TimeSpan(20, 40), "not indexed yet"),
        )

    def test_a_segment_in_which_nothing_could_be_seen_is_a_gap_and_no_row(self, store: Any) -> None:
        store.add(recording_of(), "door.mp4")
        put(store, segment_of(index=0, rows=0, gaps=(Gap(TimeSpan(0, 10), "damaged"),)))
        assert len(store.view(generation=GENERATION)) == 0
        put(store, segment_of(index=1))
        view = store.view(generation=GENERATION)
        assert (len(view), view.horizons["door"]) == (2, TimeSpan(0, 20))
        assert [c.span.start_s for c in view.load([0, 1])] == [10, 15]

    def test_nothing_recorded_is_an_error_with_a_hint(self, store: Any) -> None:
        with pytest.raises(NothingRecorded):
            store.view(generation=GENERATION)
        for recording_id in ("door", "yard"):
            store.add(recording_of(recording_id), recording_id)
        put(store, segment_of())
        with pytest.raises(NothingRecorded) as caught:
            store.view(generation="another")
        assert "index" in caught.value.hint
        with pytest.raises(NothingRecorded):
            store.view(["yard"], generation=GENERATION)
        assert store.view(["yard", "door"], generation=GENERATION).recording_ids == ("door",)

    def test_a_thumbnail_belongs_to_the_carrier_that_stands_for_the_time(self, store: Any) -> None:
        store.add(recording_of(), "door.mp4")
        put(store, segment_of(index=1))
        blank = SegmentMemory(Segment("door", 2, TimeSpan(20, 30)), carriers_of("door", 2), (b"", b"x"))
        put(store, blank)
        put(store, SegmentMemory(Segment("door", 3, TimeSpan(30, 40)), carriers_of("door", 3)))
        times = (9.9, 10.0, 14.9, 15.0, 20.0, 25.0, 30.0, 40.0)
        assert [store.thumbnail("door", time_s, generation=GENERATION) for time_s in times] == [
            None, b"jpeg door 1 0 0", b"jpeg door 1 0 0", b"jpeg door 1 1 0", None, b"x", None, None,
        ]  # fmt: skip
        assert store.thumbnail("door", 10.0, generation="another") is None

    # Texts

    def test_text_rows_come_in_time_order(self, store: Any) -> None:
        store.add(recording_of(), "door.mp4")
        put(store, segment_of(index=1, texts=(text_of("three", 11, 12),)))
        put(store, segment_of(index=0, texts=(text_of("two", 4, 5), text_of("one", 1, 2))))
        assert [row.text for row in store.texts()] == ["one", "two", "three"]
        assert [row.text for row in store.texts(limit=2)] == ["one", "two"]
        assert store.texts(["yard"]) == []

    def test_text_rows_that_were_read_are_read_again_after_a_change_and_belong_to_the_reader(self, store: Any) -> None:
        for recording_id in ("door", "yard"):
            store.add(recording_of(recording_id), recording_id)
        put(store, segment_of(texts=(text_of("one", 1, 2),)))
        store.texts().clear()
        assert [row.text for row in store.texts()] == ["one"]
        put(store, segment_of("yard", texts=(text_of("two", 1, 2, "yard"),)))
        assert [row.text for row in store.texts()] == ["one", "two"]
        assert [row.text for row in store.texts(["yard"])] == ["two"]

    def test_a_line_cut_at_a_segment_edge_is_one_row_again(self, store: Any) -> None:
        store.add(recording_of(), "door.mp4")
        put(store, segment_of(index=0, texts=(text_of("Exit  door", 7, 10),)))
        put(store, segment_of(index=1, texts=(text_of("EXIT door", 11, 14), text_of("exitdoor", 16, 17))))
        rows = store.texts()
        assert spans(rows) == [(7, 14), (16, 17)]
        assert rows[0].text == "Exit  door"

    def test_rows_of_other_kinds_or_recordings_are_not_joined(self, store: Any) -> None:
        for recording_id in ("door", "yard"):
            store.add(recording_of(recording_id), recording_id)
        put(store, segment_of(texts=(text_of("exit", 1, 2), text_of("exit", 2, 3, kind="subtitle"))))
        put(store, segment_of("yard", texts=(text_of("exit", 2, 3, "yard"),)))
        assert len(store.texts()) == 3

    def test_any_word_matches_and_more_words_rank_higher(self, store: Any) -> None:
        say(store, "red truck", "a red car parked", "blue boat")
        assert [row.text for row in store.texts(match="red car")] == ["a red car parked", "red truck"]
        assert [row.text for row in store.texts(match="red car", limit=1)] == ["a red car parked"]

    def test_words_match_in_other_forms_case_and_accents(self, store: Any) -> None:
        say(store, "He was RUNNING", "Café résumé")
        assert [row.text for row in store.texts(match="runs")] == ["He was RUNNING"]
        assert [row.text for row in store.texts(match="cafe")] == ["Café résumé"]

    def test_parts_of_words_match_where_no_whole_word_does(self, store: Any) -> None:
        say(store, "EMERGENCYEXIT", "www.example.com/shop", "IMG_2031.mp4", "exits")
        assert [row.text for row in store.texts(match="emergency")] == ["EMERGENCYEXIT"]
        assert [row.text for row in store.texts(match="exit")] == ["exits"]
        assert [row.text for row in store.texts(match="example.com")] == ["www.example.com/shop"]
        assert [row.text for row in store.texts(match="xample")] == ["www.example.com/shop"]
        assert [row.text for row in store.texts(match="IMG_2031.mp4")] == ["IMG_2031.mp4"]
        assert [row.text for row in store.texts(match="2031mp")] == ["IMG_2031.mp4"]

    def test_two_readings_of_one_line_are_found_as_one(self, store: Any) -> None:
        store.add(recording_of(), "door.mp4")
        readings = (text_of("EXIT DOOR", 0, 2), text_of("EXITDOOR", 2, 4), text_of("Exit door", 4, 6))
        put(store, segment_of(texts=(*readings, text_of("doorbell", 7, 8))))
        assert spans(store.texts(match="door")) == [(0, 6)]

    def test_text_without_spaces_between_words_is_found_by_its_characters(self, store: Any) -> None:
        say(store, "紧急出口在左边", "한국어 자막", "入口")
        assert [row.text for row in store.texts(match="出口")] == ["紧急出口在左边"]
        assert store.texts(match="出口在哪里")[0].text == "紧急出口在左边"
        assert [row.text for row in store.texts(match="자막")] == ["한국어 자막"]

    def test_function_words_count_only_when_there_are_no_others(self, store: Any) -> None:
        say(store, "where is the exit", "what is this")
        assert [row.text for row in store.texts(match="what does the exit sign say")] == ["where is the exit"]
        assert {row.text for row in store.texts(match="is")} == {"where is the exit", "what is this"}

    @pytest.mark.parametrize(
        "words",
        ['"', "'", "don't", '"red', "red OR", "AND", "NOT red", "NEAR(red car)", "col:red", "red*", "^red", "(", ")",
         "{red}", "red -car", "-", "a+b", "\\", "%", "_", "🎉", "🎉 red", "the of and", " ", "\t\n", "\0", "red\0car",
         "ü", "ﬁre", "İ", "red " * 500, "x" * 5000, "?!...", "💩" * 100, "\ud800", "a\ud800b", "ا ب", "日", "a"],
        ids=lambda words: ascii(words)[:20],
    )  # fmt: skip
    def test_nothing_that_a_user_types_is_syntax(self, store: Any, words: str) -> None:
        say(store, "red car", "don't stop")
        assert {row.text for row in store.texts(match=words)} <= {"red car", "don't stop"}

    def test_relevance_is_the_share_of_what_was_asked(self, store: Any) -> None:
        say(store, "red car", "red truck", "blue boat")
        scored = {row.text: relevance for relevance, row in store.search_texts("red car")}
        assert scored["red car"] == 1.0
        assert 0 < scored["red truck"] < 0.5  # the rarer word is the missing one
        assert "blue boat" not in scored
        assert store.search_texts("red car zebra")[0][0] < 0.7

    def test_a_part_of_a_word_says_less_than_the_word(self, store: Any) -> None:
        say(store, "EMERGENCYEXIT")
        assert [relevance for relevance, _ in store.search_texts("emergency")] == [0.75]

    def test_a_line_that_stays_on_screen_neither_drowns_others_nor_loses_time(self, store: Any) -> None:
        store.add(recording_of(duration_s=500), "door.mp4")
        for i in range(40):
            logo = text_of("City channel", i * 10.0, i * 10.0 + 10)
            first = (text_of("city hall", 5, 6),) if i == 0 else ()
            put(store, segment_of(index=i, texts=(logo, *first)))
        found = store.search_texts("channel", limit=1)
        assert spans([row for _, row in found]) == [(0, 400)]
        assert [row.text for _, row in store.search_texts("city hall")] == ["city hall", "City channel"]

    def test_a_search_stays_within_the_recordings_named(self, store: Any) -> None:
        for recording_id in ("door", "yard"):
            store.add(recording_of(recording_id), recording_id)
            put(store, segment_of(recording_id, texts=(text_of("hello", 1, 2, recording_id),)))
        assert [row.recording_id for row in store.texts(["yard"], match="hello")] == ["yard"]
        assert [row.recording_id for row in store.texts(["yard", "door"], match="hello")] == ["yard", "door"]
        assert store.search_texts("hello", [], 5) == []

    # Content

    def test_dumps_are_equal_for_equal_content_whatever_the_order(self, store: Any, another_store: Any) -> None:
        memories = [segment_of("door", 0, texts=(text_of("b", 1, 2), text_of("a", 1, 2))), segment_of("door", 1)]
        for target, order in ((store, (0, 1)), (another_store, (1, 0))):
            for name in ["x", "y"] if order[0] else ["y", "x"]:
                target.add(recording_of(), name, location=f"/{order}")
            for i in order:
                put(target, memories[i])
        content = list(store.dump())
        assert json.dumps(content) == json.dumps(list(another_store.dump()))
        another_store.rewrite(segment_of("door", 1, seed=1), generation=GENERATION, encoder_id=ENCODER)
        assert content != list(another_store.dump())

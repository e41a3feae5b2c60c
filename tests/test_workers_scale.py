"""Libraries too large to be read whole: made up, searched through their index, looked at closely in parts; nothing else changes."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np
import pytest

from footage import ConfigError, NothingRecorded, Recording, Segment, SegmentMemory, TextRow, TimeSpan
from footage.timespan import subtract, union
from memory.local_store import LocalStore
from memory.ram_store import RamStore
from memory.recall.index import RecallIndex
from qa.parse import parse
from qa.route import LOCAL, OVERALL
from workers import narrowing
from workers.bench_search import SearchRun, run_search
from workers.engine import Library, open_library
from workers.made_up import SEGMENT_S, MadeUp, MadeUpEncoder

MADE = MadeUp(hours=3.0, width=64, every_s=5.0, needles=6)
MANY = MadeUp(hours=4.0, width=64, recording_h=0.1, every_s=10.0, needles=5)


def written(folder: Path, made: MadeUp) -> str:
    with LocalStore(folder) as store:
        made.write(store)
        RecallIndex.open(store, made.generation)
    return str(folder)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(tmp_path_factory.mktemp("long") / "library", MADE)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(tmp_path_factory.mktemp("many") / "library", MANY)


def opened(place: str, made: MadeUp) -> Library:
    library = open_library(place, ask={"model": "none"})
    library._encoder = MadeUpEncoder(made)
    return library


@pytest.fixture
def library(long: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    """180 segments, of which a question may read 60 whole."""
    monkeypatch.setattr(narrowing, "WHOLE", 60)
    monkeypatch.setattr(narrowing, "MATCHED", 6)
    monkeypatch.setattr(narrowing, "SPREAD", 10)
    with opened(long, MADE) as library:
        yield library


def part_of(library: Library, words: str, **scope: float) -> narrowing.Narrowed:
    asked, where = parse(words), library.scope("", scope.get("start"), scope.get("end"))
    return library._narrowing(where).narrowed(lambda: library.encoder.embed_text([words]), words, asked.at_s)


def test_the_same_values_make_the_same_library_and_a_stopped_run_goes_on() -> None:
    made, one, other = MadeUp(hours=0.1, width=64, needles=2), RamStore(), RamStore()
    assert made.write(one) == 6
    other.add(made.recordings()[0], "x")
    other.commit(made.memory(3), generation=made.generation, encoder_id=made.encoder_id)
    assert made.write(other) == 5
    assert one.view(generation=made.generation).embeds.tolist() == other.view(generation=made.generation).embeds.tolist()
    assert one.texts() == other.texts()
    assert made.write(one) == 0
    assert np.allclose(np.linalg.norm(one.view(generation=made.generation).embeds, axis=1), 1, atol=1e-5)


def test_what_is_planted_is_what_is_nearest_to_its_question_and_is_read_there() -> None:
    store = RamStore()
    MADE.write(store)
    view, texts = store.view(generation=MADE.generation), store.texts()
    for number, needle in enumerate(MADE.planted()):
        best = int(np.argmax(view.embeds @ MADE.asked(number)))
        assert view.starts_s[best] in needle.span
        assert view.embeds[best] @ MADE.asked(number) > MadeUpEncoder.floor
        assert [row.span for row in texts if needle.text in row.text] == [needle.span]


def test_a_small_scope_is_read_whole_and_nothing_else_is_asked(long: str) -> None:
    with opened(long, MADE) as library:
        narrowed = library._narrowing(library.scope("", None, None)).narrowed(lambda: pytest.fail("embedded for nothing"))
        assert (narrowed.reading.part, narrowed.scope.recording_ids, narrowed.kept_s) == (None, None, 0.0)
        assert not library._indexes


@pytest.mark.parametrize("number", range(6))
def test_what_is_seen_or_read_for_a_moment_is_found_in_a_large_library(library: Library, number: int) -> None:
    needle = MADE.planted()[number]
    for words in (f"When is needle {needle.name} seen?", f'Where does it say "{needle.text}"?'):
        answer = library.ask(words, keep=False)
        assert answer.citations[0].span.overlap_s(needle.span) > 0
        assert not answer.gaps
        assert not answer.warnings
    assert library.search(f"needle {needle.name}")[0].span.overlap_s(needle.span) > 0


def test_a_part_is_small_and_holds_matches_with_their_neighbours_the_edges_and_a_named_time(library: Library) -> None:
    needle = MADE.planted()[3]
    narrowed = part_of(library, f"Is needle {needle.name} there at 1:10:30?")
    [own] = (narrowed.reading.part or {}).values()
    at = int(needle.span.start_s // SEGMENT_S)
    assert {at - 1, at, at + 1, 0, 179, 70} <= {segment.index for segment in own}
    assert len(own) <= 3 * narrowing.MATCHED + narrowing.SPREAD + 3
    assert max(b.index - a.index for a, b in pairwise(own)) < 40  # the rest of the time is seen too
    view = narrowed.reading.view()
    assert len(view) == len(own) * MADE.per_segment
    assert view.horizons[view.recording_ids[0]] == TimeSpan(0, 10800)


def test_nothing_outside_the_range_is_looked_at(library: Library) -> None:
    inside, outside = MADE.planted()[4], MADE.planted()[1]
    wide = part_of(library, f"needle {outside.name}", start=4000, end=10000)
    [own] = (wide.reading.part or {}).values()
    assert all(segment.span.overlap_s(TimeSpan(4000 - SEGMENT_S, 10000 + SEGMENT_S)) > 0 for segment in own)
    assert len(own) < 60
    short = part_of(library, f"needle {inside.name}", start=7200, end=9000)
    assert [segment.index for segment in (short.reading.part or {})["made-up-00000"]] == list(range(120, 150))
    assert short.kept_s == 0  # nothing of it is left out
    answer = library.ask(f"When is needle {inside.name} seen?", start=7200, end=9000, keep=False)
    assert answer.citations[0].span.overlap_s(inside.span) > 0
    assert not library.ask(f"When is needle {outside.name} seen?", start=7200, end=9000, keep=False).found


def test_a_short_range_of_a_large_library_is_answered_as_it_would_be_in_a_small_one(long: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = f"When is needle {MADE.planted()[2].name} seen?", "When is it blue?", "What is seen right now?"
    with opened(long, MADE) as library:
        small = [library.ask(words, start=3600, end=6000, keep=False) for words in asked]
    monkeypatch.setattr(narrowing, "WHOLE", 60)
    with opened(long, MADE) as library:
        large = [library.ask(words, start=3600, end=6000, keep=False) for words in asked]
    assert [(a.text, a.citations) for a in small] == [(a.text, a.citations) for a in large]


def test_what_cannot_be_known_from_a_part_is_said(library: Library) -> None:
    name = MADE.planted()[0].name
    for words in (f"How many times is needle {name} seen?", f"When is needle {name} seen for the last time?"):
        [warning] = library.ask(words, keep=False).warnings
        assert warning.startswith("looked closely at ")
        assert " of 3 hours" in warning
    narrowed = part_of(library, f"needle {name}")
    assert narrowed.warnings(parse("What is it about?"), OVERALL)
    assert not narrowed.warnings(parse(f"When is needle {name} seen?"), LOCAL)


def test_now_is_the_end_of_a_long_recording(library: Library) -> None:
    answer = library.ask("What is happening right now?", keep=False)
    assert answer.citations[0].span.end_s == pytest.approx(10800)


def test_a_timeline_of_too_much_is_refused_and_of_a_part_is_the_same(library: Library, long: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for verb in (library.timeline, library.summary):
        with pytest.raises(ConfigError, match="3 hours in 180 segments are too many for one") as caught:
            verb()
        assert "--from" in (caught.value.hint or "")
    part = library.timeline(start=600, end=1800), library.summary(start=600, end=1800)
    monkeypatch.setattr(narrowing, "WHOLE", 3000)
    with opened(long, MADE) as whole:
        assert part == (whole.timeline(start=600, end=1800), whole.summary(start=600, end=1800))


def test_among_many_recordings_the_right_ones_are_looked_at(many: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(narrowing, "WHOLE", 60)
    with opened(many, MANY) as library:
        for needle in MANY.planted():
            for words in (f"When is needle {needle.name} seen?", f'Where does it say "{needle.text}"?'):
                cited = library.ask(words, keep=False).citations[0]
                assert (cited.recording_id, cited.span.overlap_s(needle.span) > 0) == (needle.recording_id, True)
        narrowed = part_of(library, f"needle {MANY.planted()[0].name}")
        assert len(narrowed.scope.recording_ids or ()) == narrowing.RECORDINGS


def test_holes_are_what_no_segment_covers_however_many_there_are(tmp_path: Path) -> None:
    with LocalStore(tmp_path / "library") as store:
        for seed in range(20):
            random, name = Random(seed), f"r{seed}"
            store.add(Recording(name, 1000.0, 1, 1), name)
            edges = sorted(random.sample(range(1000), 20))
            spans = [TimeSpan(a, b) for a, b in pairwise(edges) if seed % 4 == 0 or random.random() < 0.6]
            spans += [TimeSpan(edges[3], edges[9])] if seed % 5 == 1 else []  # overlaps others
            for index, span in enumerate(spans):
                store.commit(SegmentMemory(Segment(name, index, span), ()), generation="g@1", encoder_id="g")
            view = store.view([name], generation="g@1", segments={name: [0]})
            hull = TimeSpan(min(s.start_s for s in spans), max(s.end_s for s in spans))
            assert view.horizons[name] == hull
            assert [gap.span for gap in view.gaps[name]] == list(subtract(hull, union(spans)))


def test_the_most_relevant_rows_are_found_without_reading_the_others(tmp_path: Path) -> None:
    random, words = Random(3), "red blue green car bus van gate yard".split()
    with LocalStore(tmp_path / "library") as store:
        store.add(MADE.recordings()[0], "x")
        for index in range(40):
            rows = [
                TextRow("made-up-00000", TimeSpan(index * 60 + 5 * i, index * 60 + 5 * i + 2), "ocr", " ".join(random.choices(words, k=3)))
                for i in range(12)
            ]
            memory = SegmentMemory(Segment("made-up-00000", index, TimeSpan(index * 60, index * 60 + 60)), (), texts=tuple(rows))
            store.commit(memory, generation="g@1", encoder_id="g")
        for question in ("red car", "green", "van yard blue", "zebra"):
            every = store.search_texts(question, limit=0)
            for limit in (1, 7, 60, 1000):
                assert store.search_texts(question, limit=limit) == every[:limit]
            best = [score for score, _ in every]
            places = store.text_places(question, limit=9)
            by_place = {(row.recording_id, row.span.start_s): score for score, row in every}
            assert [by_place.get(place, 0) for place in places] == sorted(best, reverse=True)[: len(places)]


def test_without_a_library_nothing_is_narrowed(tmp_path: Path) -> None:
    with opened(str(tmp_path / "none"), MADE) as library, pytest.raises(NothingRecorded):
        library.ask("needle bababa")


def test_the_bench_measures_all_that_it_has_bars_for(tmp_path: Path) -> None:
    report = run_search(SearchRun(tmp_path, MadeUp(width=64, every_s=2.0, needles=4), (0.2,), 4))
    assert [bar["name"].split(": ")[1] for bar in report.checks] == [
        "10 ms over the median search", "recall@10 against exact", "2 s over open to first answer", "needles found",
    ]  # fmt: skip
    found = {bar["name"].split(": ")[1]: bar["value"] for bar in report.checks}
    assert (found["recall@10 against exact"], found["needles found"]) == (1.0, 1.0)
    assert "recall" in report.markdown()

"""Retention in a library: files that stay whole, caps that hold, streams that fade while they are watched, and what people are told."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from footage.carriers import SegmentMemory
from footage.recordings import Gap, Recording, TextRow
from footage.timespan import TimeSpan
from memory.local_store import LocalStore
from memory.retention import RetentionConfig
from memory.stores import LibraryStore
from memory.view import NOT_INDEXED
from workers.config import load_settings
from workers.engine import Library, open_library
from workers.eval_retention import Length, baselines, fade, run_retention
from workers.live.targets import Target
from workers.live.watch import Watch
from workers.made_up_stream import MadeUpStream
from workers.recording_job import Job, Silent, Writer
from workers.remember import Tools, open_source, remember
from workers.retention import Retention, age
from workers.segment_worker import Opened

FILM = "synthetic:red=300,blue=5,red=295"
FADING = {"recent_h": 0.01, "octave_tokens": 64, "octave_segments": 2}
ADDRESS = "rtsp://127.0.0.1:9/nobody"


def opened(place: Path, **retention: object) -> Library:
    return open_library(str(place), index={"ocr": "off"}, retention=retention)


@pytest.fixture
def faded(tmp_path: Path) -> Iterator[Library]:
    with opened(tmp_path, files="age", **FADING) as library:
        library.index(FILM)
        yield library


def test_a_file_that_has_faded_is_whole_and_is_not_indexed_again(faded: Library) -> None:
    (recording, _), generation = faded.recordings()[0], faded.tools.generation
    content, facts = list(faded.dump()), faded.store.segment_facts(recording.recording_id, generation)
    assert len(facts) < 10
    assert max(each.level for each in facts) >= 3
    assert faded.memory.is_whole(recording)
    assert NOT_INDEXED not in {gap.reason for gap in faded.memory.view().gaps[recording.recording_id]}
    (again,) = faded.index(FILM)
    assert (again.segments_made, again.segments_kept) == (0, 10)
    assert list(faded.dump()) == content


def test_what_is_cited_of_a_faded_time_is_found_and_says_so(faded: Library) -> None:
    answer = faded.ask("When was it blue?")
    assert answer.citations[0].span == TimeSpan(300, 305)
    assert any("kept in less detail before 00:07:00" in warning for warning in answer.warnings)
    answer = faded.ask("When was it red?", start="9:00")
    assert not any("less detail" in warning for warning in answer.warnings)


def test_nothing_of_a_file_is_forgotten_unless_one_asks_for_it(tmp_path: Path) -> None:
    with opened(tmp_path, **FADING) as library:
        library.index(FILM)
        content = list(library.dump())
        with library.opened() as store:
            assert age(store, library.settings.retention) == []
        assert list(library.dump()) == content


def test_a_cap_holds_for_files_and_recordings_share_that_of_the_library(tmp_path: Path) -> None:
    with opened(tmp_path) as library:
        library.index(FILM, "synthetic:green=120")
        long, short = sorted(library.known(), key=lambda known: -known.recording.duration_s)
        with library.opened() as store:
            cap = (long.size_bytes * 0.6 + short.size_bytes) / 2**20
            (done,) = age(store, RetentionConfig(library_mib=cap))
            assert done.recording == long.recording.recording_id
            assert done.bytes_after == store.sizes(done.recording) <= long.size_bytes * 0.6 + 1
            assert store.sizes(short.recording.recording_id) == short.size_bytes
            facts = store.segment_facts(done.recording, library.tools.generation)
            assert facts[-1].level == 0
            assert sum(each.segment.span.duration_s for each in facts) == 600
            age(store, RetentionConfig(recording_mib=0.001))
            assert len(store.segment_facts(done.recording, library.tools.generation)) == 2  # the newest stays as it is
            assert store.verify() == []


def watched(store: LibraryStore, tools: Tools) -> str:
    """The film as a stream."""
    source = open_source(FILM, tools.settings)
    recording = Recording(
        Target.parse(ADDRESS).recording_id, 600.0, 64, 64,
        facts={"live": "rtsp", "address": ADDRESS, "began": "2026-01-02T03:04:05.678+00:00", "seen_until_s": "600"},
    )  # fmt: skip
    store.add(recording, "door", location=ADDRESS)
    for segment in source.segments():
        seen = remember(source, segment, tools, [])
        carriers = tuple(replace(carrier, recording_id=recording.recording_id) for carrier in seen.carriers)
        mine = replace(seen, segment=replace(segment, recording_id=recording.recording_id), carriers=carriers)
        store.commit(mine, generation=tools.generation, encoder_id=tools.encoder.id)
    return recording.recording_id


def test_a_stream_fades_while_it_is_watched(tmp_path: Path) -> None:
    settings = load_settings({"library": str(tmp_path), "index": {"ocr": "off"}, "retention": FADING}).settings
    tools = Tools.build(settings)
    with LocalStore(tmp_path) as store:
        name = watched(store, tools)
        Watch([Target(ADDRESS, "door")], store, tools).run(for_s=4.0)
        facts = store.segment_facts(name, tools.generation)
        assert facts[0].level > 0
        assert [f.level for f in facts if f.segment.span.start_s == 600] == [
            0
        ]  # the time since, in which nobody watched; a minute may have ended
        view = store.view([name], generation=tools.generation)
        assert view.weights_s.sum() == pytest.approx(600)
        assert view.gaps[name][0].span.start_s == 600
        assert NOT_INDEXED not in {gap.reason for gap in view.gaps[name]}


def test_what_was_not_found_in_a_stream_may_have_faded(tmp_path: Path) -> None:
    with opened(tmp_path, **FADING) as library:
        with library.opened() as store:
            watched(store, library.tools)
            assert len(age(store, library.settings.retention)) == 1
        warnings = library.ask("When was it green?").warnings
        assert any("door is kept in less detail before 2026-01-02T03:11:05.678" in warning for warning in warnings)


def test_a_segment_that_cannot_be_read_is_left_out_and_the_others_fade(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tools = Tools.build(load_settings({"library": str(tmp_path), "index": {"ocr": "off"}}).settings)
    with LocalStore(tmp_path) as store:
        name = watched(store, tools)
        victim = store.segment_facts(name, tools.generation)[2]
        (tmp_path / victim.file).write_bytes(b"damaged")
        retention = Retention(store, RetentionConfig(recent_h=0.01, octave_tokens=64, octave_segments=2))
        retention.grown(name)
        with caplog.at_level("WARNING"):
            while retention.step():
                pass
        assert "stay as they are" in caplog.text
        facts = store.segment_facts(name, tools.generation)
        assert victim in facts
        assert facts[0].level > 0


def test_subtitles_that_were_joined_are_not_taken_for_new_ones(tmp_path: Path) -> None:
    settings = load_settings({"library": str(tmp_path), "index": {"ocr": "off"}}).settings
    tools, source = Tools.build(settings), open_source(FILM, settings)
    name = source.recording.recording_id
    rows = tuple(TextRow(name, TimeSpan(at_s, at_s + 40), "subtitle", "la la la") for at_s in (10.0, 50.0, 90.0, 200.0))
    plain = Opened.of(source)
    with_rows = replace(plain, texts=rows)
    with LocalStore(tmp_path) as store:
        writer = Writer(store, tools, Silent())
        job = Job.begin(FILM, with_rows, writer)
        for segment in job.pending:
            job.commit(remember(source, segment, tools, job.texts(segment)), writer)
        age(store, RetentionConfig(files="age", recent_h=0.01, octave_tokens=64, octave_segments=2))
        content = list(store.dump())
        assert Job.begin(FILM, with_rows, writer).pending == []
        assert list(store.dump()) == content
        more = replace(with_rows, texts=(*rows, TextRow(name, TimeSpan(300, 302), "subtitle", "la la la")))
        Job.begin(FILM, more, writer)
        assert [row.span for row in store.texts()] == [TimeSpan(10, 130), TimeSpan(200, 240), TimeSpan(300, 302)]


def test_a_gap_that_fades_stays_a_gap(tmp_path: Path) -> None:
    tools = Tools.build(load_settings({"library": str(tmp_path), "index": {"ocr": "off"}}).settings)
    with LocalStore(tmp_path) as store:
        name = watched(store, tools)
        lost = Gap(TimeSpan(60, 120), "no picture")
        blank = SegmentMemory(store.segment_facts(name, tools.generation)[1].segment, (), gaps=(lost,))
        store.rewrite(blank, generation=tools.generation, encoder_id=tools.encoder.id)
        age(store, RetentionConfig(recent_h=0.01, octave_tokens=64, octave_segments=2))
        assert store.view([name], generation=tools.generation).gaps[name] == (lost,)


def test_the_evaluation_holds_memories_of_one_size_beside_each_other() -> None:
    stream = MadeUpStream(4, 120, 4, 1800, needles=10)
    length = Length("4 h", stream, RetentionConfig(recent_h=1, octave_tokens=256, octave_segments=8))
    report = run_retention([length])
    assert report.checks[0]["holds"]  # tokens stay below c log2(1 + t / recent)
    faded = fade(stream, length.config)
    assert faded.whole.tokens == 0  # told by their number alone
    others = baselines(faded.whole, faded.kept.size_bytes)
    assert all(other.size_bytes <= faded.kept.size_bytes for other in others.values())
    assert min(others[name].size_bytes for name in ("newest only", "evenly thinned")) > 0.9 * faded.kept.size_bytes
    found = [row["found"] for row in report.rows if row["method"] == "footage"]
    newest = [row["found"] for row in report.rows if row["method"] == "newest only"]
    assert sum(found) >= sum(newest)
    assert len(found) == 10

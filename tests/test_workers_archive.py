"""What was seen as a stream can be cited, exported and looked at again like a file, as far back as its archive goes."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from played import play

from footage import TimeSpan
from ingest.decode import PyAvDecoder
from ingest.file_source import FileSource, SamplingConfig
from ingest.live.archive_writer import ArchiveWriter
from ingest.live.config import LiveConfig
from ingest.packets import scan
from memory.local_store import LocalStore
from nano.world import World, WorldConfig
from workers import known_encoders
from workers.cli import app
from workers.config import load_settings
from workers.engine import Library, open_library
from workers.eval_films import NANO, NANO_ASK
from workers.export import export_clip
from workers.remember import Tools, remember

ADDRESS = "rtsp://127.0.0.1:8554/door"


def watched(place: Path, film: Path, **settings: Any) -> Library:
    """A library in which a film was seen as a stream: its memory as of a file, its packets in the archive."""
    tools = Tools.build(load_settings({"library": str(place), **settings}).settings)
    file = FileSource.open(film, SamplingConfig(), max_side_px=tools.settings.index.side_px)
    source = replace(file, recording=replace(file.recording, recording_id="door"))
    with LocalStore(place) as store:
        known_encoders.keep(store, tools.encoder.id, known_encoders.Names.of(tools.settings.index))
        store.add(source.recording, "door", location=ADDRESS)
        for segment in source.segments():
            store.commit(remember(source, segment, tools, []), generation=tools.generation, encoder_id=tools.encoder.id)
        writer = ArchiveWriter(store.archive_folder("door"), LiveConfig(segment_s=4.0))
        play(film, writer, 0.0)
        writer.close()
    return open_library(str(place), **settings)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    """Red, from 7.4 s on blue, from 13.3 s on red again; 20 s of 10 fps with B-frames."""
    folder = tmp_path_factory.mktemp("watched")
    with av.open(str(folder / "film.mp4"), "w") as out:
        stream: Any = out.add_stream("libx264", rate=10, options={"preset": "medium", "g": "20", "bf": "2", "sc_threshold": "0"})
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for n in range(200):
            colour = (20, 20, 230) if 74 <= n < 133 else (230, 20, 20)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((96, 160, 3), colour, np.uint8), format="rgb24")))
        out.mux(stream.encode(None))
    with watched(folder / "library", folder / "film.mp4", index={"ocr": "off"}) as library:
        (folder / "film.mp4").unlink()
        yield library


def test_citations_of_a_stream_are_exact(door: Library) -> None:
    [blue] = door.ask("When was it blue?").citations
    assert (blue.span.start_s, blue.span.end_s) == pytest.approx((7.4, 13.3), abs=1e-6)


def test_a_moment_of_a_stream_is_exported(door: Library, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = export_clip(door, "door", TimeSpan(7.4, 13.3), tmp_path / "blue.mp4", exact=True)
    assert (done.span.start_s, done.span.end_s, done.note) == (7.4, 13.3, "")
    table = scan(tmp_path / "blue.mp4")
    [(_, first)] = PyAvDecoder().frames(table, [0], 64)
    assert len(table) == 59
    assert int(first[48 * 64 // 160, 32].argmax()) == 2
    command = ["export", "0:15-0:25", "--library", str(door.directory), "--out", str(tmp_path / "end.mp4"), "--sheet", "--json"]
    app(command, standalone_mode=False)
    told = json.loads(capsys.readouterr().out)
    assert (told["start_s"], told["end_s"]) == (14.0, 20.0)
    assert told["note"].startswith("not in the clip: from 00:00:20.000 to 00:00:25.000")
    assert Path(told["sheet"]).stat().st_size > 1000


def test_asked_about_now_the_last_seconds_of_a_stream_are_decoded_again(tmp_path: Path) -> None:
    film = World.make(WorldConfig(5, "test", 60.0)).write(tmp_path / "film.mp4")
    with watched(tmp_path / "library", film, index=NANO | {"tokens_per_carrier": 4}, ask=NANO_ASK | {"ground": True}) as library:
        film.unlink()
        asked = library.ask("What does the sign say now?")
    assert asked.route == "now"
    assert asked.plan.redecodes
    assert all(50 <= r.time_s < 60 for r in asked.plan.redecodes)

"""A library on a Redis server, from the command line and from Python: the same verbs as on a directory."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from redis_server import running
from typer.testing import CliRunner

import footage
from workers.cli import app

RED, OTHER = "synthetic:red=30,blue=5", "synthetic:green=10"


def test_every_verb_works_on_a_library_on_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ran(*args: str) -> list[dict[str, Any]]:
        done = CliRunner().invoke(app, [*args, "--json"], catch_exceptions=False)
        assert done.exit_code == 0, done.stderr
        assert "s3cret" not in done.output
        return [json.loads(line) for line in done.stdout.splitlines()]

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = f"rtsp://127.0.0.1:{free.getsockname()[1]}/cam"
    with running(tmp_path / "redis", "--requirepass", "s3cret") as server:
        place = server.location("cams", credentials=":s3cret@")
        monkeypatch.setenv("FOOTAGE_LIBRARY", place)
        assert [done["duration_s"] for done in ran("index", RED, OTHER, "-j", "1")] == [35, 10]
        assert [row["names"] for row in ran("recordings")] == [[OTHER], [RED]]
        [answer] = ran("ask", "When was it blue?", "-r", RED)
        assert [(c["start_s"], c["end_s"]) for c in answer["citations"]] == [(30, 35)]
        [found] = ran("search", "blue")
        assert found["moments"][0]["name"] == RED
        assert [scene["start_s"] for scene in ran("timeline", RED)] == [0, 30]
        lost, _, ended = ran("watch", f"yard={nobody}", "--for", "2s", "--alert", "a red wall")
        assert (lost["name"], ended["state"]) == ("yard", "reconnecting")
        assert ran("alerts") == []
        assert ran("doctor")[0]["checks"][-1]["name"] in ("library", "sources")
        with footage.open(place) as library:
            assert library.last_answer()["question"] == "When was it blue?"
            assert library.alerts() == []
            assert [done.segments_made for done in library.index(RED, OTHER)] == [0, 0]
            assert [moment.span.start_s for moment in library.search("green", recording=OTHER)] == [0]
            assert library.directory.is_relative_to(tmp_path / "cache")
            assert len(list(library.dump())) == 6  # three recordings, a segment each
        refused = CliRunner().invoke(app, ["ask", "what?", "-l", server.location("other", credentials=":s3cret@")])
        assert isinstance(refused.exception, footage.NothingRecorded)
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and path.is_relative_to(tmp_path / "cache")]
    assert kept
    assert not any(b"s3cret" in path.read_bytes() for path in kept)

"""Libraries outlive whoever writes, reads or serves them, and are read whole beside a writer. Numbers: docs/results/kills.md."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from redis_server import NAMED, binary

HERE = Path(__file__).parent


def proof(script: str, *args: object, folder: Path, within_s: float) -> dict[str, Any]:
    """What it counted; it ends with an error where anything is wrong."""
    paths = os.pathsep.join([str(HERE), str(HERE.parent)])
    environment = {**os.environ, "PYTHONPATH": paths, "XDG_CACHE_HOME": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    environment["FOOTAGE_TEST_REDIS"] = NAMED
    command = [sys.executable, str(HERE / script), *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=within_s, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    counted: dict[str, Any] = json.loads(done.stdout)
    print(f"{script} {' '.join(map(str, args))}: {counted}")
    return counted


def killed(kind: str, rounds: int, seed: int, folder: Path) -> dict[str, Any]:
    counted = proof("kill_rounds.py", kind, folder, rounds, seed, folder=folder, within_s=60 + 20 * rounds)
    assert counted["rounds"] == rounds
    assert counted["acknowledged"] > rounds / 4  # else too little was going on to prove anything
    assert counted["under way, undone"] > rounds / 20
    return counted


def test_seventy_kills_of_writer_and_reader_lose_and_double_nothing(tmp_path: Path) -> None:
    killed("directory", 70, 1, tmp_path)


def test_forty_kills_of_writer_reader_and_redis_lose_and_double_nothing(tmp_path: Path) -> None:
    binary()
    assert killed("redis", 40, 2, tmp_path)["server killed"] > 5


def test_eight_readers_beside_a_writer_read_nothing_wrong(tmp_path: Path) -> None:
    beside(tmp_path, 5, 3)


@pytest.mark.slow
def test_a_thousand_kills_of_writer_and_reader(tmp_path: Path) -> None:
    killed("directory", 1000, 5, tmp_path)


@pytest.mark.slow
def test_three_hundred_kills_of_writer_reader_and_redis(tmp_path: Path) -> None:
    binary()
    killed("redis", 300, 6, tmp_path)


@pytest.mark.slow
def test_ten_minutes_of_eight_readers_beside_a_writer(tmp_path: Path) -> None:
    counted = beside(tmp_path, 600, 4)
    assert counted["reads"]["carriers"] > 10_000
    assert counted["longest_s"] < 5


def beside(folder: Path, seconds: float, seed: int) -> dict[str, Any]:
    counted = proof("beside_a_writer.py", folder / "library", folder, seconds, 8, seed, folder=folder, within_s=60 + 4 * seconds)
    assert min(counted["reads"][kind] for kind in ("carriers", "search", "texts", "words", "thumbnail", "segment")) > seconds
    assert min(counted["writes"][verb] for verb in ("commit", "rewrite", "drop")) > seconds / 5
    assert counted["versions"] > 2 * seconds
    return counted

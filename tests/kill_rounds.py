"""Writers, readers and the server of one library killed with SIGKILL at random moments; what is left is held against what was acknowledged.

    python kill_rounds.py directory|redis FOLDER ROUNDS SEED

One warm process forks those that die, so that a round costs no imports. Prints a JSON object; anything wrong is an exception.
"""

import json
import random
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from acknowledged import Op, State, after, choose, content_of, perform
from beside_a_writer import Reader, open_at
from contracts_store import GENERATION
from forks import Journal, forked, kill
from redis import Redis
from redis_server import RedisServer, running

from footage import NothingRecorded
from memory.recall.index import RecallIndex

WITHIN_S = 0.15  # they die
AT_WORK_SHARE = 0.7  # of rounds, whose clock begins with the first change; in others they may die while they open the library
SERVER_SHARE = 0.5  # of rounds in which the server dies too
NAME = "rounds"


def write_for_ever(location: str, state: State, seed: int, journal: Journal) -> None:
    """Says what comes, does it, says that it is done."""
    rng = random.Random(seed)
    store = open_at(location)
    while True:
        op = choose(state, rng)
        journal.write(op)
        before, state = state, after(state, op)
        result = perform(store, op)
        assert result in (None, before != state), f"{op} gave {result}"
        journal.write("done")


def read_for_ever(location: str, seed: int) -> None:
    reader = Reader(location, seed)
    while True:
        reader.step()


def settled(location: str, state: State, lines: list[Any], counts: Counter[str]) -> State:
    """The state that is there: all that was acknowledged, and what was under way whole or not at all."""
    before = state
    while len(lines) >= 2:
        before, lines = after(before, Op.of(lines[0])), lines[2:]
        counts["acknowledged"] += 1
    possible = [before, after(before, Op.of(lines[0]))] if lines else [before]
    try:
        with open_at(location, read_only=True) as store:
            found = list(store.dump())
    except NothingRecorded:  # killed while it was made
        found = []
    fits = [each for each in possible if content_of(each) == found]
    assert fits, f"{len(found)} rows are none of what could be there after {lines}"
    counts["under way, done" if lines and fits[0] is not before else "under way, undone"] += bool(lines)
    return fits[0]


def check_whole(location: str, state: State, rng: random.Random) -> None:
    """The next writer finds nothing damaged, leaves nothing dangling, and its index is what a new one would be."""
    with open_at(location) as store:
        assert list(store.dump()) == content_of(state)
        assert store.verify() == []
        files = {facts.file for recording_id in state for facts in store.segment_facts(recording_id, GENERATION)}
        assert payloads_of(location, store.directory) == files
        carriers = sum(part.rows for segments in state.values() for made in segments.values() for part in made)
        index = RecallIndex.open(store, GENERATION)
        assert len(index) == carriers
        if carriers:
            view = store.view(generation=GENERATION)
            assert len(view) == carriers
            asked = np.random.default_rng(rng.randrange(1 << 30)).standard_normal(view.embeds.shape[1]).astype(np.float32)
            exact = np.sort(view.embeds @ asked)[::-1][:5]
            assert np.allclose([hit.score for hit in index.search(asked, 5)], exact, atol=0.01)


def payloads_of(location: str, directory: Path) -> set[str]:
    """All that are there to stay, by the name that rows give them."""
    if "://" not in location:
        return {path.relative_to(directory).as_posix() for path in directory.glob("segments/**/*") if path.is_file()}
    client = Redis.from_url(location.partition("?")[0])
    begin = f"footage:{{{NAME}}}:payload:"
    kept = {key.decode() for key in client.scan_iter(match=f"{begin}*", count=1000) if client.ttl(key) == -1}
    client.close()
    return {key.removeprefix(begin).rpartition(":")[0] for key in kept}


def rounds(location: str, folder: Path, count: int, seed: int, server: RedisServer | None = None) -> Counter[str]:
    rng, counts = random.Random(seed), Counter[str]()
    state: State = {}
    wrong = Journal(folder / "wrong")
    for number in range(count):
        journal = Journal(folder / f"{number}")
        writer_seed, reader_seed = rng.randrange(1 << 30), rng.randrange(1 << 30)
        writer = forked(partial(write_for_ever, location, state, writer_seed, journal), wrong)
        reader = forked(partial(read_for_ever, location, reader_seed), wrong)
        if rng.random() < AT_WORK_SHARE:
            wait_for_work(journal)
        begun = time.monotonic()
        deaths = [(rng.uniform(0, WITHIN_S), partial(kill, writer)), (rng.uniform(0, WITHIN_S), partial(kill, reader))]
        if server is not None and rng.random() < SERVER_SHARE:
            deaths.append((rng.uniform(0, WITHIN_S), partial(restart, server)))
            counts["server killed"] += 1
        for dies_s, die in sorted(deaths, key=lambda death: death[0]):
            time.sleep(max(0.0, begun + dies_s - time.monotonic()))
            die()
        assert not wrong.lines(), wrong.lines()[0]
        state = settled(location, state, journal.lines(), counts)
        check_whole(location, state, rng)
        journal.close()
        counts["rounds"] += 1
    return counts


def wait_for_work(journal: Journal) -> None:
    """However long opening takes on a busy machine."""
    end = time.monotonic() + 20
    while not journal.lines() and time.monotonic() < end:
        time.sleep(0.001)


def restart(server: RedisServer) -> None:
    """What it had acknowledged is in its log on the disk."""
    server.kill()
    server.start()


if __name__ == "__main__":
    kind, there, how_many, first_seed = sys.argv[1:]
    place = Path(there)
    if kind == "redis":
        with running(place / "server", is_durable=True) as own:
            print(json.dumps(rounds(own.location(NAME), place, int(how_many), int(first_seed), own)))
    else:
        print(json.dumps(rounds(str(place / "library"), place, int(how_many), int(first_seed))))

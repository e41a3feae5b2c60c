"""Every store through the one contract; and that they hold the same content for the same commits."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("contracts_store")

from contracts_store import StoreContract, put, recording_of, segment_of, text_of  # noqa: E402

from footage import Gap, TimeSpan  # noqa: E402
from memory.local_store import LocalStore  # noqa: E402
from memory.ram_store import RamStore  # noqa: E402


class TestRamStore(StoreContract):
    @pytest.fixture
    def store(self) -> RamStore:
        return RamStore()

    @pytest.fixture
    def another_store(self) -> RamStore:
        return RamStore()


class TestLocalStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[LocalStore]:
        with LocalStore(tmp_path / "library") as store:
            yield store

    @pytest.fixture
    def another_store(self, tmp_path: Path) -> Iterator[LocalStore]:
        with LocalStore(tmp_path / "another") as store:
            yield store


def test_both_stores_hold_the_same_content_for_the_same_commits(tmp_path: Path) -> None:
    with LocalStore(tmp_path) as local:
        ram = RamStore()
        for store in (local, ram):
            store.add(recording_of(), "door.mp4", location="/a")
            texts = (text_of("hello", 1, 2), text_of("hello", 2, 3))
            put(store, segment_of(rows=3, texts=texts, gaps=(Gap(TimeSpan(4, 5), "damaged"),)))
            put(store, segment_of(index=1, rows=0))
        assert json.dumps(list(local.dump())) == json.dumps(list(ram.dump()))
        assert local.texts() == ram.texts()
        assert local.search_texts("hello") == ram.search_texts("hello")

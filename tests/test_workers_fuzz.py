"""Mutated files: each is indexed, indexed with gaps, or refused by name; the parent survives all of them."""

import pytest
from fuzz import LIMITS, fuzz

KINDS = {"NotVideo", "DecodeError", "SourceError", "SourceNotFound"}


def test_sixty_mutated_files_cost_nothing_but_themselves() -> None:
    found = fuzz(60, 1)
    assert found["files"] == sum(found["ends"].values()) == 60
    assert set(found["refused"]) <= KINDS
    assert found["ends"]["indexed"] > 10
    assert found["ends"]["refused"] > 5
    assert found["exceptions_contained"] == {}


@pytest.mark.slow
def test_two_thousand_mutated_files_and_memory_stays_flat() -> None:
    found = fuzz(2000, 2)
    assert found["files"] == 2000
    assert not [reason for reason in found["worker_processes_lost"] if "longer than" in reason]
    assert found["slowest_s"] < LIMITS.decode_s
    for size in found["resident_mib"].values():
        assert size["growth_per_1000"] < 15, found["resident_mib"]

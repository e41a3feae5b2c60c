"""Retention at work: libraries fade bit by bit while streams are watched, after indexing, and when somebody asks for it."""

import logging
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from footage.errors import StoreError
from footage.recordings import Recording
from memory.aging import Aging
from memory.retention import RetentionConfig, Rewrite, fair_caps
from memory.stores import LibraryStore

log = logging.getLogger(__name__)
MIB = 2**20
TOLD = 2  # the level from which people are told that detail is gone: four tokens a carrier


@dataclass(frozen=True, slots=True)
class Aged:
    """What aging has done to one recording."""

    recording: str
    steps: int
    bytes_before: int
    bytes_after: int


class Retention:
    """Makes old segments of a library coarser, one small step at a time; whoever writes to it calls `step` when nothing else waits."""

    def __init__(self, store: LibraryStore, config: RetentionConfig) -> None:
        self._store, self._config = store, config
        self._due: deque[str] = deque()
        self._steps: deque[tuple[Aging, Rewrite]] = deque()
        self._agings: dict[tuple[str, str], Aging] = {}
        self._does_age: dict[str, bool] = {}

    def grown(self, recording_id: str) -> None:
        """A recording has got older, or more."""
        if recording_id not in self._due:
            self._due.append(recording_id)

    def step(self) -> bool:
        """Look at what is due, or rewrite a few segments; False when nothing is left to do. A segment that cannot be read is left out."""
        if self._steps:
            aging, step = self._steps.popleft()
            try:
                aging.apply(step)
            except StoreError as error:
                log.warning("segments %s of %s stay as they are: %s", step.indices, aging.recording_id, error)
                aging.leave(step)
            return True
        if not self._due:
            return False
        self._steps.extend(self._planned(self._due[0]))
        if not self._steps:
            self._due.popleft()
        return True

    def _planned(self, recording_id: str) -> list[tuple[Aging, Rewrite]]:
        config = self._config_of(recording_id)
        if config is None:
            return []
        planned: list[tuple[Aging, Rewrite]] = []
        generations = self._store.generations(recording_id)
        sizes = {g: sum(facts.size_bytes for facts in self._store.segment_facts(recording_id, g)) for g in generations}
        for generation in generations:
            aging = self._agings.setdefault((recording_id, generation), Aging(self._store, recording_id, generation, config))
            others = sum(sizes.values()) - sizes[generation]
            aging.config = replace(config, recording_mib=_mib(config.recording_mib * MIB - others) if config.recording_mib else 0.0)
            planned += [(aging, step) for step in aging.steps()]
        return planned

    def _config_of(self, recording_id: str) -> RetentionConfig | None:
        """As it holds for one recording: its share of the library's bytes, and no octaves where all is kept. None: leave it alone."""
        config, cap = self._config, self._config.recording_mib
        if config.library_mib:
            sizes = {known.recording.recording_id: known.size_bytes for known in self._store.known()}
            share = fair_caps(sizes, config.library_mib * MIB).get(recording_id, 0)
            cap = min(cap or math.inf, _mib(share))
        if recording_id not in self._does_age:
            self._does_age |= {recording.recording_id: does_age(recording, config) for recording in self._store.recordings()}
        ages = self._does_age.get(recording_id, False)
        return replace(config, recording_mib=cap, recent_h=config.recent_h if ages else math.inf) if ages or cap else None


def does_age(recording: Recording, config: RetentionConfig) -> bool:
    """Streams and files have settings of their own."""
    return (config.streams if "live" in recording.facts else config.files) == "age"


def age(
    store: LibraryStore,
    config: RetentionConfig,
    recording_ids: Sequence[str] | None = None,
    *,
    most: int | None = None,
    told: Callable[[str, int], None] | None = None,
) -> list[Aged]:
    """Bring recordings, or all, to the size that the settings give them; interrupt at will. Quick where nothing is to be done.

    Args:
        most: steps for each recording at most; None: until nothing is left to do.
        told: hears (recording, steps done so far).
    Returns:
        Those that changed.
    Raises:
        StoreError: the library is open for reading only.
    """
    is_capped = bool(config.recording_mib or config.library_mib)
    retention, done = Retention(store, config), []
    for recording in store.recordings():
        name = recording.recording_id
        if not (is_capped or does_age(recording, config)) or name not in (recording_ids or (name,)):
            continue
        before, steps = store.sizes(name), 0
        retention.grown(name)
        while (most is None or steps < most) and retention.step():
            steps += 1
            if told is not None:
                told(name, steps)
        if (after := store.sizes(name)) != before:
            done.append(Aged(name, steps, before, after))
    return done


def faded(store: LibraryStore, recording_id: str, *generations: str) -> float | None:
    """Recording time before which less is kept than was seen, and one notices; None where all is kept."""
    ends = (store.aged_until(recording_id, generation, TOLD) for generation in generations)
    return max((end_s for end_s in ends if end_s is not None), default=None)


def faded_warnings(
    store: LibraryStore, asked: Mapping[str, float], generation_of: Callable[[str], str], when: Callable[[str, float], str]
) -> tuple[str, ...]:
    """A sentence for each recording that is kept in less detail where it matters.

    Args:
        asked: by recording, the earliest moment that matters.
        when: (recording, time) in words.
    """
    told: list[str] = []
    for recording_id, at_s in asked.items():
        until_s = faded(store, recording_id, generation_of(recording_id))
        if until_s is not None and at_s < until_s:
            name = next(iter(store.names(recording_id)), recording_id)
            told.append(f"{name} is kept in less detail before {when(recording_id, until_s)}")
    return tuple(told)


def _mib(size_bytes: float) -> float:
    """Never 0, which would mean that there is no limit."""
    return max(1.0, size_bytes) / MIB

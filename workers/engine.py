"""Library: one object with the verbs of the command line, used by the CLI and by Python alike."""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from unicodedata import normalize

import numpy as np

from footage.addresses import is_live, scheme_of, without_credentials
from footage.errors import ConfigError, NothingRecorded
from footage.frames import Clip
from footage.protocols import Answerer, Encoder, Fetcher
from footage.questions import Answer, Budget, Moment, Question, Turn
from footage.recordings import Recording
from footage.timespan import TimeSpan, clock, parse_clock
from frame_select.registry import selector
from memory.catalogue import Known
from memory.recall.index import RecallIndex
from memory.stores import LibraryStore, open_store, shown
from nano import TOWER
from qa.answerers.moments import MomentsAnswerer
from qa.answerers.template import TemplateAnswerer
from qa.answerers.vlm import VlmAnswerer
from qa.ask import NO_END_S, OVERVIEW, Onlooker, Overview, Scope, Stopwatch, ask, search, search_image
from qa.parse import parse
from qa.route import NOW, OVERALL, route_of
from qa.summary import Summary
from qa.timeline import Scene
from workers import known_encoders
from workers.alerts.alert import Alert
from workers.alerts.ledger import kept_alerts
from workers.alerts.replay import replay
from workers.as_json import answer_json
from workers.choices import with_choice
from workers.config import Settings, find_library, load_settings
from workers.conversation import Conversation
from workers.fetchers import Fetchers
from workers.indexing import Done, Listener, Refused, index, processes
from workers.live.coverage import began_unix_s, coverage
from workers.live.status import StreamStatus
from workers.live.targets import targets_of
from workers.models import NANO, checkpoint_of, is_served, is_world, load_answerer, served_answerer
from workers.narrowing import RECORDINGS, Narrowing
from workers.overviews import Overviews
from workers.pictures import Pictures
from workers.reading import Reading
from workers.remember import Tools, open_source
from workers.retention import age, faded_warnings
from workers.summary import summary
from workers.timeline import MIN_S, timeline
from workers.two_towers import TwoTowers, finder_of, refuse_strangers

if TYPE_CHECKING:
    from workers.live.watched import Listener as Watcher

log = logging.getLogger(__name__)

ANSWERS = "answers.jsonl"
LOOKS_ALIKE = 0.6  # cosine of two pictures below which they do not look alike
NO_MODEL = "no model was asked what it is about; `footage summary` sums up what is read, said and seen"
LAST_FRAMES = 8  # of what is asked about now, in full


def open_library(library: str = "", **settings: Any) -> "Library":
    """See `footage.open`."""
    flags: dict[str, Any] = dict(settings)
    if library:
        flags["library"] = library
    return Library(load_settings(flags).settings)


class Library:
    """Recordings that are remembered in one directory, or in one place on a Redis server.

    Reading opens the library read-only; only indexing takes the writer's place, for as long as it runs.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.location = shown(settings.library)
        """For messages: without credentials."""
        self.directory = find_library(settings)
        """On this machine: all of a library, or what belongs to one on a server and lies beside it."""
        self._tools: Tools | None = None
        self._encoder: Encoder | None = None
        self._reader: LibraryStore | None = None
        self._answers: Answerer | None = None
        self._note = ""
        self._overviews = Overviews()
        self._indexes: dict[str, RecallIndex] = {}
        self._began: tuple[int, dict[str, float | None]] = -1, {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader, self._indexes = None, {}

    @property
    def tools(self) -> Tools:
        """Encoder, merger and readers; loaded at first use."""
        if self._tools is None:
            self._tools = Tools.build(self.settings)
        return self._tools

    @property
    def store(self) -> LibraryStore:
        """For reading. Raises NothingRecorded when there is no library yet."""
        if self._reader is None:
            self._reader = self.opened(read_only=True)
        return self._reader

    def opened(self, *, read_only: bool = False) -> LibraryStore:
        """Its store, opened anew: the caller closes it. Raises as memory.stores.open_store does."""
        return open_store(self.settings.library, read_only=read_only, config=self.settings.redis)

    def index(self, *targets: str | Path, jobs: int | None = None, listener: Listener | None = None) -> list[Done]:
        """Index files, folders, globs; what is there already is not made again. Raises the first error, after the rest is done.

        jobs: worker processes that read the files, 0 for one a core, so that no file can crash or stall this one; None: in this process.
        """
        results = list(self.indexing([str(t) for t in targets], jobs=jobs, listener=listener))
        for result in results:
            if isinstance(result, Refused):
                raise result.error
        return [r for r in results if isinstance(r, Done)]

    def indexing(self, targets: Sequence[str], *, jobs: int | None = None, listener: Listener | None = None) -> Iterator[Done | Refused]:
        """The same, one result at a time as it is ready; an error is a result."""
        self.close()
        with self.opened() as store:
            known_encoders.keep(store, self.tools.encoder.id, known_encoders.Names.of(self.settings.index))
            count = None if jobs is None else processes(jobs)
            yield from index(targets, store, self.settings, tools=self.tools, jobs=count, listener=listener)
            age(store, self.settings.retention)
            RecallIndex.open(store, self.tools.generation, directory=store.index_directory)

    def recordings(self) -> list[tuple[Recording, tuple[str, ...]]]:
        """Every recording with its names, by name."""
        return [(known.recording, known.names) for known in self.known()]

    def known(self) -> list[Known]:
        """The same, with locations, generations and bytes."""
        return sorted(self.store.known(), key=lambda known: known.names)

    def resolve(self, name: str) -> str:
        """A recording's id from its path or address, its name, its id or the beginning of its id.

        Raises:
            ConfigError: no such recording, or several; the message lists them.
        """
        every, spelled = self.known(), normalize("NFC", name)
        place = without_credentials(name) if scheme_of(name) else str(Path(name).resolve())
        found = [k for k in every if place in k.locations or k.recording.recording_id == name]
        found = found or [k for k in every if any(normalize("NFC", each) == spelled for each in k.names)]
        found = found or [k for k in every if len(name) >= 4 and k.recording.recording_id.startswith(name)]
        if len(found) == 1:
            return found[0].recording.recording_id
        if found:
            told = ", ".join(f"{k.recording.recording_id} ({next(iter(k.locations), 'nowhere')})" for k in found[:8])
            raise ConfigError(
                f"{name!r} is the name of {len(found)} recordings: {told}{' ...' if len(found) > 8 else ''}",
                hint="name one by its id or its path",
            )
        known = ", ".join(k.names[0] for k in every[:8])
        raise ConfigError(
            f"there is no recording {name!r} in {self.location}",
            hint=f"known: {known}{' ...' if len(every) > 8 else ''}",
        )

    def name_of(self, recording_id: str) -> str:
        return next(iter(self.store.names(recording_id)), recording_id)

    def ask(
        self,
        question: str,
        source: str = "",
        *,
        recording: str = "",
        start: float | str | None = None,
        end: float | str | None = None,
        jobs: int | None = None,
        listener: Listener | None = None,
        choices: Sequence[str] = (),
        answerer: Answerer | None = None,
        earlier: Sequence[Turn] = (),
        heard: Callable[[str], None] | None = None,
        keep: bool = True,
    ) -> Answer:
        """Answer in words and moments. With a source that is not in the library yet, index it first.

        start, end: seconds or clock text; only what lies between is searched. jobs: processes to index with.
        choices: of a multiple-choice question. answerer: instead of the one that settings name. earlier: what was asked before, for models
        that can be told (`conversation` sees to it). heard: gets the answer's words as they come. keep: as the last answer, to export from.
        """
        watch, asked = Stopwatch(), replace(_question(question), choices=tuple(choices), earlier=tuple(earlier))
        if source:
            recording = self.indexed(source, jobs, listener)
        s = self.settings.ask
        route = route_of(question) if s.route == "auto" else s.route
        chooses = "uniform" if route == OVERALL else s.selector
        covering = {} if s.coverage is None or route == OVERALL else {"coverage": s.coverage}
        meant = parse(question)
        narrowed = self._narrowing(self.scope(recording, start, end)).narrowed(
            lambda: self.encoder.embed_text(meant.sought or (question, *meant.parts)), question, meant.at_s
        )
        scope = narrowed.scope
        answer = ask(
            asked, memory=narrowed.reading, encoder=self.encoder, answerer=answerer or self.answerer, budget=self._budget(route, answerer),
            selector=selector(chooses, tokens_per_carrier=self.settings.index.tokens_per_carrier, **covering),
            fetcher=self.fetcher() if s.ground else None, scope=scope, moments=s.moments, rerank=s.rerank, names=self._naming(scope),
            overview=self._overview(answerer or self.answerer), watch=watch,
            heard=heard, route=route, check=s.check, finder=finder_of(self.encoder),
        )  # fmt: skip
        hint = (NO_MODEL,) if route == OVERALL and answer.model in ("none", "template") else ()
        warnings = (
            *answer.warnings, *narrowed.warnings(meant, route), *self._warnings(scope), *self._faded(answer, scope),
            *self.coverage(scope.recording_ids), *hint,
        )  # fmt: skip
        answer = with_choice(replace(answer, warnings=warnings), asked.choices)
        if keep:
            self._keep(question, answer)
        return answer

    def conversation(self, *, recording: str = "", start: float | str | None = None, end: float | str | None = None) -> Conversation:
        """Questions of which each may lean on those before it: "what colour was it?". Only what is named here is searched."""
        return Conversation(self, recording=recording, start=start, end=end)

    def search(
        self,
        text: str,
        *,
        recording: str = "",
        start: float | str | None = None,
        end: float | str | None = None,
        limit: int = 10,
    ) -> list[Moment]:
        """Moments whose pictures or text match, best first."""
        text = _question(text).text
        meant, narrowing = parse(text), self._narrowing(self.scope(recording, start, end), limit)
        narrowed = narrowing.narrowed(lambda: self.encoder.embed_text(meant.sought or (text, *meant.parts)), text, meant.at_s)
        return search(text, memory=narrowed.reading, encoder=self.encoder, scope=narrowed.scope, limit=limit)

    def search_image(
        self, image: str | Path, *, recording: str = "", start: float | str | None = None, end: float | str | None = None, limit: int = 10
    ) -> list[Moment]:
        """Moments that look like a picture file, best first. Raises ConfigError when the file is no picture."""
        from PIL import Image, UnidentifiedImageError

        try:
            pixels = np.asarray(Image.open(image).convert("RGB"))
        except (OSError, UnidentifiedImageError) as error:
            raise ConfigError(f"{str(image)!r} is no picture that can be read ({error})", hint="give a .jpg or .png") from error
        zero = np.zeros(1)
        [embed] = finder_of(self.encoder).encode(Clip("query", pixels[None], zero, zero + 1, zero)).embeds
        narrowed = self._narrowing(self.scope(recording, start, end), limit).narrowed(lambda: [embed])
        return search_image(embed, memory=narrowed.reading, floor=LOOKS_ALIKE, scope=narrowed.scope, limit=limit)

    def timeline(
        self,
        recording: str = "",
        *,
        start: float | str | None = None,
        end: float | str | None = None,
        min_s: float = MIN_S,
        every: bool = False,
    ) -> list[Scene]:
        """What one recording shows, scene by scene, with gaps as scenes of their own; it may be left out where there is only one.

        Scenes last min_s at the least, as sampled; unless `every`, the most alike neighbours become one until 40 are left an hour begun.

        Raises:
            ConfigError: no such recording, or several. NothingRecorded: none of it was seen between start and end.
        """
        return timeline(self, recording, start, end, min_s=min_s, every=every)

    def summary(self, recording: str = "", *, start: float | str | None = None, end: float | str | None = None) -> Summary:
        """What one recording shows in a few sections, each line with its time and what it is drawn from; kept until something changes.

        In the words of the model that settings name where it follows instructions, else in what is read, said and seen there.

        Raises:
            ConfigError: no such recording, or several. NothingRecorded: none of it was seen between start and end.
        """
        return summary(self, recording, start, end)

    def watch(
        self, *addresses: str, for_s: float | None = None, listener: "Watcher | None" = None, stop: threading.Event | None = None,
        alert: Sequence[str] = (), told: Callable[[Alert], None] | None = None,
    ) -> list[StreamStatus]:  # fmt: skip
        """Watch streams (ADDRESS or NAME=ADDRESS) for so long, or until `stop` is set; asks and searches see what there is meanwhile.

        A stream that was watched before goes on in the same recording. Whatever happens to a stream is a gap in it, never an error.
        alert: standing questions, see docs/alerts.md. told: hears each alert, in a thread of its own; all are kept for `alerts`.

        Raises:
            ConfigError: an address is no live stream, or nothing could match a standing question.
            StoreError: the library cannot be written, or another process writes it.
        """
        from workers.alerts.service import Alerts
        from workers.live.watch import Watch

        targets = targets_of(addresses)
        with self.opened() as store:
            known_encoders.keep(store, self.tools.encoder.id, known_encoders.Names.of(self.settings.index))
            with Alerts(self, alert, sinks=[told] if told else []) if alert else nullcontext() as alerts:
                watch = Watch(targets, store, self.tools, listener=listener, grown=alerts.offer if alerts else None)
                fared = watch.run(for_s, stop)
            RecallIndex.open(store, self.tools.generation, directory=store.index_directory)
        return fared

    def coverage(self, recording_ids: Sequence[str] | None = None) -> tuple[str, ...]:
        """In words, for each stream among these recordings, or all: up to when it was seen, and how long ago that is."""
        asked = [r for r in self.store.recordings() if recording_ids is None or r.recording_id in recording_ids]
        return coverage(self.directory, asked, self.name_of)

    def wall_clock(self, recording_id: str, time_s: float) -> str | None:
        """ISO 8601, UTC, to the millisecond; None where it is not known when the recording began."""
        version = self.store.version
        if self._began[0] != version:
            self._began = version, {r.recording_id: began_unix_s(r) for r in self.store.recordings()}
        began = self._began[1].get(recording_id)
        return None if began is None else datetime.fromtimestamp(began + time_s, UTC).isoformat(timespec="milliseconds")

    def alerts(self, *, recording: str = "", limit: int = 0) -> list[Alert]:
        """What standing questions have fired, oldest first; of these the newest `limit`, 0 for all that are kept."""
        return kept_alerts(self.directory, recording=self.resolve(recording) if recording else "", limit=limit)

    def replay(
        self, question: str, *, recording: str = "", start: float | str | None = None, end: float | str | None = None
    ) -> list[Alert]:
        """What a standing question would have fired over recorded footage, each segment compared with those before it alone.

        Raises:
            ConfigError: nothing could match the question, or no such recording. NothingRecorded: nothing is indexed.
        """
        return replay(self, question, recording=recording, within=self.scope(recording, start, end).span)

    def dump(self) -> Iterator[dict[str, Any]]:
        """The whole content, canonical: two libraries that hold the same give the same."""
        return self.store.dump()

    def last_answer(self) -> dict[str, Any]:
        """The newest kept answer, as `footage ask --json` printed it. Raises NothingRecorded when nothing was asked yet."""
        path = self.directory / ANSWERS
        if not path.exists():
            raise NothingRecorded("no question was asked of this library yet", hint='ask first: footage ask "..."')
        for line in reversed(path.read_text().splitlines()):
            try:
                answer: dict[str, Any] = json.loads(line)
            except ValueError:  # cut off by a kill
                continue
            return answer
        raise NothingRecorded("no answer is kept in this library", hint='ask first: footage ask "..."')

    @property
    def encoder(self) -> Encoder:
        """The one that settings name; where they name none, the one that wrote this library."""
        if self._encoder is None:
            found = known_encoders.chosen(self.store, self.store.encoder_ids(), self.settings)
            is_other = found is not None and found[1] != known_encoders.Names.of(self.settings.index)
            self._encoder = self.tools.like(found[1], found[0]) if found and is_other else self.tools.encoder
        return self._encoder

    def scope(self, recording: str, start: float | str | None, end: float | str | None) -> Scope:
        ids = (self.resolve(recording),) if recording else None
        if start is None and end is None:
            return Scope(ids)
        low = 0.0 if start is None else _seconds(start)
        high = NO_END_S if end is None else _seconds(end)
        if low >= high:
            raise ConfigError(f"the range from {start} to {end} is empty", hint="--from must be before --to")
        return Scope(ids, TimeSpan(low, high))

    @property
    def memory(self) -> Reading:
        """The library as today's encoder can read it."""
        return Reading(self.store, self.encoder.id, self.tools.generation, known_encoders.known(self.store))

    def fetcher(self) -> Fetcher:
        """Pixels of anything whose file is still where it was."""
        return Fetchers(self.store, self.settings)

    @property
    def answerer(self) -> Answerer:
        """The one that settings name; loaded at first use.

        Raises:
            ConfigError: it cannot read what this library's encoder wrote.
        """
        if self._answers is None:
            self._answers = self._load_answerer(self.settings.ask.model)
        return self._answers

    def _budget(self, route: str, answerer: Answerer | None) -> Budget:
        """What is asked about now may be decoded again, where a model reads it."""
        sharp = LAST_FRAMES if route == NOW and isinstance(answerer or self.answerer, VlmAnswerer) else 0
        return Budget(self.settings.ask.budget, redecodes=sharp, max_side_px=self.settings.index.side_px)

    def _overview(self, answerer: Answerer) -> Overview | None:
        """For a model whose prompts have a place for one, and that does not see everything anyway."""
        reads = answerer.reading if isinstance(answerer, VlmAnswerer) and not isinstance(answerer, Onlooker) else None
        count = 0 if reads is None or reads.one_by_one else min(self.settings.ask.overview, reads.max_visual_tokens // OVERVIEW)
        return (lambda view, most: self._overviews(view, min(most, count))) if count else None

    def _load_answerer(self, model: str) -> Answerer:
        encoder, sees = self.encoder, finder_of(self.encoder).id != "color@1"
        if model == "auto" and isinstance(encoder, TwoTowers):
            self._note = encoder.unread()
            model = model if self._note else encoder.checkpoint
        elif model == "auto" and encoder.id.startswith(f"siglip-{TOWER.name}-"):
            model = NANO
        if model == "template" or (model == "auto" and not sees):
            return TemplateAnswerer(MomentsAnswerer(sees))
        if model in ("none", "auto"):
            return MomentsAnswerer(sees)
        if is_served(model):
            return served_answerer(model, self.settings, Pictures(self), MomentsAnswerer(sees))
        refuse_strangers(model, checkpoint_of(model, self.settings), encoder)
        return load_answerer(model, self.settings)

    def _warnings(self, scope: Scope) -> tuple[str, ...]:
        """nano says so when it is asked about anything but its own world, "auto" where it finds no model for the carriers."""
        warning = self.answerer.reading.warning if isinstance(self.answerer, VlmAnswerer) else ""
        if not warning:
            return (self._note,) if self._note else ()
        ids = scope.recording_ids or tuple(r.recording_id for r in self.store.recordings())
        strange = [i for i in ids if not any(is_world(Path(place)) for place in self.store.locations(i))]
        names = ", ".join(map(self.name_of, strange[:3])) + (" ..." if len(strange) > 3 else "")
        return (f"{warning} (asked about {names})",) if strange else ()

    def _faded(self, answer: Answer, scope: Scope) -> tuple[str, ...]:
        """What is cited may be of a time of which little is kept; in a stream, what was not found may have been there."""
        asked: dict[str, float] = {}
        for moment in answer.citations:
            asked[moment.recording_id] = min(moment.span.start_s, asked.get(moment.recording_id, NO_END_S))
        if not answer.found:
            begin_s = scope.span.start_s if scope.span else 0.0
            streams = (r.recording_id for r in self.store.recordings() if "live" in r.facts)
            asked |= {name: begin_s for name in streams if name in (scope.recording_ids or (name,))}
        return faded_warnings(self.store, asked, self.memory.generation, lambda name, at_s: self.wall_clock(name, at_s) or clock(at_s))

    def indexed(self, source: str, jobs: int | None, listener: Listener | None) -> str:
        """The recording of a source, indexed now when not all of it can be read yet."""
        if Path(source).is_dir():
            raise ConfigError(f"{source!r} is a folder", hint=f"index it first (footage index {source}), then ask without naming it")
        if is_live(source):
            return self.resolve(without_credentials(source))
        if self._was_read(source):  # what is new may be anything, and is opened by those who index it alone
            recording = open_source(source, self.settings).recording
            if self.memory.is_whole(recording):
                return recording.recording_id
        done = self.index(source, jobs=jobs, listener=listener)
        if len(done) != 1:
            raise ConfigError(f"{source!r} stands for {len(done)} files", hint="they are indexed now: ask without naming them, or name one")
        return done[0].recording

    def _was_read(self, source: str) -> bool:
        """Something that was there has been indexed as a whole."""
        places = {without_credentials(source), str(Path(source).resolve())}
        try:
            every = self.store.recordings()
        except NothingRecorded:
            return False
        return any(places & set(self.store.locations(r.recording_id)) and self.memory.is_whole(r) for r in every)

    def _narrowing(self, scope: Scope, limit: int = 0) -> Narrowing:
        """What is read for a question: all of a small scope, of a large one where the vector index and the text rows point."""
        return Narrowing(self.memory, scope, self._index, most=max(limit, RECORDINGS))

    def whole(self, scope: Scope, what: str) -> Reading:
        """All of a scope, for what reads every row of it: its name. Raises ConfigError where that is too much."""
        return self._narrowing(scope).whole(what)

    def _index(self, generation: str) -> RecallIndex:
        """Of this library, as it is now; opened once."""
        index = self._indexes.get(generation)
        if index is None:
            index = self._indexes[generation] = RecallIndex.open(self.store, generation)
        index.refresh()
        return index

    def _naming(self, scope: Scope) -> Any:
        """Names are told only where there is more than one recording to confuse."""
        many = len(scope.recording_ids or self.store.recordings()) > 1
        return self.name_of if many else lambda _: ""

    def _keep(self, question: str, answer: Answer) -> None:
        """Every answer is kept with its plan, so that it can be looked at and exported later."""
        row = {"question": question, "asked": time.time(), **answer_json(answer, self)}
        try:
            with (self.directory / ANSWERS).open("a") as file:
                file.write("\n" + json.dumps(row) + "\n")  # a line of its own also after one that was cut off
        except OSError as error:
            log.warning("the answer could not be kept: %s", error)


def _question(text: str) -> Question:
    if not text.strip():
        raise ConfigError("there are no words to look for", hint='write a question in quotes: footage ask "When is it blue?"')
    return Question(text)


def _seconds(time_text: float | str) -> float:
    try:
        return float(time_text) if not isinstance(time_text, str) else parse_clock(time_text)
    except ValueError as error:
        raise ConfigError(str(error)) from error

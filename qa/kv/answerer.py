"""KvAnswerer: before a question it reads all that is asked about, once, and keeps its keys and values for the next questions.

Numbered rows of evidence come after it as ever: what it has seen is context, what it may point at are rows.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from threading import Lock, local
from typing import Any, Literal

import numpy as np

from footage.arrays import AnyArray
from footage.carriers import Carrier, MemoryView
from footage.costs import Meter
from footage.errors import ConfigError
from footage.questions import Evidence, Question
from footage.timespan import clock_words
from qa.answerers.decoding import Begun, Language
from qa.answerers.prefix import PrefixCache
from qa.answerers.vlm import VlmAnswerer
from qa.families.family import Group, Prompt
from qa.kv.budget import Bounded
from qa.kv.memory import Memory
from qa.kv.offload import Offloaded
from qa.kv.session import Session

BLOCK_TOKENS = 256
"""Visual tokens that are read at once, at least one carrier; a question fetches as many together."""
LOADED = 64
"""Carriers in memory at a time."""
SEEN = "Here is all that was seen, in order, each frame after its time. Behind it some moments of it stand again, numbered."


@dataclass(frozen=True, slots=True)
class Kv:
    """What is kept of all that was read."""

    kind: Literal["budget", "offload"] = "budget"
    """ "budget": so many tokens, the rest is forgotten (qa.kv.budget). "offload": all, on the host, of which so many are fetched."""
    tokens: int = 6144

    def memory(self, layers: int, limit: int) -> Memory:
        """limit: the range of positions that the model was trained on."""
        if self.kind == "budget":
            return Bounded(layers, tokens=self.tokens, limit=limit)
        return Offloaded(layers, blocks=max(1, self.tokens // BLOCK_TOKENS), window=self.tokens)


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """What a session has read: rows of a view, from the first on."""

    session: Session
    generation: str
    recording_ids: tuple[str, ...]
    rows: AnyArray
    """(N, 4) recording, start, end and anchor."""

    def begins(self, view: MemoryView, rows: AnyArray) -> bool:
        """The view is the same, or goes on."""
        same = view.generation == self.generation and view.recording_ids[: len(self.recording_ids)] == self.recording_ids
        return same and np.array_equal(rows[: len(self.rows)], self.rows)


class _Live:
    """A language model that reads prompts after what this thread's session has read, or by themselves where it has none."""

    def __init__(self, plain: Language, head: Sequence[int], busy: Lock) -> None:
        self._plain, self._head, self._busy, self._here = plain, head, busy, local()

    @property
    def prefixes(self) -> PrefixCache | None:
        return self._plain.prefixes

    @property
    def session(self) -> Session | None:
        return getattr(self._here, "session", None)

    @session.setter
    def session(self, session: Session | None) -> None:
        self._here.session = session

    def read(self, prompt: Prompt) -> Begun:
        if self.session is None:
            return self._plain.read(prompt)
        count = next((n for n, (a, b) in enumerate(zip(prompt.ids[0].tolist(), self._head, strict=False)) if a != b), len(self._head))
        with self._busy:
            logits, go_on = self.session.begin(prompt, skip=count)
        return Begun(logits, go_on, reused=count)

    def tokens(self, begun: Begun, ends: Collection[int]) -> Iterator[int]:
        return self._plain.tokens(begun, ends)


class KvAnswerer(VlmAnswerer):
    """A VlmAnswerer with a session over what was looked over last; it is extended when a view grows, and begun anew for another view."""

    def __init__(self, model: Any, tokenizer: Any, **more: Any) -> None:
        """Raises ConfigError: it reads rows one by one, or drops tokens on the way."""
        super().__init__(model, tokenizer, **more)
        if self.reading.one_by_one:
            raise ConfigError(f"{self.id} reads rows one by one, so nothing can stand before them", hint="leave ask.kv at none")
        if more.get("dropping") is not None:
            raise ConfigError("ask.drop leaves out tokens of one prompt, ask.kv of all that was seen", hint="use one of the two")
        self.kv, self._busy = Kv(), Lock()
        self._known: _Known | None = None
        self._live = self._language = _Live(self._language, self._ids_of(self._head()), self._busy)  # type: ignore[assignment]

    def over(self, kv: Kv) -> "KvAnswerer":
        """The same, with another memory."""
        self.kv, self._known = kv, None
        return self

    def look_over(self, view: MemoryView, *, meter: Meter | None = None) -> None:
        """Read what is new in a view. meter: told of it as of one prompt."""
        rows, meter = np.stack([view.which, view.starts_s, view.ends_s, view.anchors_s], 1), meter or Meter()
        with self._busy:
            known = self._known if self._known is not None and self._known.begins(view, rows) else None
            self._known = None  # nothing half read is kept
            session, begun = (known.session, len(known.rows)) if known else (self._session(), 0)
            for block in _blocks(view, range(begun, len(rows))):
                self._read_block(session, block, meter)
            if begun < len(rows):
                meter.cost = replace(meter.cost, passes=meter.cost.passes + 1)
            self._known = _Known(session, view.generation, view.recording_ids, rows)
        self._live.session = session

    def stream(
        self, question: Question, evidence: Sequence[Evidence], *, meter: Meter | None = None, overview: Sequence[Evidence] = ()
    ) -> Iterator[str]:
        """As VlmAnswerer.stream, after what this thread has looked over last."""
        meter, session = meter or Meter(), self._live.session
        before = meter.cost
        try:
            yield from super().stream(question, evidence, meter=meter, overview=overview)
        finally:
            self._live.session = None
            if session is not None:
                new = meter.cost.visual_tokens + meter.cost.text_tokens - before.visual_tokens - before.text_tokens
                looking = self._macs(session, new) - self.shape.prefill_macs(new)
                held = (session.tokens + new) * self.shape.kv_bytes_per_token
                cost = replace(meter.cost, prefill_macs=meter.cost.prefill_macs + looking, kv_bytes=max(meter.cost.kv_bytes, held))
                meter.cost = cost

    def _session(self) -> Session:
        memory = self.kv.memory(self.shape.layers, self._family.decoder.config.max_position_embeddings)
        return Session(self._model, self._family, memory, begin=self._ids_of(self._head() + SEEN))

    def _read_block(self, session: Session, block: Sequence[tuple[str, Carrier]], meter: Meter) -> None:
        groups = self._groups([carrier for _, carrier in block])
        ids = self._ids_of("".join(f"{words} {self._family.bare(group)}" for (words, _), group in zip(block, groups, strict=True)))
        c, visual, macs = meter.cost, sum(len(group.tokens) for group in groups), self._macs(session, len(ids))
        with self._fits(ids):
            session.read(ids, [[group] for group in groups])
        meter.cost = replace(
            c, visual_tokens=c.visual_tokens + visual, text_tokens=c.text_tokens + len(ids) - visual,
            prefill_macs=c.prefill_macs + macs, kv_bytes=max(c.kv_bytes, session.tokens * self.shape.kv_bytes_per_token),
        )  # fmt: skip

    def _macs(self, session: Session, new: int) -> float:
        """Of reading so many tokens after what the session has read, of which they see `Kv.tokens` at most."""
        seen = min(session.tokens, self.kv.tokens)
        return self.shape.prefill_macs(seen + new, reused=seen)

    def _groups(self, carriers: Sequence[Carrier]) -> list[Group]:
        """Each carrier as the language model reads it, at its time."""
        import torch

        tokens = torch.from_numpy(np.concatenate([carrier.tokens for carrier in carriers])).to(self._model.device, self._model.dtype)
        with torch.inference_mode():
            ready = self._family.ready(tokens).split([len(carrier.tokens) for carrier in carriers])
        return [Group(each, carrier.anchor_s) for each, carrier in zip(ready, carriers, strict=True)]

    def _head(self) -> str:
        """What every prompt begins with."""
        chat = [{"role": "user", "content": [{"type": "text", "text": SEEN}]}]
        whole: str = self._tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        return whole.split(SEEN)[0]

    def _ids_of(self, text: str) -> list[int]:
        with self._tokenizing:
            ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids


def _blocks(view: MemoryView, rows: range) -> Iterator[list[tuple[str, Carrier]]]:
    """Carriers in the order of the view, each with the words before it: as many as BLOCK_TOKENS hold, or a larger one alone."""
    block: list[tuple[str, Carrier]] = []
    for first in range(rows.start, rows.stop, LOADED):
        some = range(first, min(first + LOADED, rows.stop))
        for row, carrier in zip(some, view.load(some), strict=True):
            if block and sum(len(each.tokens) for _, each in block) + len(carrier.tokens) > BLOCK_TOKENS:
                yield block
                block = []
            block.append((_words_before(view, row), carrier))
    if block:
        yield block


def _words_before(view: MemoryView, row: int) -> str:
    """Its time, and where several recordings are asked about, which one begins."""
    begins = len(view.recording_ids) > 1 and (row == 0 or view.which[row] != view.which[row - 1])
    return f"{f' Recording {view.which[row] + 1}:' if begins else ''} {clock_words(float(view.anchors_s[row]))}"

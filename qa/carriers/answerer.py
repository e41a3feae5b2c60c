"""CarrierAnswerer: a video-language model that reads each frame through one carrier's keys and values."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from footage.costs import Meter
from footage.questions import Evidence, Question
from qa.answerers.one_by_one import OneByOne
from qa.answerers.prompt import NOT_THERE, Row, fitted, rows_of, spoken
from qa.answerers.vlm import Reading, VlmAnswerer
from qa.carriers.bank import CarrierBank
from qa.carriers.carrier_input import with_carrier
from qa.carriers.semantic_mask import Layout
from qa.families.family import Group, Prompt
from qa.families.registry import family_of
from qa.parse import parse


class CarrierAnswerer:
    """As VlmAnswerer, from whose prompts its own differ by a carrier after each frame; the frames are dropped before the question is read.

    Where adapter.load gave the model carriers that were trained, it reads those; else untrained means.
    """

    def __init__(self, model: Any, tokenizer: Any, *, id: str, reading: Reading, capacity: int = 64) -> None:
        self._model, self._tokenizer, self._id, self._reading, self._capacity = model, tokenizer, id, reading, capacity
        self._family, self._words = family_of(model.model, tokenizer=tokenizer), VlmAnswerer(model, tokenizer, id=id, reading=reading)

    @property
    def id(self) -> str:
        return self._id

    def stream(
        self, question: Question, evidence: Sequence[Evidence], *, meter: Meter | None = None, overview: Sequence[Evidence] = ()
    ) -> Iterator[str]:
        """As Answerer.stream; an overview is ignored."""
        rows, read = rows_of(evidence), partial(self._read, meter=meter or Meter())
        if not rows:
            yield NOT_THERE
        elif self._reading.one_by_one:
            yield OneByOne(read, aloud=self._reading.aloud).reply(question, rows)
        else:
            near = fitted(rows, self._reading.max_visual_tokens)
            yield spoken(read(question, near), near, counts=parse(question.text).how_often, aloud=self._reading.aloud)

    def prompt(self, question: Question, rows: Sequence[Row]) -> tuple[Prompt, Layout]:
        """What is read: VlmAnswerer's prompt with a carrier after each frame."""
        videos = [self._groups(row) for row in rows]
        seen = [replace(row, frames=tuple(group.tokens for group in groups)) for row, groups in zip(rows, videos, strict=True)]
        made = self._family.prompt(self._words.prompt(question, seen), videos)
        return made, Layout.of(made, videos)

    def _read(self, question: Question, rows: Sequence[Row], *, meter: Meter) -> str:
        """The model's own words about some rows. The meter is told of all that was read; of frames, only carriers are held."""
        import torch

        with torch.inference_mode():
            prompt, layout = self.prompt(question, fitted(rows, self._reading.max_visual_tokens))
            bank = CarrierBank(self._family, capacity=self._capacity)
            hidden = bank.read(prompt, layout)
            made = bank.say(self._model, hidden, end=self._tokenizer.eos_token_id, most=self._reading.max_new_tokens)
        visual = int((layout.frame >= 0).sum())
        meter.read(self._family.shape, visual=visual, text=prompt.ids.shape[1] - visual, new=len(made))
        text: str = self._tokenizer.decode(made, skip_special_tokens=True)
        return text.strip()

    def _groups(self, row: Row) -> list[Group]:
        """Its frames with their carriers, at their times or, where those are not known, at its middle."""
        import torch

        known = len(row.times_s) == len(row.frames)
        times = row.times_s if known else [(row.span.start_s + row.span.end_s) / 2] * len(row.frames)
        embed = self._model.get_input_embeddings().weight
        tokens = [self._family.ready(torch.tensor(frame).to(embed.device, embed.dtype)) for frame in row.frames]
        return [with_carrier(self._model, Group(each, time_s)) for each, time_s in zip(tokens, times, strict=True)]

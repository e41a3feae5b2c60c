"""VlmAnswerer: a video-language model that reads carriers in place of visual tokens and points at what it read."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np

from footage.arrays import AnyArray
from footage.costs import LanguageShape, Meter
from footage.errors import ConfigError, ModelError, OutOfDeviceMemory
from footage.questions import Evidence, Question
from qa.answerers.dropping import Dropping, prefill, step
from qa.answerers.focusing import Focusing
from qa.answerers.one_by_one import OneByOne
from qa.answerers.prompt import NOT_THERE, Row, fitted, rows_of, spoken, written
from qa.families.family import Group, Prompt
from qa.families.registry import FAMILIES, family_of
from qa.parse import STOP_WORDS, parse

INSTRUCTION = (
    "Above are numbered moments of a video, each with its time. Answer the question from them alone, in few words. "
    "Begin with the number of the moment that shows it, as [2]. If none of them shows it, answer: none."
)
HELPS = "Above is a moment of a video. Does it help to answer the following question? Say yes or no."


@dataclass(frozen=True, slots=True)
class Reading:
    """How a checkpoint wants to be read; under "footage" in its config.json."""

    carriers: str = ""
    """The encoder whose carriers its connector takes; "": of none, so that it can answer from text alone."""
    instructed: bool = True
    """Tell it what to do. nano was trained on rows and questions alone."""
    max_visual_tokens: int = 4096
    one_by_one: bool = False
    """Read the rows each by itself, see one_by_one.OneByOne."""
    aloud: bool = False
    """It works out loud: its answer is what prompt.concluded leaves of its words."""
    max_new_tokens: int = 64
    warning: str = ""
    """What people must know before they believe it."""


class VlmAnswerer:
    """Evidence rows with carriers as `inputs_embeds`; times in its answers come from those rows."""

    def __init__(
        self, model: Any, tokenizer: Any, *, id: str, reading: Reading, dropping: Dropping | None = None, focusing: Focusing | None = None
    ) -> None:
        self._model, self._tokenizer, self._id, self.reading = model, tokenizer, id, reading
        self._dropping, self._focusing = dropping, focusing
        self._family = family_of(model.model, tokenizer=tokenizer)

    @classmethod
    def load(
        cls, folder: Path, *, id: str, device: Any, dtype: Any, dropping: Dropping | None = None, focusing: Focusing | None = None
    ) -> Self:
        """From a local folder. dropping: how visual tokens leave the language model on the way. focusing: how few it reads at all.

        Raises:
            ModelError: no checkpoint of FAMILIES, or one that cannot be loaded.
        """
        from safetensors import SafetensorError
        from transformers import AutoModelForImageTextToText, AutoTokenizer

        try:
            model, loaded = AutoModelForImageTextToText.from_pretrained(
                folder, dtype=dtype, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, RuntimeError, ImportError, SafetensorError) as error:
            raise ModelError(f"{folder} cannot be loaded: {error}", hint="it needs config.json, *.safetensors and a tokenizer") from error
        family = model.config.model_type
        if family not in FAMILIES:
            raise ModelError(f"{folder} holds a model of type {family!r}; expected one of {', '.join(FAMILIES)}")
        said = getattr(model.config, "footage", None) or {}
        if said.get("carriers") and getattr(model.config, "scale_factor", 1) != 1:
            raise ModelError(f"{folder} names carriers but mixes {model.config.scale_factor} x {model.config.scale_factor} tokens into one")
        if focusing is not None and getattr(model.config.vision_config, "deepstack_visual_indexes", None):
            raise ModelError(f"{folder} reads planes beside its tokens, and no focus compares those with words", hint="ask without a focus")
        if missing := sorted(loaded["missing_keys"]):
            raise ModelError(f"{folder} lacks {len(missing)} weights of its own model, such as {missing[0]}")
        known = {field.name for field in fields(Reading)}
        reading = Reading(**{name: value for name, value in said.items() if name in known})
        return cls(model.to(device).eval().requires_grad_(False), tokenizer, id=id, reading=reading, dropping=dropping, focusing=focusing)

    @property
    def id(self) -> str:
        return self._id

    @property
    def shape(self) -> LanguageShape:
        """The sizes of its decoder."""
        return self._family.shape

    def stream(self, question: Question, evidence: Sequence[Evidence], *, meter: Meter | None = None) -> Iterator[str]:
        rows = rows_of(evidence)
        yield self._reply(question, rows, meter or Meter()) if rows else NOT_THERE

    def _reply(self, question: Question, rows: list[Row], meter: Meter) -> str:
        if self.reading.one_by_one:
            return OneByOne(partial(self._read, meter=meter), aloud=self.reading.aloud).reply(question, rows)
        near = fitted(rows, self.reading.max_visual_tokens)
        counts = parse(question.text).how_often
        return spoken(self._read(question, rows, meter=meter), near, counts=counts, aloud=self.reading.aloud)

    def _read(self, question: Question, rows: Sequence[Row], *, meter: Meter) -> str:
        """The model's own words about some rows."""
        seen = self._seen(question, fitted(rows, self.reading.max_visual_tokens))
        ids, visual = self.prompt(question, seen), sum(row.tokens for row in seen)
        text, new, layers = self._generate(ids, seen)
        meter.read(self.shape, visual=visual, text=len(ids) - visual, new=new, layers=layers)
        return text

    def likely(self, question: Question, evidence: Evidence, *, meter: Meter | None = None) -> float:
        """Probability, 0 to 1, of yes against no as the first word when asked whether this moment helps to answer.

        Raises:
            ConfigError: it was never taught to do what it is told. ModelError: the tokenizer has no token that is yes or no alone.
        """
        import torch

        if not self.reading.instructed:
            raise ConfigError(f"{self._id} follows no instructions: it cannot say whether a moment helps", hint="leave ask.rerank at 0")
        yes, no = self._alone("yes"), self._alone("no")
        seen = self._seen(question, fitted(rows_of([evidence]), self.reading.max_visual_tokens))
        ids, visual = self._ids([written(seen, self._frames), HELPS, *_asked(question)]), sum(row.tokens for row in seen)
        with self._fits(ids), torch.inference_mode():
            logits = self._model(**self._placed(ids, seen).inputs, logits_to_keep=1).logits[0, -1].float()
        (meter or Meter()).read(self.shape, visual=visual, text=len(ids) - visual, new=0)
        return float(torch.sigmoid(logits[yes].logsumexp(0) - logits[no].logsumexp(0)))

    def _alone(self, word: str) -> list[int]:
        """Tokens that are this word alone, however it is spelled."""
        spellings = [f"{space}{form}" for space in ("", " ") for form in (word, word.capitalize())]
        made = [self._tokenizer(said, add_special_tokens=False)["input_ids"] for said in spellings]
        ids = sorted({ids[0] for ids in made if len(ids) == 1 and ids[0] != self._tokenizer.unk_token_id})
        if not ids:
            raise ModelError(f"the tokenizer of {self._id} has no token that is {word!r} alone", hint="leave ask.rerank at 0")
        return ids

    def prompt(self, question: Question, rows: Sequence[Row]) -> list[int]:
        """Token ids, with one image token a visual token."""
        return self._ids([written(rows, self._frames), *([INSTRUCTION] if self.reading.instructed else []), *_asked(question)])

    def _ids(self, parts: Sequence[str]) -> list[int]:
        chat = [{"role": "user", "content": [{"type": "text", "text": " ".join(parts)}]}]
        text = self._tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _generate(self, ids: list[int], rows: Sequence[Row]) -> tuple[str, int, list[int]]:
        """(words, tokens written, tokens read in each layer)"""
        import torch

        with self._fits(ids), torch.inference_mode():
            prompt = self._placed(ids, rows)
            drops = self._dropping is not None and int(prompt.visual.sum()) >= self._dropping.min_visual
            made, layers = self._written_dropping(prompt) if drops else (self._written(prompt), [])
        text: str = self._tokenizer.decode(made, skip_special_tokens=True)
        return text.strip(), len(made), layers

    @contextmanager
    def _fits(self, ids: Sequence[int]) -> Iterator[None]:
        import torch

        try:
            yield
        except torch.OutOfMemoryError as error:
            raise OutOfDeviceMemory(f"a prompt of {len(ids)} tokens does not fit the device", hint="use a smaller --budget") from error

    def _seen(self, question: Question, rows: Sequence[Row]) -> list[Row]:
        """The same rows, their frames as the language model reads them: projected, and made fewer with the question's words if asked to."""
        import torch

        frames, model = [frame for row in rows for frame in row.frames], self._model
        if not frames:
            return list(rows)
        with torch.inference_mode():
            tokens = torch.from_numpy(np.concatenate(frames)).to(model.device, model.dtype)
            read = self._family.ready(tokens).split([len(frame) for frame in frames])
            if self._focusing is not None:
                fewer = self._focusing.of([frame.float().cpu().numpy() for frame in read], self._words(question))
                read = [torch.from_numpy(frame).to(model.device, model.dtype) for frame in fewer]
        left = iter(read)
        return [replace(row, frames=tuple(islice(left, len(row.frames)))) for row in rows]

    def _words(self, question: Question) -> AnyArray:
        """(m, D) float32 the question's content words, and its choices', as the language model embeds them."""
        import torch

        words = [w for w in re.findall(r"[^\W_]+", " ".join([question.text, *question.choices])) if w.lower() not in STOP_WORDS]
        made = [self._tokenizer(f" {word}", add_special_tokens=False)["input_ids"] for word in words]
        ids = [n for n in dict.fromkeys(n for some in made for n in some) if n != self._tokenizer.unk_token_id]
        embeds: AnyArray = (
            self._model.get_input_embeddings()(torch.tensor(ids, dtype=torch.long, device=self._model.device)).float().cpu().numpy()
        )
        return embeds

    def _frames(self, row: Row) -> str:
        """A row's frames in words, with a placeholder a visual token."""
        return self._family.written(_groups(row))

    def _placed(self, ids: Sequence[int], rows: Sequence[Row]) -> Prompt:
        """A prompt with frames, as `_seen` gives them, in place."""
        return self._family.prompt(ids, [_groups(row) for row in rows])

    def _written(self, prompt: Prompt) -> list[int]:
        """Token ids, the most likely one at a time."""
        inputs = prompt.inputs
        made = self._model.generate(
            **inputs, do_sample=False, max_new_tokens=self.reading.max_new_tokens, pad_token_id=self._tokenizer.pad_token_id,
            eos_token_id=self._tokenizer.eos_token_id,
        )  # fmt: skip
        ids: list[int] = made[0].tolist()
        return ids[prompt.ids.shape[1] :] if "input_ids" in inputs else ids

    def _written_dropping(self, prompt: Prompt) -> tuple[list[int], list[int]]:
        """The same where visual tokens are dropped on the way, and how many tokens each layer read."""
        import torch

        assert self._dropping is not None
        model, decoder, embeds = self._model, self._family.decoder, prompt.embeds
        ids: list[int] = []
        read = prefill(decoder, embeds, prompt.visual[0], self._dropping, positions=prompt.positions.squeeze(-2), planes=prompt.planes)
        last = read.last
        while len(ids) < self.reading.max_new_tokens and (not ids or ids[-1] != self._tokenizer.eos_token_id):
            if ids:
                last = step(decoder, model.get_input_embeddings()(torch.tensor([[ids[-1]]], device=embeds.device)), read)
            ids.append(int(model.lm_head(last).argmax()))
        return ids, read.tokens


def _groups(row: Row) -> list[Group]:
    """Its frames at their times, or at its middle where somebody took some of them out."""
    known = len(row.times_s) == len(row.frames)
    times = row.times_s if known else [(row.span.start_s + row.span.end_s) / 2] * len(row.frames)
    return [Group(frame, time_s) for frame, time_s in zip(row.frames, times, strict=True)]


def _asked(question: Question) -> list[str]:
    """The question in words, with its choices."""
    choices = " ".join(f"({chr(65 + n)}) {choice}" for n, choice in enumerate(question.choices))
    return [question.text, *([f"Choices: {choices}"] if choices else [])]

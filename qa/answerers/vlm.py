"""VlmAnswerer: a video-language model that reads carriers in place of visual tokens and points at what it read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np

from footage.arrays import AnyArray
from footage.costs import LanguageShape, Meter
from footage.errors import ModelError, OutOfDeviceMemory
from footage.questions import Evidence, Question
from qa.answerers.dropping import Dropping, prefill, step
from qa.answerers.one_by_one import OneByOne
from qa.answerers.prompt import NOT_THERE, Row, fitted, rows_of, spoken, written
from qa.parse import parse

FAMILIES = ("smolvlm",)  # model_type in config.json
INSTRUCTION = (
    "Above are numbered moments of a video, each with its time. Answer the question from them alone, in few words. "
    "Begin with the number of the moment that shows it, as [2]. If none of them shows it, answer: none."
)


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

    def __init__(self, model: Any, tokenizer: Any, *, id: str, reading: Reading, dropping: Dropping | None = None) -> None:
        self._model, self._tokenizer, self._id, self.reading, self._dropping = model, tokenizer, id, reading, dropping
        self._image = tokenizer.convert_ids_to_tokens(model.config.image_token_id)

    @classmethod
    def load(cls, folder: Path, *, id: str, device: Any, dtype: Any, dropping: Dropping | None = None) -> Self:
        """From a local folder. dropping: how visual tokens leave the language model on the way, see dropping.PRESETS.

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
        if said.get("carriers") and model.config.scale_factor != 1:
            raise ModelError(f"{folder} names carriers but mixes {model.config.scale_factor} x {model.config.scale_factor} tokens into one")
        if missing := sorted(loaded["missing_keys"]):
            raise ModelError(f"{folder} lacks {len(missing)} weights of its own model, such as {missing[0]}")
        known = {field.name for field in fields(Reading)}
        reading = Reading(**{name: value for name, value in said.items() if name in known})
        return cls(model.to(device).eval().requires_grad_(False), tokenizer, id=id, reading=reading, dropping=dropping)

    @property
    def id(self) -> str:
        return self._id

    @property
    def shape(self) -> LanguageShape:
        """The sizes of its decoder."""
        text = self._model.config.text_config
        return LanguageShape(
            text.num_hidden_layers, text.hidden_size, text.intermediate_size, text.num_attention_heads, text.num_key_value_heads
        )

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
        near = fitted(rows, self.reading.max_visual_tokens)
        ids, visual = self.prompt(question, near), sum(row.tokens for row in near)
        text, new, layers = self._generate(ids, near)
        meter.read(self.shape, visual=visual, text=len(ids) - visual, new=new, layers=layers)
        return text

    def prompt(self, question: Question, rows: Sequence[Row]) -> list[int]:
        """Token ids, with one image token a visual token."""
        parts = [written(rows, self._image), *([INSTRUCTION] if self.reading.instructed else []), question.text]
        if question.choices:
            parts.append("Choices: " + " ".join(f"({chr(65 + n)}) {choice}" for n, choice in enumerate(question.choices)))
        chat = [{"role": "user", "content": [{"type": "text", "text": " ".join(parts)}]}]
        text = self._tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _generate(self, ids: list[int], rows: Sequence[Row]) -> tuple[str, int, list[int]]:
        """(words, tokens written, tokens read in each layer)"""
        import torch

        prompt = torch.tensor([ids], device=self._model.device)
        try:
            with torch.inference_mode():
                embeds, visual = self._embedded(prompt, [frame for row in rows for frame in row.frames])
                drops = self._dropping is not None and int(visual.sum()) >= self._dropping.min_visual
                made, layers = self._written_dropping(embeds, visual[0]) if drops else (self._written(embeds), [])
        except torch.OutOfMemoryError as error:
            raise OutOfDeviceMemory(f"a prompt of {len(ids)} tokens does not fit the device", hint="use a smaller --budget") from error
        text: str = self._tokenizer.decode(made, skip_special_tokens=True)
        return text.strip(), len(made), layers

    def _embedded(self, prompt: Any, frames: Sequence[AnyArray]) -> tuple[Any, Any]:
        """(1, n, D) with carriers where image tokens stand, and where those are (1, n)."""
        import torch

        model, visual = self._model, prompt == self._model.config.image_token_id
        embeds = model.get_input_embeddings()(prompt)
        if frames:
            tokens = torch.from_numpy(np.concatenate(frames)).to(model.device, model.dtype)
            embeds = embeds.masked_scatter(visual[..., None], model.model.connector.modality_projection(tokens))
        return embeds, visual

    def _written(self, embeds: Any) -> list[int]:
        """Token ids, the most likely one at a time."""
        import torch

        made = self._model.generate(
            inputs_embeds=embeds, attention_mask=torch.ones(embeds.shape[:2], dtype=torch.long, device=embeds.device), do_sample=False,
            max_new_tokens=self.reading.max_new_tokens, pad_token_id=self._tokenizer.pad_token_id,
            eos_token_id=self._tokenizer.eos_token_id,
        )  # fmt: skip
        ids: list[int] = made[0].tolist()
        return ids

    def _written_dropping(self, embeds: Any, visual: Any) -> tuple[list[int], list[int]]:
        """The same where visual tokens are dropped on the way, and how many tokens each layer read."""
        import torch

        assert self._dropping is not None
        model, decoder = self._model, self._model.model.text_model
        ids: list[int] = []
        read = prefill(decoder, embeds, visual, self._dropping)
        last = read.last
        while len(ids) < self.reading.max_new_tokens and (not ids or ids[-1] != self._tokenizer.eos_token_id):
            if ids:
                last = step(decoder, model.get_input_embeddings()(torch.tensor([[ids[-1]]], device=embeds.device)), read)
            ids.append(int(model.lm_head(last).argmax()))
        return ids, read.tokens

"""A language model, a token at a time: what is known of a prompt is taken from earlier ones, the rest is read, then it writes.

Letters: n tokens of a prompt, D width, L layers.
"""

from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from qa.answerers.dropping import Dropping, prefill, step
from qa.answerers.prefix import PrefixCache, looks_back_alone, marks_of
from qa.answerers.side_by_side import Row, SideBySide
from qa.families.family import Prompt


@dataclass(slots=True)
class Begun:
    """A prompt that was read."""

    logits: Any
    """(vocabulary,) float32 of the token that comes next."""
    go_on: Callable[[Any], Any] | Row
    """The same after one more token (1, 1, D); a row shares its passes with others."""
    reused: int = 0
    """Tokens that an earlier prompt had read."""
    layers: tuple[int, ...] = ()
    """Tokens that each of L layers read, where some were dropped."""


class Language:
    """The language model of a checkpoint. Threads may share it: one prompt is read at a time, replies are written side by side."""

    def __init__(self, model: Any, decoder: Any, *, prefix_bytes: int, dropping: Dropping | None = None) -> None:
        """prefix_bytes: how much is kept of prompts that were read; nothing with `dropping`, where later tokens say which of them stay."""
        self._model, self._decoder, self._dropping = model, decoder, dropping
        self._runs = ThreadPoolExecutor(1, "language")
        self.writing = SideBySide(model, decoder, self._runs)
        keeps = prefix_bytes > 0 and dropping is None and looks_back_alone(decoder)
        self.prefixes = PrefixCache(prefix_bytes) if keeps else None

    def read(self, prompt: Prompt) -> Begun:
        return self._runs.submit(self._read, prompt).result()

    def _read(self, prompt: Prompt) -> Begun:
        import torch

        with torch.inference_mode():
            if self._dropping is not None and int(prompt.visual.sum()) >= self._dropping.min_visual:
                return self._read_dropping(prompt, self._dropping)
            return self._read_whole(prompt)

    def tokens(self, begun: Begun, ends: Collection[int]) -> Iterator[int]:
        """What it writes, the most likely token at a time, up to and with one of `ends`."""
        import torch

        while (token := int(begun.logits.argmax())) not in ends:
            yield token
            with torch.inference_mode():
                embed = self._model.get_input_embeddings()(torch.tensor([[token]], device=begun.logits.device))
            begun.logits = self._after(begun.go_on, embed)
        yield token

    def _after(self, go_on: Callable[[Any], Any] | Row, embed: Any) -> Any:
        if isinstance(go_on, Row):
            return self.writing.step(go_on, embed)
        return self._runs.submit(self._alone, go_on, embed).result()

    def _alone(self, go_on: Callable[[Any], Any], embed: Any) -> Any:
        import torch

        with torch.inference_mode():
            return go_on(embed)

    def _read_whole(self, prompt: Prompt) -> Begun:
        from transformers import DynamicCache

        cache, known = DynamicCache(config=self._decoder.config), 0
        marks = None if self.prefixes is None else marks_of(prompt)
        if self.prefixes is not None and marks is not None:
            known = self.prefixes.take(marks, cache)
        rest = prompt.after(known)
        deep = {"visual_pos_masks": rest.visual, "deepstack_visual_embeds": list(rest.planes)} if rest.planes else {}
        logits = self._pass(rest.embeds, rest.positions, cache, **deep)
        if self.prefixes is not None and marks is not None:
            self.prefixes.keep(marks, cache)
        return Begun(logits, Row(cache, prompt.positions[..., -1:] - cache.get_seq_length() + 1), known)

    def _pass(self, embeds: Any, positions: Any, cache: Any, **deep: Any) -> Any:
        import torch

        count = cache.get_seq_length() + embeds.shape[1]
        made = self._decoder(
            inputs_embeds=embeds, position_ids=positions, past_key_values=cache, use_cache=True, **deep,
            attention_mask=torch.ones(1, count, dtype=torch.long, device=embeds.device),  # without it, gaps in positions part sequences
        )  # fmt: skip
        return self._model.lm_head(made.last_hidden_state[0, -1]).float()

    def _read_dropping(self, prompt: Prompt, dropping: Dropping) -> Begun:
        decoder, places = self._decoder, prompt.positions.squeeze(-2)
        read = prefill(decoder, prompt.embeds, prompt.visual[0], dropping, positions=places, planes=prompt.planes)
        head = self._model.lm_head
        return Begun(head(read.last)[0, 0].float(), lambda embed: head(step(decoder, embed, read))[0, 0].float(), layers=tuple(read.tokens))

"""A live session: a decoder reads footage block by block as it comes, and is asked at any time without reading it again.

Keys are kept as they were before their turn and turned where they are read ("RoFormer: Enhanced Transformer with Rotary Position
Embedding", 2021), so that a memory may leave some out and close the gaps. What a question adds is forgotten when it is answered.
Letters: m tokens of a block, D width, h heads of keys and values, A axes of a position, V vocabulary.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from footage.errors import ModelError
from qa.families.family import Family, Group, Prompt
from qa.kv.attention import projected, through, turned
from qa.kv.blocks import Fed, asked, fed
from qa.kv.memory import Memory
from qa.rotary import Rotary


@dataclass(slots=True)
class _Open:
    """What one layer reads while an answer is written: its keys are turned once."""

    keys: Any
    values: Any
    last: Any
    """(h or 1, 1, A) where the newest token stands."""


class Session:
    """Over a checkpoint of qa/families. All blocks read one by one give the logits of the whole prompt read at once, memory permitting."""

    def __init__(self, model: Any, family: Family, memory: Memory, *, begin: Sequence[int] = ()) -> None:
        """begin: token ids of what a prompt begins with; they are never forgotten.

        Raises:
            ModelError: its attention does not reach back, or its rotary frequencies change with the length of the prompt.
        """
        self._model, self._family, self.memory = model, family, memory
        self._decoder = decoder = family.decoder
        self._marks = {getattr(model.config, f"{kind}_token_id", None) for kind in ("image", "video")}
        if any(getattr(layer.self_attn, "sliding_window", None) for layer in decoder.layers):
            raise ModelError("this model's attention reaches back over a window alone, so it needs no memory of more")
        try:
            self._rotary = Rotary.of(decoder.rotary_emb)
        except ValueError as error:
            raise ModelError(str(error)) from error
        self._stretch = getattr(decoder.rotary_emb, "attention_scaling", 1.0) ** 2
        if begin:
            self._take(fed(self._family, begin, (), beside=self._marks), pinned=True)

    @property
    def bytes(self) -> int:
        """On the device of the model."""
        return self.memory.bytes

    @property
    def tokens(self) -> int:
        """Kept in a layer."""
        return self.memory.tokens

    def read(self, ids: Sequence[int], videos: Sequence[Sequence[Group]] = ()) -> None:
        """One more block: token ids with placeholders, and the groups that stand there, stretch by stretch."""
        self._take(fed(self._family, ids, videos, beside=self._marks), pinned=False)

    def begin(self, prompt: Prompt, *, skip: int = 0) -> tuple[Any, Callable[[Any], Any]]:
        """Read a prompt after all that was read, to forget it again.

        Args:
            skip: so many words at its front already stand there.
        Returns:
            (V,) float32 logits of the token that comes next, and what gives the same after one more token (1, 1, D).
        """
        import torch

        with torch.inference_mode():
            block = asked(prompt.after(skip))
            hidden, layers = block.embeds, []
            for number in range(len(self._decoder.layers)):
                hidden, _, _, read = self._layer(number, hidden, block, asks=True)
                layers.append(read)
            return self._logits(hidden), partial(self._step, layers)

    def ask(self, prompt: Prompt, *, max_new_tokens: int = 64, end: int | None = None) -> list[int]:
        """Token ids that follow a prompt, the most likely one at a time, up to and with `end`."""
        import torch

        logits, go_on = self.begin(prompt)
        made = [int(logits.argmax())]
        with torch.inference_mode():
            while len(made) < max_new_tokens and made[-1] != end:
                embed = self._model.get_input_embeddings()(torch.tensor([[made[-1]]], device=logits.device))
                made.append(int(go_on(embed).argmax()))
        return made

    def _take(self, block: Fed, *, pinned: bool) -> None:
        import torch

        with torch.inference_mode():
            hidden = block.embeds
            for number in range(len(self._decoder.layers)):
                hidden, keys, values, _ = self._layer(number, hidden, block)
                self.memory.add(number, keys, values, block)
            self.memory.settle(block, pinned=pinned)

    def _layer(self, number: int, hidden: Any, block: Fed, *, asks: bool = False) -> tuple[Any, Any, Any, _Open]:
        """(hidden, its new keys, its new values, all that it read)"""
        import torch

        layer = self._decoder.layers[number]
        queries, keys, values = projected(layer, hidden)
        seen = self.memory.read(number, block, queries if asks else None)
        own = seen.positions[:, -len(block.ids) :]
        every = turned(self._rotary, torch.cat([*seen.keys, keys], 1), seen.positions)
        read = _Open(every, torch.cat([*seen.values, values], 1), own[:, -1:])
        hidden = through(layer, hidden, turned(self._rotary, queries, own), every, read.values, stretch=self._stretch)
        if number < len(block.planes):
            hidden = hidden.index_add(1, block.visual.nonzero()[:, 0], block.planes[number][None])
        return hidden, keys, values, read

    def _step(self, layers: list[_Open], hidden: Any) -> Any:
        """(V,) after one more token (1, 1, D) of an answer."""
        import torch

        for layer, read in zip(self._decoder.layers, layers, strict=True):
            read.last = read.last + 1
            queries, keys, values = projected(layer, hidden)
            read.keys = torch.cat([read.keys, turned(self._rotary, keys, read.last)], 1)
            read.values = torch.cat([read.values, values], 1)
            hidden = through(layer, hidden, turned(self._rotary, queries, read.last), read.keys, read.values, stretch=self._stretch)
        return self._logits(hidden)

    def _logits(self, hidden: Any) -> Any:
        return self._model.lm_head(self._decoder.norm(hidden[:, -1]))[0].float()

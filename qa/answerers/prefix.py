"""What a model has read is not read again: keys and values of prompts, kept by what stands in them from their beginning on.

A tree of stretches, after RadixAttention ("SGLang: Efficient Execution of Structured Language Model Programs", 2024): prompts that begin
alike share what they begin with, and the stretch that was used least recently goes first. Ours knows a visual token by what it holds, as
all have one placeholder, and every token by its position too. Only for attention that looks back alone, see `looks_back_alone`.
Letters: n tokens of a prompt, m of a stretch, V visual ones, D width, P planes, A axes of a position, L layers, H heads, d their width.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from threading import Lock
from typing import Any

import numpy as np

from footage.arrays import AnyArray
from qa.families.family import Prompt

ON_GPU, ON_CPU = 2**30, 2**28
"""Bytes that are kept where nobody says how many."""


def looks_back_alone(decoder: Any) -> bool:
    """Every layer of a text model sees all tokens before a token and none after it, so that a prompt can be cut anywhere."""
    kinds = set(getattr(decoder.config, "layer_types", None) or ["full_attention"])
    return kinds == {"full_attention"} and all(getattr(layer.self_attn, "is_causal", False) for layer in decoder.layers)


def marks_of(prompt: Prompt) -> AnyArray:
    """(n, 2 + A) int64 that tell tokens apart: an id, or a hash of the row that stands in its place and of its planes; and its position."""
    visual, said = prompt.visual[0].cpu().numpy(), np.zeros((prompt.ids.shape[1], 2), np.uint64)
    said[:, 0] = prompt.ids[0].cpu().numpy()
    if visual.any():
        said[visual] = _hashed([prompt.embeds[prompt.visual], *prompt.planes])
    return np.concatenate([said.view(np.int64), prompt.positions.reshape(-1, len(said)).T.cpu().numpy()], 1)


def _hashed(parts: list[Any]) -> AnyArray:
    """(V, 2) uint64 of the bits of tensors (V, D): two sums with odd factors, which two rows share by chance once in some 2^100."""
    import torch

    bits = torch.cat([part.contiguous() for part in parts], -1).view(torch.uint8).cpu().numpy()
    words = np.pad(bits, ((0, 0), (0, -bits.shape[1] % 8))).view(np.uint64)
    made: AnyArray = words @ _factors(words.shape[1])
    return made


@lru_cache(maxsize=4)
def _factors(count: int) -> AnyArray:
    made: AnyArray = np.random.default_rng(0).integers(0, 2**64, (count, 2), np.uint64) | np.uint64(1)
    return made


@dataclass(slots=True, eq=False)
class _Stretch:
    """Tokens that stand together in every prompt that has them."""

    marks: AnyArray
    """(m, 2 + A)"""
    layers: list[tuple[Any, Any]]
    """L of keys and values, each (1, H, m, d)."""
    before: "_Stretch | None"
    used: int = 0
    after: dict[bytes, "_Stretch"] = field(default_factory=dict)
    """What it goes on with, by the mark of its first token."""

    @property
    def bytes(self) -> int:
        return sum(part.nbytes for layer in self.layers for part in layer)

    def part(self, begin: int, end: int) -> list[tuple[Any, Any]]:
        """Keys and values of some of its tokens, which share nothing with its own."""
        return [(keys[:, :, begin:end].clone(), values[:, :, begin:end].clone()) for keys, values in self.layers]


class PrefixCache:
    """Of one model. What it gives is a copy, what it takes is copied: nobody's cache changes another's. Threads may share it."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes, self.bytes, self.hits, self.reused_tokens = max_bytes, 0, 0, 0
        self._root, self._clock, self._busy = _Stretch(np.zeros((0, 0), np.int64), [], None), 0, Lock()

    def clear(self) -> None:
        with self._busy:
            self._root, self.bytes = _Stretch(np.zeros((0, 0), np.int64), [], None), 0

    def take(self, marks: AnyArray, empty: Any) -> int:
        """Fill a new DynamicCache with the longest beginning that is known of a prompt (n, 2 + A), its last token left out; how many."""
        import torch

        with self._busy:
            path = self._walk(marks[:-1])
            count = sum(m for _, m in path)
            for number in range(len(path[0][0].layers) if path else 0):
                parts = [[each[:, :, :m] for each in stretch.layers[number]] for stretch, m in path]
                empty.update(*(torch.cat(some, 2) for some in zip(*parts, strict=True)), number)
            self.hits, self.reused_tokens = self.hits + bool(count), self.reused_tokens + count
        return count

    def keep(self, marks: AnyArray, cache: Any) -> None:
        """Remember a prompt (n, 2 + A) that was read into a DynamicCache of n tokens; not where it alone is too large."""
        with self._busy:
            whole = _Stretch(marks, [(layer.keys, layer.values) for layer in cache.layers], None)
            if whole.bytes > self.max_bytes:
                return
            path = self._walk(marks)
            count = sum(m for _, m in path)
            last = self._parted(*path[-1]) if path else self._root
            if count < len(marks):
                new = _Stretch(marks[count:], whole.part(count, len(marks)), last, self._clock)
                last.after[_key(new.marks)] = new
                self.bytes += new.bytes
            while self.bytes > self.max_bytes:
                self._drop_oldest()

    def _walk(self, marks: AnyArray) -> list[tuple[_Stretch, int]]:
        """The stretches that a prompt begins with and how many tokens of each, all of them but for the last; all are now used."""
        self._clock += 1
        found: list[tuple[_Stretch, int]] = []
        at, here = 0, self._root
        while at < len(marks) and (then := here.after.get(_key(marks[at:]))) is not None:
            count = _alike(then.marks, marks[at:])
            found.append((then, count))
            at, here, then.used = at + count, then, self._clock
            if count < len(then.marks):
                break
        return found

    def _parted(self, stretch: _Stretch, count: int) -> _Stretch:
        """Its first tokens as a stretch of their own, where it goes on after them."""
        if count == len(stretch.marks):
            return stretch
        assert stretch.before is not None
        first = _Stretch(stretch.marks[:count], stretch.part(0, count), stretch.before, stretch.used)
        stretch.before.after[_key(first.marks)] = first
        stretch.marks, stretch.layers, stretch.before = stretch.marks[count:], stretch.part(count, len(stretch.marks)), first
        first.after[_key(stretch.marks)] = stretch
        return first

    def _drop_oldest(self) -> None:
        """Of the stretches that nothing goes on from."""
        every = [self._root]
        for stretch in every:
            every.extend(stretch.after.values())
        oldest = min((stretch for stretch in every[1:] if not stretch.after), key=lambda stretch: stretch.used)
        assert oldest.before is not None
        del oldest.before.after[_key(oldest.marks)]
        self.bytes -= oldest.bytes


def _key(marks: AnyArray) -> bytes:
    return marks[0].tobytes()


def _alike(first: AnyArray, second: AnyArray) -> int:
    """How many tokens from the beginning are the same."""
    least = min(len(first), len(second))
    differ = np.flatnonzero((first[:least] != second[:least]).any(1))
    return int(differ[0]) if len(differ) else least

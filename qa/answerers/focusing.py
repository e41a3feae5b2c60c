"""Fewer tokens with the question at hand: the last step before a language model, on its own projected visual tokens.

All are held against the question's content words as the language model embeds them; none has weights of its own.
Letters: B frames, K tokens of one, D width of the language model, m words (may be none), k tokens left of a frame.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from footage.arrays import AnyArray
from footage.coverage import mmtok, soft, unit
from footage.errors import ConfigError

PAIR = 2
"""Tokens that llama_vid leaves of a frame."""


def covered(tokens: AnyArray, words: AnyArray, keep: int) -> AnyArray:
    """(B, K, D) to (B, k, D): whole tokens that cover words and picture, in the picture's order. See footage.coverage.mmtok.

    Ours looks at each frame alone, and always keeps a number where the paper keeps a share.
    """
    return np.take_along_axis(tokens, mmtok(tokens, keep, words)[..., None], -2)


def ppllava(tokens: AnyArray, words: AnyArray, keep: int, *, temperature: float = 0.01) -> AnyArray:
    """(B, K, D) to (B, k, D): blocks of neighbours become their mean, each token weighted by its likeness to the words' mean.

    "PPLLaVA: Varied Video Sequence Understanding With Prompt Guidance" (2024). Towards temperature 0 a block becomes its best token,
    towards infinity its mean. Ours is one softmax of cosines inside a block of one frame; the paper's weights are first a softmax over
    the whole video, and its blocks are two frames deep.
    """
    blocks = blocks_of(tokens.shape[-2], keep)
    return _attended(tokens, (unit(tokens) @ unit(_middle(words, tokens)))[..., None, :], blocks, temperature)


def hicom(tokens: AnyArray, words: AnyArray, keep: int, *, temperature: float = 0.1) -> AnyArray:
    """(B, K, D) to (B, k, D): the mean of a block, turned towards the words that are like it, attends to the tokens of its block.

    "Hybrid-Level Instruction Injection for Video Token Compression in Multi-modal Large Language Models" (2025), its local part with text
    by cross-attention. Ours has no trained projections: cosines over a temperature stand for them; no blocks over time, no global tokens.
    """
    blocks = blocks_of(tokens.shape[-2], keep)
    queries = unit((blocks / blocks.sum(-1, keepdims=True)).astype(np.float32) @ tokens)
    if len(words):
        queries = queries + soft(queries @ unit(words).T, temperature) @ unit(words)
    return _attended(tokens, unit(queries) @ unit(tokens).swapaxes(-1, -2), blocks, temperature)


def llama_vid(tokens: AnyArray, words: AnyArray, keep: int = PAIR) -> AnyArray:
    """(B, K, D) to (B, 2, D): a context token, which is what each word attends to on the mean, and a content token, which is the mean.

    "LLaMA-VID: An Image is Worth 2 Tokens in Large Language Models" (2024). Ours lets the words themselves ask, the paper the queries of
    a Q-Former; both tokens are the mean where there are no words. keep has no say.
    """
    content = tokens.mean(-2, keepdims=True)
    if not len(words):
        return np.concatenate([content, content], -2)
    attention = soft(words @ tokens.swapaxes(-1, -2) / math.sqrt(tokens.shape[-1]))
    return np.concatenate([(attention @ tokens).mean(-2, keepdims=True), content], -2)


METHODS: dict[str, Callable[[AnyArray, AnyArray, int], AnyArray]] = {
    "mmtok": covered, "ppllava": ppllava, "hicom": hicom, "llama-vid": llama_vid
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Focusing:
    """A method by name, and how many tokens it leaves of a frame."""

    name: str
    tokens: int = 8

    def __post_init__(self) -> None:
        if self.name not in METHODS:
            raise ConfigError(f"there is no focus named {self.name!r}; known: {', '.join(METHODS)}")
        if self.tokens < 1:
            raise ConfigError(f"at least one token of a frame must be left, got {self.tokens}")

    def of(self, frames: Sequence[AnyArray], words: AnyArray) -> list[AnyArray]:
        """Each (K, D) float32 in so many tokens; those that have no more stay as they are."""
        keep = PAIR if self.name == "llama-vid" else self.tokens
        made = list(frames)
        for size in {len(frame) for frame in frames if len(frame) > keep}:
            alike = [n for n, frame in enumerate(frames) if len(frame) == size]
            fewer = METHODS[self.name](np.stack([frames[n] for n in alike]), words, keep)
            for n, frame in zip(alike, fewer, strict=True):
                made[n] = frame.astype(np.float32)
        return made


def focusing(name: str, tokens: int) -> Focusing | None:
    """By name; "" leaves every token. Raises ConfigError, which lists the names."""
    return Focusing(name, tokens) if name else None


def blocks_of(count: int, blocks: int) -> AnyArray:
    """(k, K) bool: which tokens lie in which block. Squares where both are square grids, else runs as equal as can be."""
    side, across = math.isqrt(count), math.isqrt(blocks)
    places = np.arange(count)
    if side**2 == count and across**2 == blocks and side % across == 0:
        each = side // across
        home = places // side // each * across + places % side // each
    else:
        home = places * blocks // count
    made: AnyArray = home == np.arange(blocks)[:, None]
    return made


def _attended(tokens: AnyArray, likeness: AnyArray, blocks: AnyArray, temperature: float) -> AnyArray:
    """(B, k, D): each block's mean, weighted by the softmax of likeness (B, k or 1, K) inside the block (k, K)."""
    return soft(np.where(blocks, likeness, -np.inf), temperature) @ tokens


def _middle(words: AnyArray, tokens: AnyArray) -> AnyArray:
    """(D,) the mean of the words' directions; zero where there are none."""
    return unit(words).mean(0) if len(words) else np.zeros(tokens.shape[-1], np.float32)

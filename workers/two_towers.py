"""Two towers behind one encoder: an image-text encoder finds, the tower of a video-language model makes what its language model reads.

It stands here because memory and qa know nothing of each other.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, Self

import numpy as np

from footage.arrays import Embeds, Tokens
from footage.checkpoints import fingerprint
from footage.errors import ConfigError, ModelError, ModelMissing, OutOfDeviceMemory
from footage.frames import Clip, EncodedClip
from footage.protocols import Encoder
from memory.encoders.checkpoint import find_checkpoint, quiet, read_json, tail_name
from memory.encoders.place import place
from qa.families.family import Family
from qa.families.registry import FAMILIES, load_tower
from workers.config import Settings

FRAMES_AT_ONCE = 8


class TwoTowers:
    """Embeds of `finder`, tokens of a checkpoint's tower and projector, with its planes; none of its language model is ever loaded.

    Every frame is seen alone, so that carriers can be chosen, merged and dropped one by one. A tower that sees pairs is shown it twice,
    as such models do with a still picture.
    """

    def __init__(self, finder: Encoder, checkpoint: str, carriers: str, tower: Callable[[], Family]) -> None:
        """checkpoint: what it is loaded by. carriers: which it is, with its fingerprint. tower: called when it first looks."""
        self.finder, self.checkpoint, self.carriers, self._tower = finder, checkpoint, carriers, cache(tower)

    @classmethod
    def load(cls, finder: Encoder, checkpoint: str, settings: Settings, *, carriers: str = "") -> Self:
        """From a folder or a hub id. carriers: as a library remembers them; then the checkpoint may be gone until it looks.

        Raises:
            ModelMissing: not on this machine and not to be fetched. ModelError: no family whose tower makes carriers.
        """
        if not carriers:
            folder = find_checkpoint(checkpoint, offline=settings.offline)
            _refuse_others(folder)
            carriers = f"{tail_name(checkpoint, folder)}@1-{fingerprint(folder)}"
        return cls(finder, checkpoint, carriers, partial(_load_tower, checkpoint, settings))

    @property
    def id(self) -> str:
        return f"{self.finder.id}+{self.carriers}"

    @property
    def floor(self) -> float:
        return self.finder.floor

    def wrote_for(self, folder: Path) -> bool:
        """The checkpoint in a folder is the one that made the tokens."""
        return self.carriers.endswith(f"-{fingerprint(folder)}")

    def unread(self) -> str:
        """Why nothing on this machine reads what it wrote; "" where its checkpoint is still there."""
        try:
            folder = find_checkpoint(self.checkpoint, offline=True)
        except ModelMissing:
            why = "it is not on this machine"
        else:
            why = "" if self.wrote_for(folder) else "it has changed since"
        return why and f"no model reads the pictures: {self.checkpoint} wrote them ({self.carriers}), and {why}"

    def encode(self, clip: Clip) -> EncodedClip:
        """Frame by frame or all at once: the same within 1e-4 in float32. Numbers beyond float16 are cut off."""
        parts = [self._look(clip, slice(at, at + FRAMES_AT_ONCE)) for at in range(0, len(clip), FRAMES_AT_ONCE)]
        return EncodedClip(self.id, clip, np.concatenate(parts), self.finder.encode(clip).embeds)

    def _look(self, clip: Clip, some: slice) -> Tokens:
        """(T, P, W)"""
        import torch

        tower = self._tower()
        pixels, times_s = clip.pixels[some].repeat(tower.frames_together, 0), clip.anchors_s[some].repeat(tower.frames_together)
        try:
            tokens = np.stack([group.tokens for group in tower.look(pixels, times_s.tolist())])
        except torch.OutOfMemoryError as error:
            raise OutOfDeviceMemory(f"{len(pixels)} frames do not fit the device", hint="use fewer --jobs") from error
        limit = float(np.finfo(np.float16).max)
        return np.clip(tokens, -limit, limit).astype(np.float16)

    def embed_text(self, texts: Sequence[str]) -> Embeds:
        return self.finder.embed_text(texts)


def finder_of(encoder: Encoder) -> Encoder:
    """What makes the embeds of an encoder."""
    return encoder.finder if isinstance(encoder, TwoTowers) else encoder


def refuse_strangers(model: str, folder: Path, encoder: Encoder) -> None:
    """Before a checkpoint is loaded to answer.

    Raises:
        ConfigError: it cannot read what this encoder wrote; the message says whose carriers those are, the hint what to do.
    """
    config = read_json(folder / "config.json")
    if config.get("model_type") not in FAMILIES:
        return  # its loader says so better
    two, wants = encoder if isinstance(encoder, TwoTowers) else None, _carriers_named(config)
    if wants == encoder.id or (two and not wants and two.wrote_for(folder)):
        return
    ask = f"ask with --model {two.checkpoint}" if two else "ask with --model none, template or nano"
    wrote = f"{two.carriers}, loaded from {two.checkpoint!r}" if two else encoder.id
    if wants:
        hint = "index with --encoder nano" if model == "nano" and not two else ask
        raise ConfigError(f"model {model!r} reads carriers of encoder {wants}; this library was written by {wrote}", hint=hint)
    raise ConfigError(
        f"model {model!r} reads what its own tower wrote; the carriers of this library were written by {wrote}",
        hint=f"{ask}, or index again with --carriers {model}",
    )


def _carriers_named(config: dict[str, Any]) -> str:
    """The encoder whose carriers its connector takes, see qa.answerers.vlm.Reading."""
    return str((config.get("footage") or {}).get("carriers", ""))


def _refuse_others(folder: Path) -> None:
    """Raises ModelError: not a checkpoint that reads what its own tower makes."""
    config = read_json(folder / "config.json")
    if (kind := config.get("model_type")) not in FAMILIES:
        raise ModelError(f"{folder} holds a model of type {kind!r}; carriers are made by one of {', '.join(FAMILIES)}")
    if _carriers_named(config) or (kind == "smolvlm" and config.get("scale_factor") == 1):
        wants = _carriers_named(config) or "the SigLIP inside it"
        raise ModelError(f"{folder} reads the carriers of an encoder: {wants}", hint="index with that one as --encoder, without --carriers")


def _load_tower(checkpoint: str, settings: Settings) -> Family:
    folder, (device, dtype) = find_checkpoint(checkpoint, offline=settings.offline), place(settings.index.device, settings.index.dtype)
    with quiet():
        return load_tower(folder, device=device, dtype=dtype)

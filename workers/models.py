"""Models by name: "nano" or a checkpoint, for looking (encoders) and for answering."""

from functools import partial
from pathlib import Path

import nano
from footage.checkpoints import fingerprint
from footage.protocols import Answerer
from memory.encoders.checkpoint import find_checkpoint, quiet, tail_name
from memory.encoders.place import place
from qa.answerers import chat_server
from qa.answerers.chat_server import PREFIX, Endpoint
from qa.answerers.dropping import preset
from qa.answerers.focusing import focusing
from qa.answerers.openai import Looks, OpenAIAnswerer
from qa.answerers.vlm import Limits, VlmAnswerer
from qa.kv.answerer import Kv, KvAnswerer
from workers.config import Settings

NANO = "nano"
NAMED = ("color", NANO)
"""Encoders of our own; every other name is a folder or a hub id."""
WORLD_ONLY = "nano knows only its own drawn world of coloured shapes and words: about other footage its answers mean nothing"


def encoder_name(name: str) -> str:
    """What memory.encoders loads: nano's own folder for "nano", else the name itself."""
    return str(nano.TOWER) if name == NANO else name


def checkpoint_of(name: str, settings: Settings) -> Path:
    """The folder of a model that answers. Raises ModelMissing: not here and not to be fetched."""
    return nano.VLM if name == NANO else find_checkpoint(name, offline=settings.offline)


def load_answerer(name: str, settings: Settings) -> VlmAnswerer:
    """A video-language model from nano's folder, a local folder or a hub id.

    Raises:
        ModelMissing, ModelError: see find_checkpoint and VlmAnswerer.load. ConfigError: no such schedule of dropping, no such focus,
            or a model that has no use for ask.kv.
    """
    dropping, focus = preset(settings.ask.drop), focusing(settings.ask.focus, settings.ask.focus_tokens)
    kept = settings.ask.prefix_mib
    limits = Limits(settings.ask.max_s, None if kept is None else kept * 2**20)
    folder = checkpoint_of(name, settings)
    where, dtype = place(settings.index.device, settings.index.dtype)
    with quiet():
        id = f"{tail_name(str(name), folder)}@{fingerprint(folder)}"
        loaded = partial(VlmAnswerer.load if settings.ask.kv == "none" else KvAnswerer.load, folder, id=id, device=where, dtype=dtype)
        made = loaded(dropping=dropping, focusing=focus, limits=limits, weights=settings.ask.weights)
    kind = settings.ask.kv
    return made.over(Kv(kind, settings.ask.kv_tokens)) if isinstance(made, KvAnswerer) and kind != "none" else made


def is_served(name: str) -> bool:
    """The name of a model that a server holds."""
    return name.startswith(PREFIX)


def served_answerer(name: str, settings: Settings, looks: Looks, without_evidence: Answerer) -> OpenAIAnswerer:
    """A model of a server, by openai:URL#NAME. Raises ConfigError: no such address, or no client library."""
    limits = chat_server.Limits(stall_s=settings.ask.stall_s)
    return OpenAIAnswerer(Endpoint.parse(name), looks, limits=limits, without_evidence=without_evidence)


def is_world(path: Path) -> bool:
    """A film that nano.world made, by the mark in its container."""
    import av

    try:
        with av.open(str(path)) as file:
            return file.metadata.get("comment", "") == nano.MARK
    except (OSError, av.FFmpegError):
        return False

"""`python -m workers.bench_kv`: what a live session costs as footage goes on, with a small random model on this machine.

Seconds are those of the processor, in one thread, so that other work on the machine does not count.
The number of frames may be given, 800 or more.
"""

import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from qa.families.family import Family, Group
from qa.families.registry import family_of
from qa.kv.blocks import Fed
from qa.kv.budget import Bounded
from qa.kv.memory import Memory
from qa.kv.offload import Offloaded
from qa.kv.session import Session

SIDE, BLOCK, LAYERS, WIDTH = 8, 4, 8, 256
"""Patches of a frame's side, frames of a block, layers of the model and their width."""


def model_and_family() -> tuple[Any, Family]:
    """LLaVA-OneVision's kind, eight heads of queries and two of keys, with a tower that is never used."""
    import torch
    from transformers import LlavaOnevisionConfig, LlavaOnevisionForConditionalGeneration, Qwen2Config, SiglipVisionConfig

    torch.manual_seed(0)
    text = Qwen2Config(
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=8,
        num_key_value_heads=2,
        vocab_size=64,
    )
    tower = SiglipVisionConfig(
        hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=1, image_size=16, patch_size=8
    )
    config = LlavaOnevisionConfig(vision_config=tower, text_config=text, image_token_index=62, video_token_index=63)
    model = LlavaOnevisionForConditionalGeneration(config).eval().requires_grad_(False)
    return model, family_of(model.model)


def film(frames: int) -> Iterator[list[Group]]:
    """Blocks of a scene that drifts and changes a tenth of its patches a frame."""
    rng = np.random.default_rng(0)
    places = np.stack(np.divmod(np.arange(SIDE * SIDE), SIDE), 1)
    scene = rng.normal(size=(SIDE * SIDE, WIDTH)).astype(np.float32)
    for first in range(0, frames, BLOCK):
        block = []
        for number in range(first, first + BLOCK):
            some = rng.random(SIDE * SIDE) < 0.1
            scene = np.where(some[:, None], rng.normal(size=scene.shape), scene).astype(np.float32)
            block.append(Group(scene, float(number), places, (SIDE, SIDE)))
        yield block


class Timed(Bounded):
    """A budget that knows how long keeping to it took."""

    seconds = 0.0

    def settle(self, fed: Fed, *, pinned: bool) -> None:
        begun = time.process_time()
        super().settle(fed, pinned=pinned)
        self.seconds += time.process_time() - begun

    def _norms(self, layer: int, values: Any, fed: Fed) -> Any:
        begun = time.process_time()
        made = super()._norms(layer, values, fed)
        self.seconds += time.process_time() - begun
        return made


def watched(memory: Memory, frames: int) -> Iterator[tuple[Session, float]]:
    """A session, and the seconds of its last block, after each block."""
    model, family = model_and_family()
    session = Session(model, family, memory, begin=[1])
    for groups in film(frames):
        begun = time.process_time()
        session.read([2, 3, *[63] * (BLOCK * SIDE * SIDE + 1)], [groups])
        yield session, time.process_time() - begun


def bounded(tokens: int, frames: int) -> None:
    memory = Timed(LAYERS, tokens=tokens, limit=32_768)
    seconds, sizes = [], []
    for session, took in watched(memory, frames):
        seconds.append(took)
        sizes.append(session.bytes)
    full = next(n for n, size in enumerate(sizes) if size == sizes[-1]) + 1
    part = (len(seconds) - full) // 4
    first, last = (1e3 * np.median(some) for some in (seconds[full : full + part], seconds[-part:]))
    print(f"budget {tokens}: {sizes[-1]:,} bytes from frame {full * BLOCK} to {frames}, at most {max(sizes):,}")
    print(f"  a block of {BLOCK} frames: {first:.0f} ms then, {last:.0f} ms at the end")
    print(f"  keeping to the budget: {memory.seconds / sum(seconds):.1%} of all seconds")


def offloaded(frames: int, window: int) -> None:
    memory = Offloaded(LAYERS, blocks=window // (BLOCK * SIDE * SIDE), window=window)
    *_, (session, _) = watched(memory, frames)
    per = model_and_family()[1].shape.kv_bytes_per_token * 2  # float32
    counted = (session.tokens - 1) * per
    print(f"offload: {memory.host_bytes:,} bytes on the host after {frames} frames, by the formula {counted:,}")
    print(f"  on the device {session.bytes:,}")
    prompt = model_and_family()[1].prompt([4, 5, 6, 7], [])
    begun = time.process_time()
    session.begin(prompt)
    print(f"  a question fetches {window} tokens of {session.tokens} in each layer in {1e3 * (time.process_time() - begun):.0f} ms")


def main() -> None:
    import torch

    torch.set_num_threads(1)
    frames = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    bounded(1536, frames)
    bounded(6144, frames // 4)
    offloaded(frames // 4, 6144)


if __name__ == "__main__":
    main()

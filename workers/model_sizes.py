"""What a video-language checkpoint needs, counted from its configuration alone: python -m workers.model_sizes FOLDER_OR_HUB_ID ..."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from memory.encoders.checkpoint import find_checkpoint, quiet, tail_name
from qa.families.registry import family_of

GPUS_GB = (8, 12, 16, 24, 48, 80)
USABLE = 0.85
"""Of a GPU: the rest is left to activations and to the driver, which nothing here counts."""
READ = 4096 + 512
"""Tokens of a prompt: all that the default `ask.budget` may spend on pictures, and words around them."""
TOKENS = 24
"""Of a carrier, by default."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Parameters and bytes, at two bytes a number."""

    tower: int
    """Parameters of tower and projector: all that indexing loads."""
    whole: int
    """Parameters of the model: what answering loads."""
    kv_bytes: int
    """Keys and values of one token."""
    row: int
    """Numbers of a carrier's token, planes included."""

    def fit(self, gpu_gb: int) -> int:
        """Tokens whose keys and values fit beside the weights, 0 where the weights do not."""
        return max(0, int((USABLE * gpu_gb * 1e9 - 2 * self.whole) // self.kv_bytes))


def sizes_of(config: Any) -> Sizes:
    """Of a configuration of one of the families; nothing is allocated. Raises ModelError: of no family known here."""
    import torch
    from transformers import AutoModelForImageTextToText

    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    family = family_of(model.model)
    tower = _count(model.model) - _count(family.decoder)
    planes = len(getattr(config.vision_config, "deepstack_visual_indexes", None) or ())
    return Sizes(tower, _count(model), family.shape.kv_bytes_per_token, family.shape.width * (1 + planes))


def _count(module: Any) -> int:
    return sum(weights.numel() for weights in module.parameters())


def table(sizes: Mapping[str, Sizes]) -> str:
    """Markdown. GB are of 10^9 bytes."""
    head = ["checkpoint", "indexing loads", "answering loads", f"cache of {READ:,} tokens", f"a carrier of {TOKENS} tokens"]
    rows = [[*head, *(f"{gb} GB" for gb in GPUS_GB)], ["---"] * (len(head) + len(GPUS_GB))]
    for name, s in sizes.items():
        bytes_of = (2 * s.tower, 2 * s.whole, READ * s.kv_bytes)
        fits = (f"{tokens // 1000:,}k" if (tokens := s.fit(gb)) >= 1000 else "-" for gb in GPUS_GB)
        rows.append([name, *(f"{each / 1e9:.1f} GB" for each in bytes_of), f"{2 * TOKENS * s.row / 1e3:.0f} kB", *fits])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main(names: list[str]) -> None:
    from transformers import AutoConfig

    folders = {name: find_checkpoint(name, offline=True) for name in names}
    with quiet():
        sizes = {tail_name(name, f): sizes_of(AutoConfig.from_pretrained(f, local_files_only=True)) for name, f in folders.items()}
    print(table(sizes))


if __name__ == "__main__":
    main(sys.argv[1:])

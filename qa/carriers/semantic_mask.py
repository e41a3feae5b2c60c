"""Who sees whom in a prompt with carriers: what comes after a frame sees of it only the carrier that ends it.

"VideoScan: Enabling Efficient Streaming Video Understanding via Frame-level Semantic Carriers" (2025), the semantic-aware causal mask.
Letters: n tokens of a prompt.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from footage.arrays import AnyArray
from qa.families.family import Group, Prompt


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Which tokens of a prompt are frames, and which of those carriers."""

    frame: AnyArray
    """(n,) int: the number of the frame that a token belongs to; -1 for words."""
    carrier: AnyArray
    """(n,) bool: the last token of each frame."""

    def __post_init__(self) -> None:
        ends = (self.frame >= 0) & (np.append(self.frame[1:], -1) != self.frame)
        if not np.array_equal(ends, self.carrier) or len(np.unique(self.frame[ends])) != int(ends.sum()):
            raise ValueError("every frame must stand in one piece and end in its carrier")

    @classmethod
    def of(cls, prompt: Prompt, videos: Sequence[Sequence[Group]]) -> Self:
        """From a prompt and its groups, each with its carrier. Visual tokens of no group, such as a newline after a video, are words.

        Raises:
            ValueError: the prompt has fewer visual tokens than the groups.
        """
        visual, counts = prompt.visual[0].cpu().numpy(), [[len(group.tokens) for group in groups] for groups in videos if groups]
        spare = int(visual.sum()) - sum(map(sum, counts))
        if spare < 0 or (counts and spare % len(counts)):
            raise ValueError(f"{int(visual.sum())} visual tokens cannot hold groups of {counts}")
        frame, carrier, own, number = np.full(len(visual), -1), np.zeros(len(visual), bool), [], 0
        for sizes in counts:
            own += [np.repeat(np.arange(number, number + len(sizes)), sizes), np.full(spare // len(counts), -1)]
            number += len(sizes)
        if own:
            frame[visual] = np.concatenate(own)
        carrier[[np.flatnonzero(frame == n)[-1] for n in range(number)]] = True
        return cls(frame, carrier)

    def seen(self) -> AnyArray:
        """(n, n) bool: row sees column. Words and carriers are seen by all after them, other tokens inside their own frame alone."""
        order = np.arange(len(self.frame))
        everyone = (self.frame < 0) | self.carrier
        return (order[:, None] >= order) & (everyone | (self.frame[:, None] == self.frame))


def additive(seen: AnyArray, embeds: Any) -> Any:
    """(n, n) bool as the (1, 1, n, n) mask that decoders add to their logits, of the type of embeds."""
    import torch

    mask = torch.zeros(seen.shape, dtype=embeds.dtype, device=embeds.device)
    return mask.masked_fill(~torch.from_numpy(seen).to(embeds.device), torch.finfo(embeds.dtype).min)[None, None]


def decoder_inputs(prompt: Prompt, at: slice = slice(None)) -> dict[str, Any]:
    """A stretch of a prompt as the keywords of its family's decoder."""
    inputs = {"inputs_embeds": prompt.embeds[:, at], "position_ids": prompt.positions[..., at]}
    if not prompt.planes:
        return inputs
    visual = prompt.visual[:, at]
    first = int(prompt.visual[:, : at.start or 0].sum())
    planes = [plane[first : first + int(visual.sum())] for plane in prompt.planes]
    return inputs | {"visual_pos_masks": visual, "deepstack_visual_embeds": planes}

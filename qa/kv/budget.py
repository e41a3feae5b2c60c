"""A memory of keys and values that never grows beyond its budget, whoever asks later and whatever it shows.

"InfiniPot-V: Memory-Constrained KV Cache Compression for Streaming Video Understanding" (2025): in each layer and head the latest frames
stay, then older tokens whose keys are least like those of the same place in the latest frames (TaR), then those with large values (VaN).
Ours differs in five ways. Latest is a share of the budget, not of what is cached, so its parts always fit (the paper's code fails where
the latest frames alone are more than TaR's part). Keys are compared before their turn, since turned ones grow unlike with age whatever
they show. Norms are averaged when a block arrives, over neighbours that are there, so neither borders nor holes count as zeros. Words
have places too: marks, which every frame repeats, go before digits of a time. Tokens whose place nobody knows are held against the most
alike of the latest frames.
Letters: h heads of keys and values, n tokens kept, m new ones, d channels of a head, S places, F x R x C a block's frames, rows, columns.
"""

from typing import Any

from qa.kv.blocks import Fed
from qa.kv.memory import Kept, Whole

RECENT, UNLIKE = 0.25, 0.5
"""Shares of the budget: the latest frames, and these together with what is least like them."""
WINDOWS = ((7, 7, 7), (1, 5, 5), (1, 1, 3), (1, 1, 1))
"""Frames, rows and columns over which norms are averaged, by quarter of the layers."""


class Bounded(Whole):
    """At most `tokens` in each layer and head after every block, what a prompt begins with included."""

    def __init__(self, layers: int, *, tokens: int, limit: int) -> None:
        super().__init__(layers, limit=limit)
        self._tokens, self._sizes = tokens, list[int]()

    def _norms(self, layer: int, values: Any, fed: Fed) -> Any:
        window = WINDOWS[layer * len(WINDOWS) // len(self._kept)]
        return averaged(values.float().norm(dim=-1), fed, window)

    def settle(self, fed: Fed, *, pinned: bool) -> None:
        """Raises ValueError: what must stay is more than the budget."""
        super().settle(fed, pinned=pinned)
        if self._pinned >= self._tokens:
            raise ValueError(f"{self._pinned} tokens must stay, in a budget of {self._tokens}")
        self._sizes += fed.frames.bincount().tolist()
        first = self._frame - self._latest()
        for number, kept in enumerate(self.kept):
            if kept.keys.shape[1] > self._tokens:
                self._kept[number] = kept.at(staying(kept, tokens=self._tokens, pinned=self._pinned, first_recent=first))

    def _latest(self) -> int:
        """How many of the latest frames are within their share of the budget, one at the least; the others' sizes are forgotten."""
        count, room = 0, RECENT * self._tokens
        while count < len(self._sizes) and (room := room - self._sizes[-1 - count]) >= 0:
            count += 1
        self._sizes = self._sizes[-count - 1 :]
        return max(1, count)


def staying(kept: Kept, *, tokens: int, pinned: int, first_recent: int) -> Any:
    """(h, tokens) places, ascending, of what each head keeps. pinned: so many first ones. first_recent: number of a frame."""
    import torch

    recent = kept.frames >= first_recent
    recent[:, :pinned] = False
    older = ~recent
    older[:, :pinned] = False
    alike = likeness(kept.keys, kept.slots, recent).masked_fill(~older, torch.inf)
    share = (int(UNLIKE * tokens) - pinned - recent.sum(1, keepdim=True)).clamp(min=0)
    unlike = older & (_ranks(alike) < share)
    turns = 3 - unlike.long() - 2 * recent.long()
    turns[:, :pinned] = 0
    largest = torch.argsort(-kept.norms.round(decimals=5), dim=-1, stable=True)
    order = largest.gather(1, torch.argsort(turns.gather(1, largest), dim=-1, stable=True))
    return order[:, :tokens].sort(-1).values


def _ranks(values: Any) -> Any:
    """(h, n) how many are smaller; of equals the earlier is smaller."""
    import torch

    return torch.argsort(torch.argsort(values, dim=-1, stable=True), dim=-1, stable=True)


def likeness(keys: Any, slots: Any, recent: Any) -> Any:
    """(h, n) cosine of each key with keys of recent frames, to five digits.

    With those in the same place, their mean; -1 where there are none. Where nobody knows the place, with the most alike anywhere.
    """
    import torch
    from torch.nn.functional import normalize

    unit, weights = normalize(keys.float(), dim=-1), recent.float()
    _, places = torch.unique(slots, return_inverse=True)
    every, count = places[..., None].expand(unit.shape), int(places.max()) + 1
    sums = unit.new_zeros(len(unit), count, unit.shape[2]).scatter_add(1, every, unit * weights[..., None])
    counts = unit.new_zeros(len(unit), count).scatter_add(1, places, weights).gather(1, places)
    alike = (unit * sums.gather(1, every)).sum(-1) / counts.clamp(min=1)
    alike = torch.where(counts > 0, alike, -1.0)
    columns = (recent & (slots < 0)).any(0).nonzero()[:, 0]
    if len(columns):
        nearest = (unit @ unit[:, columns].mT).masked_fill(~recent[:, None, columns], -1.0).amax(-1)
        alike = torch.where(slots < 0, nearest, alike)
    return alike.round(decimals=5)


def averaged(norms: Any, fed: Fed, window: tuple[int, int, int]) -> Any:
    """Norms (h, m), those of patches averaged over the patches of the same block that stand in a window around them."""
    import torch
    from torch.nn.functional import avg_pool3d, pad

    known = fed.cells[:, 0] >= 0
    if max(window) == 1 or not bool(known.any()):
        return norms
    rows, columns = (fed.cells.amax(0) + 1).tolist()
    place = (fed.frames[known] * rows + fed.cells[known, 0]) * columns + fed.cells[known, 1]
    filled = norms.new_zeros(len(norms) + 1, fed.frame_count * rows * columns)
    filled[:-1, place], filled[-1, place] = norms[:, known], 1.0
    edges = [side // 2 for side in reversed(window) for _ in range(2)]
    pooled = avg_pool3d(pad(filled.unflatten(1, (fed.frame_count, rows, columns)), edges), window, 1).flatten(1)
    out = norms.clone()
    out[:, known] = (pooled[:-1] / pooled[-1].clamp(min=torch.finfo(norms.dtype).tiny))[:, place]
    return out

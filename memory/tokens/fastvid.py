"""FastVID: dense tokens of every fourth frame gather those of the frames around them, unlike ones stay whole.

"FastVID: Dynamic Density Pruning for Fast Video Large Language Models" (2025). Ours: what stays whole is chosen by VidCom2's uniqueness,
not by attention, and the counts add up to the budget exactly. Letters: T frames, N tokens of each, D width; A anchors, C centres of one.
"""

import numpy as np

from footage.arrays import AnyArray, Bools
from memory.segmentation import transitions
from memory.tokens.density import distances, peaks
from memory.tokens.reduced import Chosen, least, taken, unit
from memory.tokens.unique import shared_out, uniqueness

CONTEXT = 0.4
"""Share of the budget that goes to centres."""
STRIDE = 4
"""Every so-manieth frame of a scene is an anchor, for itself and those up to the next."""
NEIGHBOURS = 4
CENTRE = 0.6
"""A centre's own share of the mean with its members."""
ANCHORS_AT_ONCE = 4


def fastvid(tokens_TND: AnyArray, budget: int, times_s: AnyArray) -> Chosen:
    """Centres with their members, carried by the anchors, and the least usual tokens of every frame; needs budget >= 2 T, or one frame."""
    T, N, _ = tokens_TND.shape
    scenes = transitions(tokens_TND.mean(1, dtype=np.float32))
    anchors = np.concatenate([np.arange(scene.start, scene.stop, STRIDE) for scene in scenes])
    lengths = np.diff([*anchors, T])
    context = min(round(CONTEXT * budget), len(anchors) * N)
    counts = np.array(shared_out(context * lengths / T, context, N, fewest=0))
    blocks = [slice(at, at + ANCHORS_AT_ONCE) for at in range(0, len(anchors), ANCHORS_AT_ONCE)]
    gathered = Chosen.joined([_gathered(tokens_TND, anchors[block], lengths[block], counts[block]) for block in blocks])
    of_video, of_frame = uniqueness(tokens_TND)
    scores = of_video + of_frame
    scores[gathered.frames, gathered.places] = np.inf
    room = np.isfinite(scores).sum(1)
    own = least(scores, np.array(shared_out(np.full(T, (budget - context) / T), budget - context, room)))
    return Chosen.joined([gathered, Chosen.where(own, tokens_TND)])


def _gathered(tokens_TND: AnyArray, anchors: AnyArray, lengths: AnyArray, counts: AnyArray) -> Chosen:
    """Counts (A,) centres of the anchors (A,), each mixed with the tokens most like it of lengths (A,) frames from there on."""
    steps, (N, D), most = np.arange(lengths.max()), tokens_TND.shape[1:], max(1, int(counts.max()))
    inside, frames = steps < lengths[:, None], np.minimum(anchors[:, None] + steps, len(tokens_TND) - 1)
    members = tokens_TND[frames].astype(np.float32).reshape(len(anchors), -1, D)
    first = members[:, :N]
    order = np.argsort(-peaks(distances(first), NEIGHBOURS), axis=1, kind="stable")
    is_centre = np.argsort(order, axis=1) < counts[:, None]
    places = np.argsort(~is_centre, axis=1, kind="stable")[:, :most]
    is_real: Bools = np.arange(most) < counts[:, None]
    centres = taken(first, places)
    alike = np.round(unit(centres) @ unit(members).swapaxes(1, 2), 5)
    owners = np.where(is_real[:, :, None], alike, -np.inf).argmax(1)
    belongs = (owners[:, None, :] == np.arange(most)[:, None]) & np.repeat(inside, N, 1)[:, None, :]
    belongs &= ~np.pad(is_centre, ((0, 0), (0, members.shape[1] - N)))[:, None, :]
    counted = belongs.sum(2, keepdims=True)
    others = (belongs.astype(np.float32) @ members) / np.maximum(counted, 1)
    mixed = np.where(counted > 0, CENTRE * centres + (1 - CENTRE) * others, centres)
    return Chosen(np.repeat(anchors, counts), places[is_real], mixed[is_real])

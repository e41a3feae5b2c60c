"""Time stamps that cannot be meant: files joined end to end whose clocks start anew, and stamps far from all others."""

from fractions import Fraction

import numpy as np

from footage.arrays import AnyArray
from ingest.limits import Limits

RESTART_S = 1.0
AROUND = 5  # packets on both sides that must agree: a single damaged stamp is no restart


def restart_shifts(pts: AnyArray, dts: AnyArray, durations: AnyArray, time_base: Fraction) -> AnyArray:
    """(n,) ticks to add to each packet's stamps, in demux order, so that a clock that starts anew goes on where it stood."""
    shifts = np.zeros(len(pts), np.int64)
    back = np.flatnonzero(np.diff(dts.astype(float)) * float(time_base) < -RESTART_S) + 1
    begins = [i for i in back.tolist() if i >= AROUND and dts[i : i + AROUND].max() < dts[i - AROUND : i].min()]
    edges = [0, *begins, len(pts)]
    for before, at, end in zip(edges, edges[1:-1], edges[2:], strict=False):
        usual = max(1, int(np.median(np.diff(np.sort(pts[before:at])))))  # the last packet of a file seldom says how long it stays
        ends = pts[before:at] + shifts[before:at] + np.where(durations[before:at] > 0, durations[before:at], usual)
        shifts[at:] = int(ends.max()) - int(pts[at:end].min())
    return shifts


def in_reach(shown: AnyArray, time_base: Fraction, limits: Limits) -> tuple[AnyArray, float, str]:
    """The sorted stamps that belong together, the seconds until the last one that did before a cap, and what to say of the rest.

    Stamps further than limits.jump_h from all others are damage: the stretch with the most frames is what was recorded.
    """
    gaps_s = np.diff(shown.astype(float)) * float(time_base)
    edges = np.concatenate(([0], np.flatnonzero(gaps_s > limits.jump_h * 3600) + 1, [len(shown)]))
    longest = int(np.argmax(np.diff(edges)))
    near = shown[edges[longest] : edges[longest + 1]]
    said = f"{len(shown) - len(near)} frames are left out: their time stamps are more than {limits.jump_h:g} h from the others"
    until_s = float((int(near[-1]) - int(near[0])) * time_base)
    kept = near[(near - near[0]).astype(float) * float(time_base) <= limits.span_h * 3600]
    return kept, until_s, said if len(near) < len(shown) else ""

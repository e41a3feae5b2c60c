"""What a recording shows, scene by scene: which scenes are told, what each is called, where each begins. The cuts themselves are given.

Letters: N rows of a view in time order, S scenes, E width.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import pairwise

import numpy as np

from footage.arrays import AnyArray
from footage.carriers import Carrier, MemoryView
from footage.colours import NAMES
from footage.protocols import Answerer, Fetcher
from footage.questions import Evidence, Moment, Question
from footage.recordings import Gap, TextRow
from footage.timespan import TimeSpan
from qa.answerers.prompt import NOT_THERE
from qa.ground import ground

SAME = 0.98  # likeness of two rows at which there is never a cut between them
PER_HOUR = 40  # scenes that a person still reads
ASKED = "What happens here?"
SHOWN = 4  # carriers of a scene that a model looks at
ON_SCREEN, QUOTE_CHARS = 3, 60
PASSING_S = 1.0  # text is known to a sample: what reaches so little into a scene may belong to the one beside it
STANDS_S = 2.0  # a line on the screen tells of a scene when it stands so long, or for a quarter of it
LEAST_CHARS, LEAST_SCORE = 3, 0.7  # letters and digits of a line, and the reader's confidence: less is seldom words
ALIKE = 0.8  # share of the shorter line's letters that the longer one has in the same order: one line, read twice
SAID = ("subtitle", "speech")
MOSTLY, SOME = 0.25, 0.1  # shares of the picture at which a colour is named


@dataclass(frozen=True, slots=True)
class Scene:
    """A stretch of one recording in which the picture stays alike, or a gap in it. In time order they tile what was asked for."""

    recording_id: str
    span: TimeSpan
    caption: str
    source: str
    """Where the caption comes from: "text" (on the screen), "subtitle" (or speech), "model", "colour", "gap" (why nothing could be seen),
    "" (nothing is known)."""
    thumb_s: float | None
    """The time at which it looks most like itself; None for a gap."""
    is_exact: bool = False
    """It begins at the very frame of a cut, or with the recording; else where sampling saw it first, up to a sampling interval late."""


def limit_of(embeds: AnyArray) -> float:
    """Likeness of (N, E) rows to the row before, below which there is a cut: eight times what one row in four changes by, 0.85 to SAME."""
    alike = np.round((embeds[1:] * embeds[:-1]).sum(-1), 6)
    return float(np.clip(1 - 8 * (1 - np.percentile(alike, 25)), 0.85, SAME)) if len(alike) else SAME


def readable(span: TimeSpan) -> int:
    """The most scenes of a stretch: PER_HOUR for every hour begun."""
    return PER_HOUR * int(np.ceil(span.duration_s / 3600))


def edges_of(runs: Sequence[slice], view: MemoryView, within: TimeSpan, gaps: Sequence[Gap]) -> list[tuple[float, float]]:
    """A run of rows lasts until the next run or the next gap begins; those at the edges are cut at `within`.

    Where carriers overlap in time, several runs may begin there at once: all but the last are then empty, and `fewer` joins them.
    """
    starts = np.array([max(float(view.starts_s[run.start]), within.start_s) for run in runs])
    stops = np.sort([*(gap.span.start_s for gap in gaps), within.end_s])
    ends = np.minimum(np.append(starts[1:], within.end_s)[: len(runs)], stops[np.searchsorted(stops[:-1], starts, side="right")])
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def fewer(
    runs: Sequence[slice], edges: Sequence[tuple[float, float]], view: MemoryView, *, min_s: float, most: int | None
) -> tuple[list[slice], list[TimeSpan]]:
    """Runs of rows with their time: one shorter than min_s, the shortest first, joins the neighbour that it looks more alike; then the most
    alike neighbours become one while there are over `most`. Nothing is joined over a gap. Of equals the earlier.
    """
    runs, sums = list(runs), [view.weights_s[run] @ view.embeds[run] for run in runs]
    starts, ends = np.array(edges).reshape(-1, 2).T
    apart = ends[:-1] < starts[1:] - 1e-6
    alike = np.where(apart, -np.inf, [_cosine(u, v) for u, v in pairwise(sums)])
    while (at := _to_join(alike, ends - starts, min_s, most)) is not None:
        runs[at : at + 2] = [slice(runs[at].start, runs[at + 1].stop)]
        sums[at : at + 2] = [sums[at] + sums[at + 1]]
        starts, ends, alike = np.delete(starts, at + 1), np.delete(ends, at), np.delete(alike, at)
        for i in (at - 1, at):
            if 0 <= i < len(alike) and alike[i] > -np.inf:
                alike[i] = _cosine(sums[i], sums[i + 1])
    return runs, [TimeSpan(*edge) for edge in zip(starts.tolist(), ends.tolist(), strict=True)]


def _to_join(alike: AnyArray, lasts: AnyArray, min_s: float, most: int | None) -> int | None:
    """The scene that is to become one with the next."""
    if not len(alike) or alike.max() == -np.inf:
        return None
    before, after = np.append(-np.inf, alike), np.append(alike, -np.inf)
    short = np.where((lasts < min_s) & (np.maximum(before, after) > -np.inf), lasts, np.inf)
    at = int(np.argmin(short))
    if short[at] < np.inf:
        return at - 1 if before[at] >= after[at] else at
    return int(np.argmax(alike)) if most is not None and len(lasts) > most else None


def _cosine(u: AnyArray, v: AnyArray) -> float:
    return round(float(u @ v / max(np.linalg.norm(u) * np.linalg.norm(v), 1e-12)), 6)


def exact(spans: Sequence[TimeSpan], recording_id: str, fetcher: Fetcher) -> list[tuple[TimeSpan, bool]]:
    """The same stretches, parted at the very frame of a cut where there is a clear one (qa.ground), and whether each begins so."""
    extent = fetcher.extent(recording_id)
    moved = [(span, False) for span in spans]
    for i, (before, after) in enumerate(pairwise(spans), 1):
        if extent is None or after.start_s - before.end_s > 1e-6 or after.start_s >= extent.end_s:
            continue
        rest = TimeSpan(after.start_s, extent.end_s)  # up to the end of the file, where no edge is looked for
        cut_s = ground(Moment(recording_id, rest, 1.0, "image"), None, fetcher).span.start_s
        earlier = moved[i - 1][0]
        if earlier.start_s < cut_s < after.start_s:
            moved[i - 1] = replace(earlier, end_s=cut_s), moved[i - 1][1]
            moved[i] = TimeSpan(cut_s, after.end_s), True
    return moved


def typical(view: MemoryView, run: slice) -> int:
    """The row that is most like the mean of its run; the earlier of equals."""
    mean = view.weights_s[run] @ view.embeds[run]
    return run.start + int(np.argmax(np.round(view.embeds[run] @ mean / max(float(np.linalg.norm(mean)), 1e-12), 6)))


class Texts:
    """Text rows of one recording, ready to say what a scene is about."""

    def __init__(self, rows: Iterable[TextRow], spans: Sequence[TimeSpan]) -> None:
        self._rows = [row for row in rows if row.is_wording and len(_folded(row)) >= LEAST_CHARS and row.score >= LEAST_SCORE]
        self._starts = np.array([row.span.start_s for row in self._rows])
        self._ends = np.array([row.span.end_s for row in self._rows])
        shown = [_folded(row) for span in spans for row in self._first_of(span)]
        self._everywhere = {text for text in set(shown) if shown.count(text) > max(2, len(spans) / 2)}

    def caption(self, span: TimeSpan) -> tuple[str, str]:
        """(caption, source): up to ON_SCREEN lines that stand longest, the larger first of equals, then the first words said; ("", "").

        What stands in more than half of all scenes, as a station's logo does, comes last.
        """
        found = self._first_of(span)
        seen: list[TextRow] = []
        stands_s = min(STANDS_S, span.duration_s / 4)
        standing = (row for row in found if row.kind not in SAID and row.span.overlap_s(span) >= stands_s)
        for row in sorted(standing, key=lambda row: self._order(row, span)):
            if len(seen) < ON_SCREEN and not any(_is_same(row, other) for other in seen):
                seen.append(row)
        said = [row for row in found if row.kind in SAID][:1]
        quotes = [f'"{_short(row.text)}"' for row in [*seen, *said]]
        return ", ".join(quotes), "text" if seen else "subtitle" if said else ""

    def _order(self, row: TextRow, span: TimeSpan) -> tuple[bool, float, float]:
        height = row.box[3] - row.box[1] if row.box else 0.0
        return _folded(row) in self._everywhere, -round(row.span.overlap_s(span)), -height

    def _first_of(self, span: TimeSpan) -> list[TextRow]:
        """Rows that belong to a scene, in time order, each wording once: where it stands longest."""
        if not self._rows:
            return []
        both = np.minimum(self._ends, span.end_s) - np.maximum(self._starts, span.start_s)
        inside = np.flatnonzero(both > np.minimum(PASSING_S, (self._ends - self._starts) / 2 - 1e-6))
        longest: dict[str, int] = {}
        for i in inside.tolist():
            text = _folded(self._rows[i])
            if text not in longest or both[i] > both[longest[text]]:
                longest[text] = i
        return [self._rows[i] for i in sorted(longest.values())]


def _folded(row: TextRow) -> str:
    return "".join(c for c in row.text.casefold() if c.isalnum())


def _is_same(a: TextRow, b: TextRow) -> bool:
    one, other = _folded(a), _folded(b)
    blocks = SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks()
    shared = sum(block.size for block in blocks if block.size >= LEAST_CHARS)
    return shared >= ALIKE * min(len(one), len(other))


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= QUOTE_CHARS else words[: QUOTE_CHARS - 3].rstrip() + "..."


def colours_of(embed: AnyArray) -> str:
    """(C,) roots of colour shares, as the colour encoder embeds a frame, in words: "mostly grey, some blue"."""
    order = np.argsort(-np.round(embed, 5), kind="stable")
    large = [NAMES[i] for i in order if embed[i] ** 2 >= MOSTLY][:2] or [NAMES[order[0]]]
    small = [NAMES[i] for i in order if SOME <= embed[i] ** 2 < MOSTLY][:2]
    return f"mostly {' and '.join(large)}" + (f", some {' and '.join(small)}" if small else "")


def told_by(answerer: Answerer, span: TimeSpan, carriers: Sequence[Carrier]) -> str:
    """A model's words about one scene, on one line; "" where it has none."""
    shown = Evidence(carriers[0].recording_id, span, 1.0, carriers[0], shown=tuple(carriers))
    said = "".join(answerer.stream(Question(ASKED), [shown]))
    return "" if said.startswith(NOT_THERE) else " ".join(said.partition("[1]")[0].split())

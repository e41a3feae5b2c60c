"""OpenAIAnswerer: any server that speaks OpenAI's chat completions (vLLM, SGLang, Ollama, llama.cpp, hosted ones) reads the evidence."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Protocol

from footage.costs import LanguageShape, Meter
from footage.errors import SourceNotFound
from footage.protocols import Answerer
from footage.questions import Evidence, Question
from qa.answerers.chat_exchange import Exchange
from qa.answerers.chat_prompt import Shown, messages
from qa.answerers.chat_reply import Reply, looped
from qa.answerers.chat_server import DEFAULT_LIMITS, Endpoint, Limits, client_library
from qa.answerers.moments import MomentsAnswerer
from qa.answerers.prompt import FRAMES_OF_A_ROW, Row, evenly, rows_of
from qa.parse import parse

MOST_PICTURES = 16
UNKNOWN = LanguageShape(layers=1, width=0, mlp=0, heads=1, kv_heads=1)
"""Of a model whose sizes nobody tells: its tokens count, its multiplications do not."""


class Looks(Protocol):
    """What the footage looked like: carriers are no pictures, and a server takes nothing else."""

    def pictures(self, recording_id: str, times_s: Sequence[float]) -> list[bytes]:
        """A JPEG of each time; empty where there is none."""
        ...

    def duration_s(self, recording_id: str) -> float: ...


class OpenAIAnswerer:
    """Evidence as quoted text and pictures; the reply may only point at it, and times in the answer come from the evidence.

    Pictures of a moment are of what the plan reads there, and one of the middle of a text: so many decodes stand outside the plan.
    """

    def __init__(
        self, endpoint: Endpoint, looks: Looks, *, limits: Limits = DEFAULT_LIMITS, without_evidence: Answerer | None = None
    ) -> None:
        """without_evidence: says that there is none. Raises ConfigError where the client library is not installed."""
        client_library()
        self._endpoint, self._looks, self._limits = endpoint, looks, limits
        self._without_evidence = without_evidence or MomentsAnswerer()

    @property
    def id(self) -> str:
        return str(self._endpoint)

    def stream(
        self, question: Question, evidence: Sequence[Evidence], *, meter: Meter | None = None, overview: Sequence[Evidence] = ()
    ) -> Iterator[str]:
        """As Answerer.stream; a reply that breaks off ends in an error, whatever was told of it before.

        Raises:
            AnswererUnavailable: nobody there, too slow, too busy, broken off. ConfigError: a wrong key or address.
            ModelMissing: no such model there. ModelError: the request was refused, or what came is no reply.
            SourceNotFound: there is neither text nor picture to show.
        """
        rows = rows_of(evidence)
        if not rows:
            yield from self._without_evidence.stream(question, evidence)
            return
        exchange = Exchange(self._endpoint, self._limits)
        reply = Reply(rows, counts=parse(question.text).how_often)
        with closing(exchange.pieces(self._messages(question, rows, evidence))) as pieces:
            for piece in pieces:
                if said := reply.add(piece):
                    yield said
                if looped(reply.text):
                    exchange.cut = "it repeated itself"
                    break
        (meter or Meter()).read(UNKNOWN, visual=0, text=exchange.read_tokens, new=exchange.new_tokens)
        yield reply.end(exchange.cut)

    def _messages(self, question: Question, rows: Sequence[Row], evidence: Sequence[Evidence]) -> list[dict[str, object]]:
        shown = self._shown(rows, evidence)
        if not any(item.row.text or item.pictures for item in shown):
            raise SourceNotFound("of the moments found, neither the video nor a thumbnail is there to be shown",
                                 hint="bring the file back, or ask with --model none")  # fmt: skip
        return messages(question, shown, {e.name: self._looks.duration_s(e.recording_id) for e in evidence})

    def _shown(self, rows: Sequence[Row], evidence: Sequence[Evidence]) -> list[Shown]:
        """The rows with their pictures, each recording looked at once; where there are many rows, the best have pictures."""
        each = max(1, min(FRAMES_OF_A_ROW, MOST_PICTURES // len(rows)))
        times = {row.place: evenly(_times(row), each) for row in rows if row.place <= MOST_PICTURES}
        seen: dict[tuple[str, float], bytes] = {}
        for recording in dict.fromkeys(e.recording_id for e in evidence):
            mine = sorted({t for place, some in times.items() for t in some if evidence[place - 1].recording_id == recording})
            if mine:
                jpegs = self._looks.pictures(recording, mine)
                seen |= {(recording, t): jpeg for t, jpeg in zip(mine, jpegs, strict=True) if jpeg}
        found = [(row, evidence[row.place - 1], times.get(row.place, [])) for row in rows]
        return [
            Shown(row, e.name, e.kind, tuple((t, seen[e.recording_id, t]) for t in some if (e.recording_id, t) in seen))
            for row, e, some in found
        ]


def _times(row: Row) -> list[float]:
    """When a row's frames were seen; the middle of the row instead of times outside it, and of a text."""
    return list(dict.fromkeys(t if t in row.span else row.span.middle_s for t in row.times_s)) or [row.span.middle_s]

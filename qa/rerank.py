"""Re-ranking: the model that answers says first which of the moments found help it, and those come first.

"MLLM Is a Strong Reranker: Advancing Multimodal Retrieval-augmented Generation via Knowledge-enhanced Reranking and Noise-injected
Training" (2024). Ours trains nothing, asks about moments of several frames and about text, and drops none below a threshold.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar, runtime_checkable

from footage.costs import Meter
from footage.errors import ConfigError
from footage.protocols import Answerer
from footage.questions import Evidence, Question

MOST = 20
T = TypeVar("T")


@runtime_checkable
class Judge(Protocol):
    """An answerer that can also say whether it needs to see something."""

    def likely(self, question: Question, evidence: Evidence, *, meter: Meter | None = None) -> float:
        """Probability, 0 to 1, that one piece of evidence helps to answer. meter: told of every prompt."""
        ...


def judge_of(answerer: Answerer, *, aim: str = "re-rank", otherwise: str = "leave ask.rerank at 0") -> Judge:
    """The same answerer, as one that can judge. Raises ConfigError where it cannot."""
    if isinstance(answerer, Judge):
        return answerer
    raise ConfigError(
        f"model {answerer.id!r} cannot say whether a moment helps, so it cannot {aim}",
        hint=f"ask with a video-language model, or {otherwise}",
    )


def reranked(found: Sequence[T], evidence: Callable[[T], Evidence], question: Question, judge: Judge, count: int, meter: Meter) -> list[T]:
    """The first `count` in the order of their chances, equals as they were, and after them the others as they were."""
    chances = [round(judge.likely(question, evidence(item), meter=meter), 6) for item in found[:count]]
    order = sorted(range(len(chances)), key=lambda n: -chances[n])
    return [*(found[n] for n in order), *found[count:]]

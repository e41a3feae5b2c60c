"""One question to a server of chat completions: its reply as it arrives, never longer than it may be, never a half for a whole."""

import json
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from footage.errors import AnswererUnavailable, FootageError, ModelError
from qa.answerers.chat_server import Endpoint, Limits, broken, client_library, client_of, message, nonsense, refusal, silent, unreachable

LONGEST_LINE = 1 << 20
"""Bytes; a line of a stream is one token or a few."""
CHARACTERS = 16
"""Of one token, at the very most: a server that does not keep to the number of tokens is cut by these."""


class Exchange:
    """One question and its reply. The client sends and retries; the stream is read here, so that every byte is held against the clock."""

    def __init__(self, at: Endpoint, limits: Limits) -> None:
        self._at, self._limits, self._openai = at, limits, client_library()
        self._is_complete, self._said = False, ""
        self.cut = ""
        """Why the reply stops before its end; "" where it does not."""
        self.read_tokens = 0
        """Pictures' tokens too, as far as the server says."""
        self.new_tokens = 0

    def pieces(self, messages: Sequence[Any]) -> Generator[str, None, None]:
        """The reply, as it arrives. Raises: see OpenAIAnswerer.stream."""
        deadline_s, most, spoken = time.monotonic() + self._limits.total_s, self._limits.new_tokens, 0
        with ExitStack() as stack:
            client = stack.enter_context(client_of(self._at, self._limits))
            for event in self._events(self._opened(stack, client, messages), deadline_s):
                piece, is_spoken = self._taken(event)
                spoken += is_spoken
                self._said += piece
                if piece:
                    yield piece
                if spoken > most or len(self._said) > CHARACTERS * most:
                    self.cut = f"at {most} tokens"
                    break
        if not self._said.strip():
            raise self._empty()

    def _opened(self, stack: ExitStack, client: Any, messages: Sequence[Any]) -> Any:
        """The response; what a server says that it does not take is left out."""
        openai, at, limits = self._openai, self._at, self._limits
        wishes: dict[str, Any] = {"max_tokens": limits.new_tokens, "temperature": 0, "stream_options": {"include_usage": True}}
        create = client.chat.completions.with_streaming_response.create
        while True:
            try:
                return stack.enter_context(create(model=at.name, messages=messages, stream=True, **wishes))
            except openai.APIStatusError as error:
                refused = next((name for name in wishes if name in str(error)), "")
                if error.status_code not in (400, 422) or not refused:
                    raise refusal(at, limits, error, client) from error
                value = wishes.pop(refused)
                if refused == "max_tokens":
                    wishes["max_completion_tokens"] = value
            except openai.APITimeoutError as error:
                raise silent(at, limits, error) from error
            except openai.APIConnectionError as error:
                raise unreachable(at, error) from error

    def _events(self, response: Any, deadline_s: float) -> Iterator[Any]:
        """What a stream of server-sent events holds, up to its end or to the deadline."""
        first, is_stream = b"", False
        for line in _lines(self._chunks(response, deadline_s)):
            first = first or line
            if not line.startswith(b"data:") or line == b"data:":
                continue
            is_stream, data = True, line.removeprefix(b"data:").strip()
            if data == b"[DONE]":
                break
            try:
                event = json.loads(data)
            except ValueError as error:
                raise nonsense(self._at, data) from error
            yield event
        if not is_stream and not self.cut:
            raise nonsense(self._at, first)
        if not self._is_complete and not self.cut:
            raise broken(self._at, "its stream ended without an end", self._said)

    def _chunks(self, response: Any, deadline_s: float) -> Iterator[bytes]:
        try:
            for chunk in response.iter_bytes():
                yield chunk
                if time.monotonic() > deadline_s:
                    self.cut = self.cut if self._is_complete else f"after {self._limits.total_s:g} s"
                    return
        except Exception as error:  # of an HTTP library that changes with the version of the client
            if self._is_complete:
                return
            if "Timeout" in type(error).__name__:
                raise silent(self._at, self._limits, error, self._said) from error
            raise broken(self._at, str(error) or type(error).__name__, self._said) from error

    def _taken(self, event: Any) -> tuple[str, bool]:
        """(the words of one event, whether it has words or thoughts); what else it says is noted."""
        try:
            if error := event.get("error"):
                raise broken(self._at, message(error), self._said)
            usage = event.get("usage") or {}
            self.read_tokens = int(usage.get("prompt_tokens") or self.read_tokens)
            self.new_tokens = int(usage.get("completion_tokens") or self.new_tokens)
            if not event["choices"]:  # the event of the usage
                return "", False
            choice = event["choices"][0]
            delta, reason = choice.get("delta") or {}, choice.get("finish_reason")
            words = "" + (delta.get("content") or "")
        except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise nonsense(self._at, json.dumps(event).encode()) from error
        if reason == "content_filter":
            raise ModelError(f"{self._at.where} held its reply back: a content filter refused it", hint="ask otherwise, or another model")
        self._is_complete = self._is_complete or bool(reason)
        self.cut = f"at {self._limits.new_tokens} tokens" if reason == "length" else self.cut
        return words, bool(words or delta.get("reasoning_content") or delta.get("reasoning"))

    def _empty(self) -> FootageError:
        if self.cut.startswith("after"):
            return AnswererUnavailable(f"{self._at.where} had said no word {self.cut}", hint="show it less with --moments 1")
        why = f": all {self._limits.new_tokens} tokens went into thinking" if self.cut else ""
        return ModelError(f"{self._at.name!r} at {self._at.where} gave an empty reply{why}", hint="ask a model that reads pictures")


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Lines without their ends, blank ones left out. Only a newline ends one: other line separators may stand inside JSON."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line.strip() for line in lines if line.strip())
        if len(rest) > LONGEST_LINE:
            break
    if rest.strip():
        yield rest.strip()

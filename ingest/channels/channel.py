"""The seam of a channel: what reads rows out of one segment beside pictures and text, and what may go wrong with it alone."""

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from footage import Clip, TextRow, TimeSpan

Loaded = TypeVar("Loaded")


class Channel(Protocol):
    """Rows of one segment: add its kept frames in time order; take the rows whenever they are wanted, they are those so far."""

    def add(self, clip: Clip) -> None: ...

    def stays(self, span: TimeSpan) -> None:
        """What the last frame shows goes on being there."""
        ...

    def rows(self) -> list[TextRow]: ...


class Once(Generic[Loaded]):
    """Something heavy, loaded at first use; what could not be loaded is not tried again in this process."""

    def __init__(self, load: Callable[[], Loaded]) -> None:
        self._load, self._loaded = load, list[Loaded]()
        self._error: Exception | None = None

    def __call__(self) -> Loaded:
        """Raises what loading it raised."""
        if self._error is not None:
            raise self._error
        if not self._loaded:
            try:
                self._loaded.append(self._load())
            except Exception as error:
                self._error = error
                raise
        return self._loaded[0]


class Guarded:
    """A channel of one segment that is allowed to fail: then it has no rows here, and `failure` says why."""

    def __init__(self, name: str, begin: Callable[[], Channel]) -> None:
        self.name, self.failure = name, ""
        self._begin = begin
        self._channel: Channel | None = None

    def add(self, clip: Clip) -> None:
        self._tried(lambda channel: channel.add(clip))

    def stays(self, span: TimeSpan) -> None:
        self._tried(lambda channel: channel.stays(span))

    def rows(self) -> list[TextRow]:
        return self._tried(lambda channel: channel.rows()) or []

    def _tried(self, step: Callable[[Channel], list[TextRow] | None]) -> list[TextRow] | None:
        """What a step gives; nothing from the first failure on. Broad: runtimes, decoders and models have no base of errors in common."""
        if self.failure:
            return None
        try:
            if self._channel is None:
                self._channel = self._begin()
            return step(self._channel)
        except Exception as error:
            self.failure = f"{type(error).__name__}: {error}"
            return None

"""Names of a library's keys; see memory.redis.scripts for what they hold."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Keys:
    name: str
    """Of the library."""

    def _of(self, what: str) -> str:
        return f"footage:{{{self.name}}}:{what}"

    @property
    def library(self) -> str:
        return self._of("library")

    @property
    def log(self) -> str:
        return self._of("log")

    @property
    def recordings(self) -> str:
        return self._of("recordings")

    @property
    def generations(self) -> str:
        return self._of("generations")

    @property
    def notes(self) -> str:
        return self._of("notes")

    @property
    def payloads(self) -> str:
        """How the keys of all chunks begin."""
        return self._of("payload:")

    def rows(self, recording_id: str) -> str:
        return self._of(f"rows:{recording_id}")


def text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode()

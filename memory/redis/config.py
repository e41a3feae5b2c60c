"""How a Redis library is connected to."""

from dataclasses import dataclass
from typing import Literal

from footage.errors import ConfigError


@dataclass(frozen=True, slots=True)
class RedisConfig:
    username: str = ""
    """Of the server's access list; one in the address wins."""
    password: str = ""
    patience_s: float = 60.0
    """A server that is lost for so long is waited for; then it is an error. At opening nothing is waited for."""
    eviction: Literal["forbid", "allow"] = "forbid"
    """"forbid": refuse to write where the server may throw away what is kept, once it is full."""
    grace_s: float = 300.0
    """Payloads that were replaced or forgotten can be read for so long, by views that were taken before."""
    log_length: int = 10_000
    """About so many changes stay in the commit log; a reader that is further behind reads all rows again."""
    folder: str = ""
    """Where answers, alerts, archives and caches of Redis libraries lie on this machine; "": the user's cache folder."""

    def __post_init__(self) -> None:
        for name in ("patience_s", "grace_s"):
            if getattr(self, name) < 0:
                raise ConfigError(f"redis.{name} is {getattr(self, name)}", hint="expected seconds, 0 or more")
        if self.log_length < 1:
            raise ConfigError(f"redis.log_length is {self.log_length}", hint="expected 1 or more")

"""A connection to a Redis server: waits while the server is away, and says in words what is wrong."""

import logging
import re
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from footage.errors import ConfigError, StoreError
from memory.redis.address import Address
from memory.redis.config import RedisConfig

if TYPE_CHECKING:
    from redis import Redis

log = logging.getLogger(__name__)
OLDEST = (6, 2)
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 1.0
TIMEOUT_S = 10.0  # of one command; a server that is stopped but not closed answers nothing
CONNECT_S = 3.0
HEALTH_S = 15.0
QUICK_TRIES = 2
T = TypeVar("T")
Script: TypeAlias = Callable[[Sequence[str], Sequence[str | int]], Any]
"""(keys, arguments) to what it says."""
PRIMARY = "give the address of the primary server"


class Connection:
    """Threads may share it. Steps that it runs may be run twice: each must do no more the second time."""

    def __init__(self, address: Address, config: RedisConfig) -> None:
        """Raises StoreError where the server cannot be reached, refuses, or is too old; ConfigError where the address cannot be used."""
        self.address, self._config = address, config
        self._patience_s = 0.0
        self.client = _client(address, config)
        found = str(self.info("server").get("redis_version", ""))
        if tuple(int(part) for part in re.findall(r"\d+", found)[:2]) < OLDEST:
            self.close()
            raise StoreError(f"{address} runs Redis {found}, expected 6.2 or newer", hint="update the server, or use Valkey")
        self._patience_s = config.patience_s

    def close(self) -> None:
        self.client.close()

    def info(self, section: str) -> dict[str, Any]:
        """What the server tells of itself."""
        return dict(self.call("info", section))

    def refuse_replica(self) -> None:
        """Raises StoreError where nothing can be written."""
        if self.info("replication").get("role") == "slave":
            raise StoreError(f"{self.address} is a read-only replica", hint=PRIMARY)

    def refuse_eviction(self, *, is_only_read: bool) -> None:
        """Raises StoreError where a full server would throw away what is kept. Policies for keys that expire alone never do."""
        memory = self.info("memory")
        limit, policy = int(memory.get("maxmemory", 0)), str(memory.get("maxmemory_policy", "noeviction"))
        if not limit or not policy.startswith("allkeys"):
            return
        found = f"{self.address} throws away what is kept when it is full: maxmemory-policy {policy}, maxmemory {limit}"
        if self._config.eviction == "forbid" and not is_only_read:
            raise StoreError(found, hint="set maxmemory-policy to noeviction, or redis.eviction to allow where all can be indexed again")
        log.warning("%s", found)

    def call(self, command: str, *args: Any, **options: Any) -> Any:
        """One command, by its name as a method of the client."""
        return self.run(lambda client: getattr(client, command)(*args, **options))

    def script(self, source: str) -> Script:
        """A Lua script as a function of its keys and arguments."""
        script = self.client.register_script(source)
        return lambda keys, args: self.run(lambda _: script(keys=keys, args=args))

    def run(self, step: Callable[["Redis"], T]) -> T:
        """What the step returns. While the server is away it is tried again, until patience ends; then StoreError."""
        from redis.backoff import ExponentialWithJitterBackoff
        from redis.exceptions import RedisError

        begun_s, pauses, tries = time.monotonic(), ExponentialWithJitterBackoff(LONGEST_PAUSE_S, FIRST_PAUSE_S), 0
        while True:
            try:
                return step(self.client)
            except (RedisError, OSError) as error:
                waited_s, tries = time.monotonic() - begun_s, tries + 1
                if not _passes(error) or waited_s >= self._patience_s:
                    raise explained(error, self.address, waited_s) from error
                if tries == 1:
                    log.warning("%s is away, waiting up to patience_s=%g: %s", self.address, self._patience_s, type(error).__name__)
                time.sleep(pauses.compute(tries))


def _client(address: Address, config: RedisConfig) -> "Redis":
    try:
        from redis import Redis
        from redis.backoff import ExponentialWithJitterBackoff
        from redis.retry import Retry
    except ImportError as error:
        raise ConfigError("the Redis client is not installed", hint='pip install "footage[redis]"') from error
    given = {"username": config.username or None, "password": config.password or None}
    try:
        return Redis.from_url(
            address.url, **given, retry=Retry(ExponentialWithJitterBackoff(LONGEST_PAUSE_S, FIRST_PAUSE_S), QUICK_TRIES),
            socket_connect_timeout=CONNECT_S, socket_timeout=TIMEOUT_S, socket_keepalive=True, health_check_interval=HEALTH_S,
        )  # fmt: skip
    except (ValueError, TypeError) as error:
        raise ConfigError(f"the address of {address} cannot be used: {error}", hint="see docs/redis.md for what it may hold") from error


def _passes(error: BaseException) -> bool:
    """It is worth trying again: the server is away, starting, or changing places with a replica."""
    from redis import exceptions as e

    if isinstance(error, (e.AuthenticationError, e.AuthorizationError)):
        return False
    if "CERTIFICATE" in str(error).upper():
        return False
    return isinstance(error, (e.ConnectionError, e.TimeoutError, e.ReadOnlyError, e.TryAgainError, e.MasterDownError, OSError))


def explained(error: BaseException, address: Address, waited_s: float = 0.0) -> StoreError:
    """What the client or the server said, as an error that tells what to do."""
    from redis import exceptions as e

    said = str(error)
    if isinstance(error, e.ReadOnlyError):
        return StoreError(f"{address} is a read-only replica", hint=PRIMARY)
    if isinstance(error, e.NoPermissionError):
        return StoreError(f"{address} does not allow it: {said}", hint="docs/redis.md lists what the user must be allowed")
    if isinstance(error, (e.AuthenticationError, e.AuthorizationError)) or "NOAUTH" in said:
        hint = "put USER:PASSWORD@ into the address, or set FOOTAGE_REDIS__USERNAME and FOOTAGE_REDIS__PASSWORD"
        return StoreError(f"{address} refuses user or password", hint=hint)
    if isinstance(error, e.OutOfMemoryError) or "OOM command not allowed" in said:
        hint = "raise the server's maxmemory, or make room (footage library compact); what is committed is safe"
        return StoreError(f"{address} is full: it has reached its maxmemory", hint=hint)
    if isinstance(error, e.MovedError):
        return StoreError(f"{address} is a node of a cluster, and this library lies on {error.node_addr}", hint="give that node's address")
    if said.startswith("MISCONF"):
        return StoreError(f"{address} cannot save to its disk, and takes nothing until it can", hint="see the server's log")
    if isinstance(error, (e.ConnectionError, e.TimeoutError, OSError)):
        long = f" for {waited_s:.0f} s" if waited_s >= 1 else ""
        return StoreError(f"{address} cannot be reached{long}: {_reason(error)}", hint="is the server running, and the address right?")
    return StoreError(f"{address} cannot be used: {said}", hint="docs/redis.md lists what the server must offer")


def _reason(error: BaseException) -> str:
    """Its own words, without the address: redis-py puts host and port there, which we have said."""
    inner = error.__cause__ or error.__context__ or error
    return (getattr(inner, "strerror", None) or str(inner) or type(error).__name__).rstrip(".")

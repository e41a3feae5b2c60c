"""Libraries by address: a directory, or a name on a Redis server. Both hold the same and behave the same."""

import logging
from pathlib import Path
from typing import TypeAlias

from footage.addresses import without_credentials
from footage.errors import StoreError
from memory.database import OldCatalogue
from memory.local_store import LocalStore
from memory.redis.address import Address, is_redis
from memory.redis.config import RedisConfig
from memory.redis.store import RedisStore

log = logging.getLogger(__name__)
LibraryStore: TypeAlias = LocalStore | RedisStore


def open_store(location: str | Path, *, read_only: bool = False, config: RedisConfig | None = None) -> LibraryStore:
    """A directory's path, or redis://HOST:PORT/DB?name=NAME (docs/redis.md). Made when it is not there, unless read_only.

    Raises:
        NothingRecorded: read_only, and there is no library. ConfigError: an address that cannot be used.
        StoreError: it cannot be used, or another writer has it (a directory has one, Redis any number).
    """
    if is_redis(str(location)):
        return RedisStore(str(location), read_only=read_only, config=config)
    directory = Path(location).expanduser()
    try:
        return LocalStore(directory, read_only=read_only)
    except OldCatalogue as error:  # of an earlier footage: nobody should have to index for that
        log.info("%s; it is brought up to date", error)
        try:
            LocalStore(directory).close()
        except StoreError as refused:
            raise error from refused
        return LocalStore(directory, read_only=read_only)


def folder_of(location: str | Path, config: RedisConfig | None = None) -> Path:
    """Of a library, on this machine: answers, alerts, archives and caches lie there; it need not be there yet."""
    if is_redis(str(location)):
        return Address.parse(str(location)).folder((config or RedisConfig()).folder)
    return Path(location).expanduser()


def shown(location: str | Path) -> str:
    """For messages: without credentials."""
    return str(Address.parse(str(location))) if is_redis(str(location)) else without_credentials(str(location))

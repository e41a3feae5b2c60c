"""Addresses of Redis libraries: redis://[USER:PASSWORD@]HOST[:PORT][/DB][?name=NAME], rediss:// for TLS, unix:///PATH for a socket."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from footage.addresses import scheme_of, without_credentials
from footage.errors import ConfigError
from memory.durable import path_part

SCHEMES = frozenset({"redis", "rediss", "unix"})
PORT, NAME = 6379, "footage"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def is_redis(location: str) -> bool:
    return scheme_of(location) in SCHEMES


@dataclass(frozen=True, slots=True)
class Address:
    url: str
    """As the client takes it, credentials included: never to be shown."""
    name: str
    """Of the library: several share a server."""
    place: str
    """Host, port and database."""

    @classmethod
    def parse(cls, location: str) -> "Address":
        """Raises ConfigError where it names no library that there could be."""
        parts = urlsplit(location)
        given = parse_qsl(parts.query, keep_blank_values=True)
        rest, name = [(key, value) for key, value in given if key != "name"], dict(given).get("name", NAME)
        try:
            port, host = parts.port or PORT, parts.hostname or ("" if parts.scheme == "unix" else "localhost")
        except ValueError as error:
            raise _unusable(location, "its port is no number") from error
        database = parts.path.strip("/") if parts.scheme != "unix" else dict(rest).get("db", "0")
        if not _NAME.fullmatch(name):
            raise _unusable(location, f"the name {name!r} is not made of letters, digits, '_', '.' and '-', 64 at most")
        if not (database or "0").isdecimal():
            raise _unusable(location, "what follows the host is no database number")
        where = parts.path if parts.scheme == "unix" else f"{host}:{port}"
        return cls(urlunsplit(parts._replace(query=urlencode(rest), fragment="")), name, f"{where}/{database or 0}")

    def __str__(self) -> str:
        """Without credentials."""
        scheme = scheme_of(self.url)
        return f"{scheme}://{self.place}?name={self.name}"

    def __repr__(self) -> str:
        return f"Address({self})"

    def folder(self, root: str = "") -> Path:
        """On this machine, for what belongs to the library but is not kept in it; without credentials in its name."""
        cache = Path(root).expanduser() if root else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "footage" / "redis"
        return cache / path_part(self.place) / path_part(self.name)


def _unusable(location: str, why: str) -> ConfigError:
    return ConfigError(f"{without_credentials(location)} names no Redis library: {why}", hint="write redis://HOST:PORT/DB?name=NAME")

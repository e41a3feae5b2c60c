"""What `footage watch` takes: the addresses of streams, and what to call them."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from footage.addresses import LIVE_SCHEMES, is_live, scheme_of, without_credentials
from footage.errors import ConfigError

SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*://"
NAMED = re.compile(rf"(?!{SCHEME})([^=]+)=((?:{SCHEME}|/dev/).*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Target:
    """One stream."""

    address: str
    """As given, perhaps with a password: for the connection alone."""
    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """ADDRESS or NAME=ADDRESS. Raises ConfigError where that is no live stream."""
        match = NAMED.fullmatch(text)
        name, address = match.groups() if match else ("", text)
        shown = without_credentials(address)
        if not is_live(address):
            raise _refusal(address, shown)
        return cls(address, name or shown)

    def __repr__(self) -> str:
        return f"Target({self.name} at {self.shown})"

    @property
    def shown(self) -> str:
        """The address without what only its owner may know."""
        return without_credentials(self.address)

    @property
    def recording_id(self) -> str:
        """The same for a camera whose password was changed."""
        return hashlib.blake2b(f"live:{self.shown}".encode(), digest_size=8).hexdigest()


def _refusal(address: str, shown: str) -> ConfigError:
    scheme = scheme_of(address)
    if not scheme:
        is_file = Path(address).exists()
        what, shown = ("is a file", shown) if is_file else ("is no address of a stream", shown.rpartition("@")[2])
        return ConfigError(f"{shown!r} {what}", hint=f"files are indexed: footage index {shown!r}; streams begin with rtsp:// or the like")
    if scheme in ("http", "https"):
        hint = f"a camera that sends pictures over HTTP is mjpeg+{scheme}://...; live playlists end in .m3u8; files are indexed"
        return ConfigError(f"{shown!r} does not look like a live stream", hint=hint)
    known = ", ".join(sorted(LIVE_SCHEMES))
    return ConfigError(f"{scheme}:// is no live stream that can be read", hint=f"known: {known}, and http(s) with .m3u8")


def targets_of(texts: Sequence[str]) -> list[Target]:
    """Raises ConfigError where one is no stream, or is given twice."""
    targets = [Target.parse(text) for text in texts]
    for first, second in ((a, b) for i, a in enumerate(targets) for b in targets[:i]):
        if first.recording_id == second.recording_id:
            raise ConfigError(f"{first.shown!r} is given twice", hint="name each stream once")
    return targets

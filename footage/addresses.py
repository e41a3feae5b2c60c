"""Addresses of sources: which are live, and how to show them without what only their owner may know."""

import re
from urllib.parse import unquote

LIVE_SCHEMES = frozenset({"rtsp", "rtsps", "rtmp", "rtmps", "udp", "rtp", "srt", "mjpeg+http", "mjpeg+https", "v4l2"})
HIDDEN = "***"
SECRETS = re.compile(r"pass|pwd|token|secret|key|auth|sig|user|login|credential|hmac|jwt|session|ticket", re.IGNORECASE)
_PAIR = re.compile(r"([^&;=]+)=([^&;]*)")


def scheme_of(address: str) -> str:
    """In lower case; empty for a path."""
    head, sep, _ = address.partition("://")
    return head.lower() if sep and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", head) else ""


def is_live(address: str) -> bool:
    """A stream without an end: a camera, a live protocol, an HLS playlist."""
    scheme = scheme_of(address)
    if scheme in ("http", "https"):
        return re.split(r"[?#]", address)[0].lower().endswith((".m3u8", ".mjpg", ".mjpeg"))
    return scheme in LIVE_SCHEMES or re.fullmatch(r"/dev/video\d+", address) is not None


def without_credentials(address: str) -> str:
    """User and password left out; values of query parameters that sound secret replaced by ***."""
    scheme = scheme_of(address)
    if not scheme:
        return address
    host, rest = _apart(address.partition("://")[2])
    path, mark, query = rest.partition("#")[0].partition("?")
    return f"{scheme}://{host}{path}{mark}{_PAIR.sub(_hidden, query)}"


def printable(name: str) -> str:
    """A name of a file on one line: what would move a cursor or break a line is written as its escape."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)


def name_of(address: str) -> str:
    """What a file at that address would be called; the address, without credentials, where it names none."""
    shown = without_credentials(address)
    path = shown.partition("://")[2].partition("?")[0].partition("/")[2]
    return unquote(path.rpartition("/")[2]) or shown


def _apart(rest: str) -> tuple[str, str]:
    """What comes after "://" as (host and port, path and the rest).

    A slash, ? or # in a password should be written %2F, %3F, %23; where it is not, nobody may see it all the same.
    """
    host = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" not in host and "@" in rest and not re.fullmatch(r"(\[[^\]]*\]|[^:]*)(:\d*)?", host):
        rest = rest.rpartition("@")[2]
        host = re.split(r"[/?#]", rest, maxsplit=1)[0]
    return host.rpartition("@")[2], rest[len(host) :]


def _hidden(pair: re.Match[str]) -> str:
    return f"{pair[1]}={HIDDEN}" if SECRETS.search(unquote(pair[1])) else pair[0]

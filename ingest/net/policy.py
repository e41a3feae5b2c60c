"""Which addresses may be reached. A name is resolved once, every address is checked, and only a checked one is connected to."""

import ipaddress
import socket
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from footage.addresses import scheme_of, without_credentials
from footage.errors import ConfigError, SourceNotFound
from ingest.net.config import NetConfig

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
PORTS = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322, "rtmp": 1935, "rtmps": 443, "mjpeg+http": 80, "mjpeg+https": 443}
CAMERAS = frozenset({"rtsp", "rtsps", "rtmp", "rtmps", "udp", "rtp", "srt", "mjpeg+http", "mjpeg+https"})
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052
# what answers there gives keys away; some of these look public
_METADATA = {
    ipaddress.ip_address(a)
    for a in ("169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254")
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a checked connection goes."""

    host: str
    """As named: what a certificate is checked against."""
    port: int
    addresses: tuple[str, ...]
    """Checked, in the order of the resolver; a connection goes to one of these and nowhere else."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be reached; see NetConfig."""

    config: NetConfig = field(default_factory=NetConfig)

    def check(self, url: str, *, is_named: bool = True) -> Endpoint:
        """The endpoint of an address. `is_named`: by the user, not by what a server sent.

        Raises:
            ConfigError: no address that is reached, or a refused one. SourceNotFound: its name cannot be resolved.
        """
        scheme, parts = scheme_of(url), _split(url)
        if scheme not in PORTS and scheme not in CAMERAS:
            raise ConfigError(f"{scheme or 'a path'} is no address that is read over a network", hint="expected http:// or https://")
        port = parts.port or PORTS.get(scheme)
        if not parts.hostname or not port:
            raise ConfigError(f"{without_credentials(url)!r} names no {'port' if parts.hostname else 'host'}")
        if scheme in CAMERAS:
            return self.camera(parts.hostname, port)
        return self.resolve(parts.hostname, port, is_named=is_named)

    def resolve(self, host: str, port: int, *, is_named: bool) -> Endpoint:
        """The same for a web server."""
        addresses = _resolved(host, port)
        is_private_fine = self.config.allow_private or (is_named and not self.config.serving)
        if not self._is_listed(host):
            for address in addresses:
                kind = kind_of(address)
                if kind and not self._in_listed_network(address) and not (is_private_fine and kind != "metadata"):
                    raise _refused(host, address, kind)
        return Endpoint(host, port, tuple(str(a) for a in addresses))

    def camera(self, host: str, port: int) -> Endpoint:
        """Cameras are on private networks, so private is fine; a server reaches only those of its list."""
        addresses = _resolved(host, port)
        if not self._is_listed(host):
            for address in addresses:
                kind = kind_of(address)
                is_refused = self.config.serving or (kind in ("metadata", "link-local") and not self.config.allow_private)
                if is_refused and not self._in_listed_network(address):
                    raise _refused(host, address, kind or "unlisted")
        return Endpoint(host, port, tuple(str(a) for a in addresses))

    def _is_listed(self, host: str) -> bool:
        return host.rstrip(".").casefold() in {name.rstrip(".").casefold() for name in self.config.allow_hosts}

    def _in_listed_network(self, address: Address) -> bool:
        return any(_plain(address) in network for network in map(_network, self.config.allow_hosts) if network is not None)


def kind_of(address: Address) -> str:
    """Why an address is not of the public internet: "loopback", "metadata" ...; "" where it is."""
    plain = _plain(address)
    if plain in _METADATA:
        return "metadata"
    for kind in ("loopback", "link_local", "multicast", "unspecified"):
        if getattr(plain, f"is_{kind}"):
            return kind.replace("_", "-")
    if plain.is_reserved or getattr(plain, "is_site_local", False):
        return "reserved"
    return "" if plain.is_global else "private"


def check_path(path: Path, config: NetConfig) -> Path:
    """The path; while serving the real one, links followed, of what lies under one of the roots.

    Raises:
        SourceNotFound: it lies elsewhere, or is not there; which of the two is not told.
    """
    if not config.serving:
        return path
    real = path.resolve()
    if not any(real.is_relative_to(Path(root).expanduser().resolve()) for root in config.roots) or not real.exists():
        raise SourceNotFound(f"there is no {str(path)!r} in the folders that are served", hint="name a file under one of them")
    return real


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # raises where it is no number
    except ValueError as error:
        raise ConfigError(f"'{scheme_of(url)}://...' is no well-formed address") from error
    return parts


def _resolved(host: str, port: int) -> tuple[Address, ...]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise SourceNotFound(f"there is no host {host!r} ({error})", hint="check the name, and the network") from error
    return tuple(dict.fromkeys(ipaddress.ip_address(str(info[4][0]).partition("%")[0]) for info in found))


def _plain(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for (RFC 4291 2.5.5.2, RFC 6052, RFC 3056); any other as it is."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _refused(host: str, address: Address, kind: str) -> ConfigError:
    at = "" if host == str(address) else f" ({address})"
    return ConfigError(f"{host}{at} is a {kind} address, which is not reached from here",
                       hint=f'if it is meant, add it to net.allow_hosts: ["{host}"]')  # fmt: skip

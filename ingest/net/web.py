"""GET over http(s) by a policy: connections go to addresses that were checked, at every hop of a redirect (RFC 9110 15.4)."""

import netrc
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit, urlunsplit

import httpx2

from footage.addresses import without_credentials
from footage.errors import ConfigError, SourceError, SourceNotFound, SourceStalled
from ingest.net.policy import PORTS, Endpoint, Policy

HOPS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_GONE, _CLOSED = (404, 410), (401, 403, 407)


class PinnedTransport(httpx2.BaseTransport):
    """Connects to the addresses that the policy checked; names are resolved once for its life. TLS names stay as they were."""

    def __init__(self, policy: Policy, named: tuple[str, int], *, verify: Any = True) -> None:
        """named: the one (host, port) that the user named."""
        self._policy, self._named, self._verify = policy, named, verify
        self._pins: dict[tuple[str, int], Endpoint] = {}
        self._by_host: dict[str, httpx2.HTTPTransport] = {}  # a pool each: a connection made for one name never serves another

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        host, port = origin(request.url)
        pin = self._pins.get((host, port))
        if pin is None:
            pin = self._pins[host, port] = self._policy.resolve(host, port, is_named=(host, port) == self._named)
        inner = self._by_host.get(host)
        if inner is None:
            inner = self._by_host[host] = httpx2.HTTPTransport(verify=self._verify)
        for address in pin.addresses[:-1]:
            try:
                return inner.handle_request(_to(address, host, request))
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                continue
        return inner.handle_request(_to(pin.addresses[-1], host, request))

    def close(self) -> None:
        for inner in self._by_host.values():
            inner.close()


def _to(address: str, host: str, request: httpx2.Request) -> httpx2.Request:
    """The same request to an address; its Host header is there already."""
    extensions = {**request.extensions, "sni_hostname": host}
    return httpx2.Request(request.method, request.url.copy_with(host=address), headers=request.headers, stream=request.stream,
                          extensions=extensions)  # fmt: skip


def origin(url: httpx2.URL) -> tuple[str, int]:
    """(host, port)"""
    return url.raw_host.decode("ascii").casefold(), url.port or PORTS.get(url.scheme, 0)


class Web:
    """Reads what lies at one address, redirects followed. Threads must not share it."""

    def __init__(self, address: str, policy: Policy, *, is_named: bool = True, verify: Any = True) -> None:
        """is_named: the address comes from the user, not from a server.

        Raises:
            ConfigError: it is none that is read.
        """
        self.shown = without_credentials(address)
        self._start, self._auth = _apart(address)
        self._origin, self._is_named = origin(self._start), is_named
        self._at = self._start
        if self._auth is None and is_named and not policy.config.serving:
            self._auth = _from_netrc(self._origin[0])
        config = policy.config
        named = self._origin if is_named else ("", 0)
        self._client = httpx2.Client(
            transport=PinnedTransport(policy, named, verify=verify),
            timeout=httpx2.Timeout(config.read_s, connect=config.connect_s),
            headers={"Accept-Encoding": "identity", "User-Agent": "footage"}, trust_env=False,
        )  # fmt: skip

        self.close = weakref.finalize(self, self._client.close)

    def beside(self, address: str) -> "Web":
        """Another address over the same connections; what this one sends as a password goes to its own server only."""
        other = copy(self)
        other.shown = without_credentials(address)
        other._start, auth = _apart(address)
        is_same = (other._start.scheme, origin(other._start)) == (self._start.scheme, self._origin)
        other._auth, other._origin, other._at = auth or (self._auth if is_same else None), origin(other._start), other._start
        return other

    @property
    def address(self) -> str:
        """Where redirects led to, without user and password; secrets of a query included."""
        return str(self._at)

    @property
    def is_redirected(self) -> bool:
        return self._at != self._start

    def rewind(self) -> None:
        """Begin at the first address again: where a redirect leads to may be true for a short time only."""
        self._at = self._start

    @contextmanager
    def get(self, headers: Mapping[str, str]) -> Iterator[httpx2.Response]:
        """The answer, its body unread; redirects followed once, then remembered.

        Raises:
            SourceError and its kinds: too many redirects, a refused one. httpx2.HTTPError: the connection failed.
        """
        url = self._at
        for _ in range(HOPS + 1):
            auth = self._auth if origin(url) == self._origin and url.scheme == self._start.scheme else None
            request = self._client.build_request("GET", url, headers=dict(headers))
            response = self._client.send(request, auth=auth, stream=True)
            try:
                if response.status_code not in _REDIRECTS:
                    self._at = url
                    yield response
                    return
                url = self._next(url, response)
            finally:
                response.close()
        raise SourceError(f"{self.shown} redirects more than {HOPS} times", hint="name the address that it leads to")

    def _next(self, url: httpx2.URL, response: httpx2.Response) -> httpx2.URL:
        try:
            target = url.join(response.headers.get("location", "")).copy_with(fragment=None)
        except httpx2.InvalidURL as error:
            raise SourceError(f"{self.shown} redirects to what is no address") from error
        where = f"{self.shown} redirects to {without_credentials(str(target))}"
        if target.scheme not in ("http", "https") or not target.host:
            raise SourceError(f"{where}, which is not followed", hint="expected http:// or https://")
        if url.scheme == "https" and target.scheme == "http":
            raise SourceError(f"{where}, away from an encrypted connection", hint="name that address itself, if it is meant")
        if origin(target) == origin(url):
            return target
        return target.copy_with(userinfo=b"")

    def refuse(self, status: int) -> NoReturn:
        """In words what a status means for a reader."""
        if status in _GONE:
            raise SourceNotFound(f"there is nothing at {self.shown} (HTTP {status})", hint="check the address")
        if status in _CLOSED:
            hint = "give https://USER:PASSWORD@HOST/..., or keep them in ~/.netrc: addresses are remembered without them"
            raise SourceError(f"{self.shown} may not be read (HTTP {status})", hint=hint)
        kind = SourceStalled if status >= 500 or status in (408, 429) else SourceError
        raise kind(f"{self.shown} cannot be read: the server answers HTTP {status}", hint="try again later, or download the file")


def _apart(address: str) -> tuple[httpx2.URL, httpx2.BasicAuth | None]:
    """The address without user and password, and what they are sent as (RFC 7617)."""
    try:
        parts = urlsplit(address)
        bare = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, parts.query, ""))
        url = httpx2.URL(bare)
        has_host = bool(url.host)
    except (ValueError, httpx2.InvalidURL) as error:
        raise ConfigError("that is no well-formed address", hint="expected such as https://example.org/film.mp4") from error
    if url.scheme not in ("http", "https") or not has_host:
        raise ConfigError(f"{without_credentials(address)!r} is no address of a file", hint="expected http:// or https:// and a host")
    if parts.username is None and parts.password is None:
        return url, None
    return url, httpx2.BasicAuth(unquote(parts.username or ""), unquote(parts.password or ""))


def _from_netrc(host: str) -> httpx2.BasicAuth | None:
    """As curl and git find them."""
    try:
        found = netrc.netrc().authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return None
    return httpx2.BasicAuth(found[0], found[2] or "") if found else None

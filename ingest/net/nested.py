"""Streams that are lists of other addresses (HLS, RFC 8216; DASH): every address that FFmpeg wants to open is opened here, by the policy.

opener = Opener(url, policy)
av.open(opener.address, io_open=opener, container_options=OPTIONS, timeout=...)
"""

import io
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx2

from footage.addresses import scheme_of, without_credentials
from footage.errors import SourceError, SourceStalled
from ingest.net.policy import Policy
from ingest.net.web import Web

OPTIONS = {"http_persistent": "0", "http_multiple": "0"}  # else FFmpeg looks for connections of its own
MOST_BYTES = 512 << 20  # of one address; a list or a part of a stream that goes on for ever is none
_WRITE = 2  # AVIO_FLAG_WRITE


class Opener:
    """For `av.open(io_open=)`. The address that the user named may be private, and so may its own server's parts; no other."""

    def __init__(self, address: str, policy: Policy, *, verify: Any = True) -> None:
        """Asks once, to learn where redirects lead: a list names its parts relative to that.

        Raises:
            SourceNotFound, SourceStalled, SourceError, ConfigError: in words, without credentials.
        """
        self._web = Web(address, policy, verify=verify)
        self._start = address
        with ExitStack() as stack:
            stack.callback(self.close)
            StreamFile(self._web, {}).close()
            stack.pop_all()

    @property
    def address(self) -> str:
        """To give to FFmpeg: without user and password, which only this object sends."""
        return self._web.address

    def __call__(self, url: str, flags: int, options: dict[str, str]) -> "StreamFile":
        if flags & _WRITE or scheme_of(url) not in ("http", "https"):
            raise SourceError(
                f"{without_credentials(self._start)} names {without_credentials(url)!r}, which is not opened",
                hint="a list of streams may name http(s) addresses only",
            )
        start, end = int(options.get("offset", 0)), int(options.get("end_offset", 0))
        is_part = start > 0 or end > 0
        return StreamFile(self._web.beside(url), {"Range": f"bytes={start}-{end - 1 if end else ''}"} if is_part else {})

    def close(self) -> None:
        self._web.close()


class StreamFile(io.RawIOBase):
    """What one address sends, once and forwards."""

    def __init__(self, web: Web, headers: dict[str, str]) -> None:
        self._stack, self._rest, self._read, self.name = ExitStack(), b"", 0, web.shown
        try:
            answer = self._stack.enter_context(web.get(headers))
            if answer.status_code != (206 if headers else 200):
                web.refuse(answer.status_code)
            self._chunks: Iterator[bytes] = answer.iter_raw(65536)
        except httpx2.HTTPError as error:
            self.close()
            raise self._stalled(error) from error
        except BaseException:
            self.close()
            raise

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        try:
            while not self._rest:
                chunk = next(self._chunks, None)
                if chunk is None:
                    return b""
                self._rest = chunk
                self._read += len(chunk)
        except httpx2.HTTPError as error:
            raise self._stalled(error) from error
        if self._read > MOST_BYTES:
            raise SourceError(f"{self.name} sends more than {MOST_BYTES >> 20} MiB at once")
        size = len(self._rest) if size is None or size < 0 else size
        part, self._rest = self._rest[:size], self._rest[size:]
        return part

    def close(self) -> None:
        self._stack.close()
        super().close()

    def _stalled(self, error: Exception) -> SourceStalled:
        return SourceStalled(f"{self.name} stopped sending ({error or type(error).__name__})")

"""RemoteFile: a video behind http(s), read by ranges (RFC 9110 14) with the few methods of a path that readers of files need.

What it looked like at first (length, ETag, Last-Modified) holds for its life: a file that changes meanwhile is an error, never a mixture.
"""

import io
import random
import tempfile
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast
from urllib.parse import unquote, urlsplit

import httpx2

from footage.errors import FootageError, NotVideo, SourceError, SourceStalled
from ingest.net.policy import Policy
from ingest.net.web import Web

BLOCK_BYTES = 256 * 1024
LEAST_BYTES_A_S = 16 * 1024  # a server that trickles more slowly has stalled
PAUSE_S = 0.25
_AGAIN = (408, 429, 500, 502, 503, 504)
Version = tuple[int, str, str]  # length, ETag, Last-Modified


class RemoteFile:
    """Not to be shared by threads."""

    def __init__(
        self, address: str, policy: Policy | None = None, *, verify: Any = True, heard: Callable[[int, int], None] | None = None
    ) -> None:
        """heard: gets (bytes so far, bytes in all or 0) while a file is downloaded whole, because its server cannot send parts.

        Raises:
            SourceNotFound, NotVideo, SourceStalled, SourceError, ConfigError: in words, without credentials.
        """
        policy = policy or Policy()
        self._config, self._heard = policy.config, heard
        self._web = Web(address, policy, verify=verify)
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._next, self._run = 0, 1
        self._local: IO[bytes] | None = None
        self.requests = self.bytes_read = 0
        self.version: Version = (0, "", "")
        try:
            self._begin()
        except BaseException:
            self._web.close()
            raise

    def __str__(self) -> str:
        return self._web.shown

    @property
    def name(self) -> str:
        """The last part of the address, as a file would be called."""
        return PurePosixPath(unquote(urlsplit(self._web.shown).path)).name or self._web.shown

    @property
    def size_bytes(self) -> int:
        return self.version[0]

    @property
    def local(self) -> Path | None:
        """The temporary copy of what had to be downloaded whole; gone with this object."""
        return None if self._local is None else Path(self._local.name)

    def open(self) -> IO[bytes]:
        """Seekable, at its beginning; what is opened shares what was read."""
        return cast(IO[bytes], RangeFile(self))

    def close(self) -> None:
        self._web.close()
        if self._local is not None:
            self._local.close()

    def read_at(self, offset: int, length: int) -> bytes:
        """At most `length` bytes; fewer at the end of a block and of the file."""
        if offset >= self.size_bytes or length <= 0:
            return b""
        if self._local is not None:
            self._local.seek(offset)
            return self._local.read(length)
        number, start = divmod(offset, BLOCK_BYTES)
        if number not in self._blocks:
            self._fetch_blocks(number)
        self._blocks.move_to_end(number)
        return self._blocks[number][start : start + length]

    def _fetch_blocks(self, first: int) -> None:
        """One request; the more blocks, the longer they have been read one after the other."""
        most = self._config.cache_mib * 2**20 // BLOCK_BYTES
        self._run = min(2 * self._run, most // 4) if first == self._next else 1
        last = first
        while last - first + 1 < self._run and (last + 1) * BLOCK_BYTES < self.size_bytes and last + 1 not in self._blocks:
            last += 1
        start = first * BLOCK_BYTES
        data = self._fetch(start, min((last + 1) * BLOCK_BYTES, self.size_bytes))
        for number in range(first, last + 1):
            self._blocks[number] = data[number * BLOCK_BYTES - start : (number + 1) * BLOCK_BYTES - start]
        self._next = last + 1
        while len(self._blocks) > most:
            self._blocks.popitem(last=False)

    # Requests

    def _begin(self) -> None:
        """What is there, and its first block."""
        self._again(lambda: self._first())
        if self.size_bytes == 0:
            raise NotVideo(f"{self} is empty (0 bytes)", hint="check the address, or upload it again")

    def _first(self) -> bool:
        with self._web.get({"Range": f"bytes=0-{BLOCK_BYTES - 1}"}) as answer:
            if answer.status_code == 416:  # of an empty file no range can be sent
                return True
            self._check_status(answer, 200, 206)
            _refuse_coded(answer, str(self))
            self.version = _version_of(answer)
            is_part = answer.status_code == 206 and self.size_bytes > 0
            data = self._body(answer, min(BLOCK_BYTES, self.size_bytes)) if is_part else b""
            if is_part and len(data) < min(BLOCK_BYTES, self.size_bytes):
                return False
            if not is_part:
                self._download(answer)
            elif data:
                self._blocks[0], self._next = data, 1
        self._refuse_page(answer)
        return True

    def _fetch(self, start: int, end: int) -> bytes:
        """Bytes [start, end); goes on where a connection broke off."""
        got = bytearray()

        def read() -> bool:
            at = start + len(got)
            with self._web.get({"Range": f"bytes={at}-{end - 1}"}) as answer:
                if answer.status_code in (200, 416):
                    raise self._changed()
                self._check_status(answer, 206)
                if _version_of(answer) != self.version or not answer.headers["content-range"].startswith(f"bytes {at}-"):
                    raise self._changed()
                got.extend(self._body(answer, end - at))
            return len(got) == end - start

        self._again(read)
        return bytes(got)

    def _again(self, read: Callable[[], bool]) -> None:
        """Until it succeeds; a few times, with growing pauses."""
        why, failure = "it breaks off", None
        for attempt in range(self._config.retries + 1):
            time.sleep(attempt and PAUSE_S * 2**attempt * random.uniform(0.5, 1))
            self.requests += 1
            try:
                if read():
                    return
            except (httpx2.TransportError, _Passing) as error:
                why, failure = str(error) or type(error).__name__, error
            except (httpx2.HTTPError, httpx2.InvalidURL) as error:
                raise SourceError(f"{self} cannot be read: {error}") from error
        hint = "check the network, then run again: what is indexed stays"
        what = "cannot be reached" if isinstance(failure, httpx2.ConnectError) else "stopped sending"
        raise SourceStalled(f"{self} {what} ({why}; tried {self._config.retries + 1} times)", hint=hint)

    def _check_status(self, answer: httpx2.Response, *fine: int) -> None:
        status = answer.status_code
        if status in fine:
            return
        if self._web.is_redirected:  # signed addresses hold for minutes: ask anew where it is
            self._web.rewind()
            raise _Passing(f"HTTP {status}")
        if status in _AGAIN:
            raise _Passing(f"HTTP {status}")
        self._web.refuse(status)

    def _body(self, answer: httpx2.Response, most: int) -> bytes:
        """What comes of it, before it breaks off or trickles."""
        got, until = bytearray(), time.monotonic() + self._config.read_s + most / LEAST_BYTES_A_S
        try:
            for chunk in answer.iter_raw():  # as they come: of what breaks off nothing is lost
                got += chunk
                if len(got) >= most or time.monotonic() > until:
                    break
        except httpx2.TransportError:
            if not got:
                raise
        self.bytes_read += len(got)
        return bytes(got[:most])

    def _download(self, answer: httpx2.Response) -> None:
        """All of it to a temporary file, under the cap."""
        cap, known = round(self._config.download_gib * 2**30), self.size_bytes
        if known > cap:
            raise self._too_large(f"{known / 2**30:.1f} GiB")
        if self._local is not None:
            self._local.close()
        self._local = local = tempfile.NamedTemporaryFile(prefix="footage-", suffix=PurePosixPath(self.name).suffix[:16])  # noqa: SIM115
        weakref.finalize(self, local.close)
        size = 0
        for chunk in answer.iter_raw(2**18):
            size += len(chunk)
            self.bytes_read += len(chunk)
            if size > cap:
                raise self._too_large(f"more than {self._config.download_gib:g} GiB")
            local.write(chunk)
            if self._heard:
                self._heard(size, known)
        local.flush()
        self.version = size, *self.version[1:]

    def _refuse_page(self, answer: httpx2.Response) -> None:
        head = self.read_at(0, 64).lstrip().lower()
        if answer.headers.get("content-type", "").startswith("text/html") and head.startswith((b"<!doctype", b"<html", b"<head", b"<!--")):
            raise NotVideo(f"{self} is a web page, not a video", hint="give the address of the video file itself")

    def _changed(self) -> SourceError:
        return SourceError(f"{self} changed while it was being read", hint="index it again")

    def _too_large(self, found: str) -> FootageError:
        return SourceError(
            f"{self} would have to be downloaded whole ({found}): its server cannot send parts",
            hint=f"net.download_gib is {self._config.download_gib:g}; or download it yourself and index the file",
        )


class _Passing(Exception):
    """A refusal that may be over at the next try."""


class RangeFile(io.RawIOBase):
    """An open RemoteFile: what readers of seekable files expect."""

    def __init__(self, remote: RemoteFile) -> None:
        self._remote, self._at = remote, 0
        self.name = remote.name

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._remote.size_bytes}[whence]
        if base + offset < 0:
            raise ValueError(f"cannot seek to {base + offset}")
        self._at = base + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        size = self._remote.size_bytes - self._at if size is None or size < 0 else size
        parts: list[bytes] = []
        while size > 0 and (part := self._remote.read_at(self._at, size)):
            parts.append(part)
            self._at, size = self._at + len(part), size - len(part)
        return b"".join(parts)


def _version_of(answer: httpx2.Response) -> Version:
    whole = answer.headers.get("content-range", "").rpartition("/")[2] or answer.headers.get("content-length", "0")
    length = int(whole) if whole.isdigit() else 0
    return length, answer.headers.get("etag", ""), answer.headers.get("last-modified", "")


def _refuse_coded(answer: httpx2.Response, shown: str) -> None:
    coding = answer.headers.get("content-encoding", "identity")
    if coding not in ("", "identity"):
        raise SourceError(f"{shown} is sent as {coding}, which has no ranges", hint="download it, and index the file")

"""An address to an open container, and what goes wrong on the way to words. FFmpeg's own texts hold the address, so none is passed on."""

import errno
import math
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import av

from footage.addresses import is_live, scheme_of, without_credentials
from footage.errors import ConfigError, FootageError
from ingest.live.clock import Opening
from ingest.live.config import LiveConfig
from ingest.net.policy import Policy

LIVE, LISTS, AT_ONCE = Opening(), Opening(blocked_s=0.5, limit_s=5.0), Opening(blocked_s=0.0, limit_s=0.0)
HTTP = "http,https,tcp,tls,crypto"
HLS_READ_S = 20.0  # a playlist gives a segment at a time, and segments of 10 s are common


@dataclass(frozen=True, slots=True)
class Route:
    """How FFmpeg is told to reach an address."""

    url: str
    format: str | None
    protocols: str
    """All that FFmpeg may open on the way: a playlist or a redirection reaches no file."""
    options: tuple[tuple[str, str], ...] = ()
    has_stamps: bool = True
    """False: its time stamps are FFmpeg's guess at a frame rate."""
    opening: Opening = LIVE
    read_s: float = 0.0
    """Longest wait for a packet, where the protocol needs more than the settings say."""


@dataclass(frozen=True, slots=True)
class Connection:
    container: Any
    video: Any
    sound: Any
    """None: there is none."""
    route: Route
    read_s: float
    """Longest wait for a packet; a read may take twice as long before it fails."""
    leaving: ExitStack

    def close(self) -> None:
        self.leaving.close()


class Refused(Exception):
    """Why there is no stream, in words without credentials."""


def route(address: str, config: LiveConfig) -> Route:
    """
    Raises:
        ConfigError: not the address of a stream.
    """
    if not is_live(address):
        raise ConfigError(f"{without_credentials(address)!r} is not the address of a stream", hint="files are read by `footage index`")
    scheme, url = scheme_of(address), address
    if scheme in ("", "v4l2"):
        return Route(url.removeprefix("v4l2://"), "v4l2", "file")
    if scheme.startswith("mjpeg+"):
        scheme, url = scheme.removeprefix("mjpeg+"), url[len("mjpeg+") :]
        return Route(url, "mpjpeg", HTTP, _waits(config), False, AT_ONCE)
    if scheme in ("http", "https"):
        if urlsplit(url).path.lower().endswith(".m3u8"):
            return Route(url, "hls", HTTP, (*_waits(config), ("live_start_index", "-1")), True, LISTS, HLS_READ_S)
        return Route(url, "mpjpeg", HTTP, _waits(config), False, AT_ONCE)
    if scheme in ("rtsp", "rtsps"):
        waits = (("timeout", str(round(config.open_s * 1e6))), ("rtsp_transport", config.transport))
        return Route(url, "rtsp", "rtp,udp,tcp,tls,srtp", waits)
    if scheme in ("rtmp", "rtmps"):
        return Route(url, "flv", "rtmp,rtmps,tcp,tls", _waits(config))
    return Route(url, "rtp" if scheme == "rtp" else None, f"{scheme},udp", (("overrun_nonfatal", "1"),) if scheme == "udp" else ())


def _waits(config: LiveConfig) -> tuple[tuple[str, str], ...]:
    return (("rw_timeout", str(round(config.open_s * 1e6))),)


def connect(address: str, config: LiveConfig, policy: Policy) -> Connection:
    """
    Raises:
        Refused: there is no stream, or it may not be reached, with the reason.
    """
    way, begun_s = route(address, config), time.monotonic()
    with ExitStack() as stack:
        try:
            container = stack.enter_context(_opened(address, way, config, policy, stack))
        except FootageError as error:
            raise Refused(str(error)) from None
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise Refused(_unopened(error, time.monotonic() - begun_s, config)) from None
        sounds = container.streams.audio
        video = container.streams.best("video")
        if video is None or video.codec_context is None:
            kinds = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
            raise Refused(f"it sends no video that we can decode, but {kinds}")
        leaving = stack.pop_all()
    return Connection(container, video, sounds[0] if sounds else None, way, max(config.read_s, way.read_s), leaving)


def _opened(address: str, way: Route, config: LiveConfig, policy: Policy, stack: ExitStack) -> Any:
    options = dict(way.options) | {"protocol_whitelist": way.protocols, "fpsprobesize": "0"}  # 0: do not wait for 20 frames to guess a rate
    waits_s = config.open_s, max(config.read_s, way.read_s)
    how = {"format": way.format, "timeout": waits_s, "metadata_errors": "replace"}
    if way.format == "hls":  # whatever a playlist names is opened by the policy, not by FFmpeg
        from ingest.net.nested import OPTIONS, Opener

        opener = stack.enter_context(closing(Opener(way.url, policy)))
        return av.open(opener.address, io_open=opener, container_options=OPTIONS, options=options, **how)
    if urlsplit(address).hostname:
        policy.check(address)
    return av.open(way.url, options=options, **how)


def _unopened(error: BaseException, took_s: float, config: LiveConfig) -> str:
    if took_s >= 0.9 * config.open_s and not isinstance(error, av.error.HTTPError | av.error.PyAVCallbackError):
        return f"no answer within {math.ceil(config.open_s):g} s"
    if isinstance(error, av.error.EOFError):
        return "it closed the connection before the stream began"
    return _in_words(error)


def interrupted(error: BaseException, waited_s: float) -> str:
    """Why a running stream ended."""
    if isinstance(error, av.error.ExitError | TimeoutError):
        return f"no data for {waited_s:.0f} s"
    return "it ended the stream" if isinstance(error, av.error.EOFError) else _in_words(error)


WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (ConnectionRefusedError, "the server refused the connection"),
    (ConnectionResetError, "the server broke the connection"),
    (BrokenPipeError, "the server broke the connection"),
    (TimeoutError, "the server did not answer in time"),
    (FileNotFoundError, "there is no such device"),
    (PermissionError, "it may not be opened: permission denied"),
    (av.error.ExitError, "the server did not answer in time"),
    (av.error.HTTPUnauthorizedError, "401: the user or password is wrong"),
    (av.error.HTTPForbiddenError, "403: this user may not see it"),
    (av.error.HTTPNotFoundError, "404: there is no such stream on the server"),
    (av.error.HTTPServerError, "the server failed (5xx)"),
    (av.error.HTTPClientError, "the server did not accept the request (4xx)"),
    (av.error.ProtocolNotFoundError, "this build of FFmpeg cannot speak its protocol, or the protocol is not allowed there"),
    (av.error.DecoderNotFoundError, "this build of FFmpeg cannot decode it"),
    (av.error.DemuxerNotFoundError, "this build of FFmpeg cannot read it"),
    (av.error.InvalidDataError, "what the server sends is not a stream that we can read"),
)  # fmt: skip
NUMBERS = {
    errno.EHOSTUNREACH: "the host cannot be reached",
    errno.ENETUNREACH: "there is no network",
    errno.ENODEV: "there is no such device",
    errno.EBUSY: "another program is using it",
    errno.EIO: "the connection failed",
}


def _in_words(error: BaseException) -> str:
    cause = error.__cause__ or error.__context__
    if isinstance(cause, FootageError):  # an address in a playlist, refused or silent
        return str(cause)
    for kind, words in WORDS:
        if isinstance(error, kind):
            return words
    return NUMBERS.get(getattr(error, "errno", None) or 0, f"it cannot be read ({type(error).__name__})")

"""`footage watch`: streams on the command line."""

import logging
import re
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from footage.errors import ConfigError
from footage.timespan import parse_clock
from workers.cli_alerts import print_notes, told_by
from workers.cli_flags import CarriersFlag, EncoderFlag, JsonFlag, LibraryFlag, OfflineFlag, VerboseFlag, library_of

UNITS_S = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def watch(
    addresses: Annotated[list[str], typer.Argument(help="rtsp://..., NAME=rtsp://..., playlists, /dev/video0", metavar="URL...")],
    library: LibraryFlag = None,
    for_: Annotated[
        str | None, typer.Option("--for", help="So long: 90s, 10m, 2h or 1:30:00 [default: until Ctrl-C]", show_default=False)
    ] = None,
    name: Annotated[list[str] | None, typer.Option("--name", help="What to call it; again for each URL", show_default=False)] = None,
    fps: Annotated[float | None, typer.Option(help="Frames a second that are looked at [default: 1]", show_default=False)] = None,
    encoder: EncoderFlag = None,
    carriers: CarriersFlag = None,
    ocr: Annotated[str | None, typer.Option(help="Read text on the screen: auto, on, off [default: auto]", show_default=False)] = None,
    alert: Annotated[
        list[str] | None, typer.Option("--alert", help='A standing question: "a red car is there"; again for each', show_default=False)
    ] = None,
    offline: OfflineFlag = None,
    as_json: JsonFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Watch live streams. Ask and search meanwhile, from another terminal; Ctrl-C ends it, and it goes on where it ended."""
    from workers.live.show import listener_for

    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    lib = library_of(library, offline, index={"encoder": encoder, "carriers": carriers, "ocr": ocr}, sampling={"fps": fps})
    print_notes(alert or (), lib.tools.encoder)
    streams, for_s = _named(addresses, name or []), None if for_ is None else seconds_of(for_)
    with ending_on_signals() as stop, listener_for(as_json=as_json, quiet=verbose) as listener:
        fared = lib.watch(*streams, for_s=for_s, listener=listener, stop=stop, alert=alert or (), told=told_by(as_json=as_json))
        listener.ended(fared)


def _named(addresses: Sequence[str], names: Sequence[str]) -> list[str]:
    if names and len(names) != len(addresses):
        raise ConfigError(f"there are {len(names)} names for {len(addresses)} streams", hint="give --name once for each URL, in order")
    return [f"{name}={address}" for name, address in zip(names, addresses, strict=True)] if names else list(addresses)


def seconds_of(text: str) -> float:
    """From 90, 90s, 10m, 2h, 1d or clock text. Raises ConfigError for anything else, and for no time at all."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?) *(s|m|min|h|d)", text.strip())
    try:
        found = float(match[1]) * UNITS_S[match[2]] if match else parse_clock(text)
    except ValueError:
        found = 0.0
    if found <= 0:
        raise ConfigError(f"{text!r} is no length of time", hint="write 90s, 10m, 2h or 1:30:00")
    return found


@contextmanager
def ending_on_signals() -> Iterator[threading.Event]:
    """Set by the first Ctrl-C or SIGTERM; the second one interrupts at once."""
    stop = threading.Event()

    def end(number: int, frame: Any) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        print("ending; once more to end at once", file=sys.stderr)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""Where alerts go at once. Each may fail by itself; what fails is logged, and the others still hear."""

import json
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from footage.errors import ConfigError
from footage.timespan import clock
from workers.alerts.alert import Alert

log = logging.getLogger(__name__)
Sink = Callable[[Alert], None]


def line(alert: Alert) -> str:
    """For people."""
    when = f" {alert.at}" if alert.at else ""
    said = f" {alert.text!r}" if alert.text else ""
    return f"ALERT {alert.id}  {clock(alert.start_s)}{when}  {alert.name}: {alert.question} ({alert.by} {alert.confidence:.2f}){said}"


def console(alert: Alert) -> None:
    print(line(alert), file=sys.stdout, flush=True)


def lines_file(path: Path) -> Sink:
    """Appends JSON lines. Raises ConfigError, when called, where it cannot be written."""
    try:
        path.open("a").close()
    except OSError as error:
        raise ConfigError(f"alerts.file {path} cannot be written: {error.strerror}", hint="name another file") from error

    def write(alert: Alert) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(alert.json(picture=False), ensure_ascii=False) + "\n")

    return write


def tell(sinks: Sequence[Sink], alert: Alert) -> None:
    for sink in sinks:
        try:
            sink(alert)
        except Exception as error:  # whatever a sink does, the watch goes on
            log.warning("an alert could not be told: %s", error)

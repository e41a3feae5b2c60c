"""Alerts sent to an address: signed JSON, at least once, by a thread of its own that waits while the receiver is away.

The signature is an HMAC-SHA256 (RFC 2104) of the time and the body in one header, as payment services send it:
`Footage-Signature: t=SECONDS,v1=HEX` over "SECONDS.BODY". A receiver calls `verify`.
"""

import hashlib
import hmac
import json
import logging
import os
import random
import threading
import time
from urllib.parse import urlsplit

from footage.addresses import without_credentials
from footage.errors import ConfigError, StoreError
from workers.alerts.alert import Alert
from workers.alerts.config import AlertsConfig
from workers.alerts.ledger import Ledger

log = logging.getLogger(__name__)
HEADER, ID_HEADER = "Footage-Signature", "Footage-Alert-Id"
TIMEOUT_S = 10.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 60.0
TOLERANCE_S = 300.0
TRY_AGAIN = (408, 425, 429)  # of the answers that blame the sender


def sign(secret: str, body: bytes, *, at_s: float) -> str:
    """The value of the header; at_s: Unix time."""
    return f"t={int(at_s)},v1={_digest(secret, int(at_s), body)}"


def verify(secret: str, header: str, body: bytes, *, now_s: float | None = None, tolerance_s: float = TOLERANCE_S) -> bool:
    """For receivers: the body comes from who knows the secret, and not from long ago. In constant time; total."""
    parts = dict(part.partition("=")[::2] for part in header.split(","))
    stamp, given = parts.get("t", ""), parts.get("v1", "")
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) < 16 and given.isascii()):
        return False
    is_fresh = abs((time.time() if now_s is None else now_s) - int(stamp)) <= tolerance_s
    return hmac.compare_digest(_digest(secret, int(stamp), body), given) and is_fresh


def _digest(secret: str, stamp: int, body: bytes) -> str:
    return hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()


class Receiver:
    """One address. Redirects are not followed, and no proxy is taken from the environment."""

    def __init__(self, url: str, secret: str = "") -> None:
        """Raises ConfigError for what is no http(s) address, or has a user in it."""
        from httpx2 import Client

        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"alerts.webhook is {without_credentials(url)!r}", hint="such as https://example.org/hook")
        if "@" in parts.netloc:
            raise ConfigError("alerts.webhook has a user in it", hint="leave it out; what is sent is signed, see alerts.secret_variable")
        self._url, self._secret = url, secret
        logging.getLogger("httpx2").setLevel(logging.WARNING)  # it logs whole addresses, and some hold a token
        self._client = Client(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False)

    @classmethod
    def of(cls, config: AlertsConfig) -> "Receiver | None":
        return cls(config.webhook, os.environ.get(config.secret_variable, "")) if config.webhook else None

    def close(self) -> None:
        self._client.close()

    def post(self, alert: Alert) -> tuple[bool, str]:
        """(it is worth trying again, why it failed); (False, "") when the receiver has it."""
        from httpx2 import HTTPError, InvalidURL

        body = json.dumps(alert.json(), ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json", ID_HEADER: alert.id}
        if self._secret:
            headers[HEADER] = sign(self._secret, body, at_s=time.time())
        try:
            with self._client.stream("POST", self._url, content=body, headers=headers) as reply:  # its body is of no use
                status = reply.status_code
        except (HTTPError, InvalidURL) as error:
            return True, type(error).__name__
        if 200 <= status < 300:
            return False, ""
        return status >= 500 or status in TRY_AGAIN, f"it answered {status}"


class Courier:
    """Takes what waits in the ledger to the receiver, the oldest first, also what an earlier run left behind."""

    def __init__(self, ledger: Ledger, receiver: Receiver) -> None:
        self._ledger, self._receiver = ledger, receiver
        self._wake, self._ends, self._failures = threading.Event(), threading.Event(), 0
        self._random = random.Random()
        self._thread = threading.Thread(target=self._run, name="alerts-webhook", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There is something new."""
        self._wake.set()

    def close(self, wait_s: float = 2.0) -> None:
        """What is not sent by then waits in the library for the next run."""
        self._ends.set()
        self._wake.set()
        self._thread.join(wait_s)

    def _run(self) -> None:
        while not self._ends.is_set():
            self._wake.clear()
            if self._sent_all():  # an alert that comes meanwhile does not shorten the pause
                self._ends.wait(self._pause_s())
            elif not self._ends.is_set():
                self._wake.wait()
        self._sent_all()
        self._receiver.close()

    def _sent_all(self) -> bool:
        """Sends until nothing waits; True when the receiver is away."""
        try:
            while alert := self._ledger.waiting():
                again, why = self._receiver.post(alert)
                if again:
                    return self._failed(f"the webhook cannot be reached ({why})")
                if why:
                    log.warning("the webhook refused alert %s: %s", alert.id, why)
                self._failures = 0
                self._ledger.told(alert.id)
        except StoreError as error:
            return self._failed(str(error))
        return False

    def _failed(self, why: str) -> bool:
        """True; said once an outage."""
        if not self._failures:
            log.warning("alerts cannot be sent and wait in the library: %s", why)
        self._failures += 1
        return True

    def _pause_s(self) -> float:
        """Exponential back-off with full jitter in its upper half."""
        longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self._failures, 16))
        return longest * self._random.uniform(0.5, 1.0)

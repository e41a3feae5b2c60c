"""Settings of standing questions."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class AlertsConfig:
    cool_down_s: float = 60.0
    """What is seen again within so long is the same event, and no new alert."""
    confirm: Literal["auto", "none"] = "auto"
    """auto: what passes the gate is asked of the model that answers, where there is one; none: the gate decides alone."""
    second_look: bool = True
    """What the model says is there is looked at again before it fires, see second_look.py; takes up to four more questions each."""
    past: int = 360
    """Segments before this one that the gate is calibrated on, six hours of them."""
    spread: float = 1.5
    """How far above what is usual a score must lie when the gate decides alone, see gate.Past.threshold."""
    spread_confirmed: float = 1.2
    """The same when a model decides: it is asked about one ordinary segment of ten, or fewer."""
    file: str = ""
    """Alerts are also written here, as JSON lines."""
    webhook: str = ""
    """Alerts are also sent to this http(s) address, as JSON."""
    secret_variable: str = "WEBHOOK_SECRET"
    """The environment variable with the secret that signs what is sent; nothing is signed where it is not set."""
    keep: int = 1000
    """Alerts that the library remembers, the newest."""
    clips_mib: int = 512
    """Most that clips of alerts take on disk, the oldest leave first; 0: none are cut."""

    def __post_init__(self) -> None:
        if self.cool_down_s < 0 or self.spread < 0 or self.spread_confirmed < 0 or self.clips_mib < 0:
            raise ValueError("cool_down_s, spread, spread_confirmed and clips_mib must be 0 or more")
        if self.past < 20 or self.keep < 1:
            raise ValueError("past must be 20 or more, keep 1 or more")

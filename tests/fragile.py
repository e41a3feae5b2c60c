"""Worker processes that crash, hang and grow on demand."""

import os
import signal
import time

from footage.errors import DecodeError
from workers.guard import Clock


class Fragile:
    """Calls that end badly, and one that does not."""

    def pid(self, clock: Clock) -> int:
        return os.getpid()

    def crash(self, clock: Clock) -> None:
        with clock.running():
            os.kill(os.getpid(), signal.SIGSEGV)

    def hang(self, clock: Clock, seconds: float) -> str:
        with clock.running():
            time.sleep(seconds)
        return "over"

    def think(self, clock: Clock, seconds: float) -> str:
        """What models do: no foreign bytes are read."""
        time.sleep(seconds)
        return "thought"

    def grow(self, clock: Clock, mib: int) -> str:
        with clock.running():
            held = []
            for _ in range(mib):
                held.append(b"\1" * (1 << 20))
                time.sleep(0.01)
        return "grown"

    def refuse(self, clock: Clock) -> None:
        raise DecodeError("this is no film", hint="take another one")

    def fail(self, clock: Clock, *, reading: bool = True) -> None:
        if reading:
            with clock.running():
                raise MemoryError
        raise KeyError("ours")

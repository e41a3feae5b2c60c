"""Train nano from nothing: `python -m nano.train WORK`. Stopped at any time, the same command goes on where it was.

Draws its own data; needs no network and no accelerator. On two cores the tower takes half an hour, the decoder two hours.
"""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

from nano import TOWER, VLM
from nano.carry import begin_with_shipped
from nano.decoder import DecoderConfig, train_decoder
from nano.export import export
from nano.tower import TowerConfig, train_tower

ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "17179869184", "MALLOC_TOP_PAD_": "536870912"}
"""glibc gives every large tensor back to the system at once and so spends a third of the time on page faults; told not to, it does not."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m nano.train", description=__doc__)
    parser.add_argument("work", type=Path, help="folder for states that training goes on from")
    parser.add_argument("--tower-steps", type=int, default=TowerConfig().steps)
    parser.add_argument("--decoder-steps", type=int, default=DecoderConfig().steps)
    parser.add_argument("--levels", type=int, nargs="+", default=list(DecoderConfig().levels), help="tokens a frame that are trained on")
    parser.add_argument(
        "--details", type=int, nargs="*", default=list(DecoderConfig().details), help="the same, in the order of footage.nested"
    )
    parser.add_argument("--rate", type=float, default=DecoderConfig().rate, help="highest learning rate of the decoder")
    parser.add_argument("--says-times", action="store_true", help="a baseline that says times instead of pointing at evidence")
    parser.add_argument("--name", default="decoder", help="of the decoder's state, to train several on one tower")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop the decoder after so many, state kept")
    parser.add_argument("--further", action="store_true", help="begin with the shipped decoder, on WORK's tower where it has one")
    parser.add_argument("--tower", type=Path, default=TOWER, help="where the finished SigLIP goes")
    parser.add_argument("--vlm", type=Path, default=VLM, help="where the finished SmolVLM goes")
    given = parser.parse_args()
    if any(name not in os.environ for name in ALLOCATOR):  # read once, when a process starts
        os.execve(sys.executable, [sys.executable, "-m", "nano.train", *sys.argv[1:]], os.environ | ALLOCATOR)
    given.work.mkdir(parents=True, exist_ok=True)
    if not given.further:
        train_tower(given.work, replace(TowerConfig(), steps=given.tower_steps), say=_say)
    elif (given.work / "tower.pt").exists() and not (given.work / f"{given.name}.pt").exists():
        _say(f"the shipped decoder reads WORK's tower: {begin_with_shipped(given.work, given.name):.1%} of what it read before is lost")
    config = replace(
        DecoderConfig(), steps=given.decoder_steps, levels=tuple(given.levels), details=tuple(given.details), rate=given.rate,
        says_times=given.says_times,
    )  # fmt: skip
    train_decoder(given.work, config, name=given.name, until=given.minutes * 60)
    export(given.work, given.tower, given.vlm, decoder=given.name)
    _say(f"wrote {given.tower} and {given.vlm}")


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()

"""nano: a video world whose truth is known, and a small model that knows only that world.

It exists so that a machine without a network can run the main job and measure it. It is not for real footage.
"""

from pathlib import Path

TOWER = Path(__file__).parent / "checkpoint" / "nano-tower"
"""A SigLIP: pictures and words in one space, and the patch tokens that the model reads."""
VLM = Path(__file__).parent / "checkpoint" / "nano"
"""A SmolVLM that answers over the tower's tokens."""
MARK = "footage nano world"
"""Written into the container of every film of this world."""

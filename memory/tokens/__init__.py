"""Operators on the tokens of pictures: what to merge, what to keep. Pure numpy, no randomness, ties go to the earlier token."""

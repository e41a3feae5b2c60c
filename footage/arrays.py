"""Array types. T frames, H x W pixels, P tokens per frame, D token width, E embedding width, N carriers, K tokens of one.

All shared arrays are numpy on the CPU; torch and devices stay inside encoders and answerers.
"""

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[np.uint8]  # (H, W, 3) or (T, H, W, 3), RGB
Tokens: TypeAlias = NDArray[np.float16]  # (K, D) or (T, P, D)
Embeds: TypeAlias = NDArray[np.float32]  # (E,) or (N, E), unit length (all zero: the encoder has nothing to say)
Seconds: TypeAlias = NDArray[np.float64]  # (N,), seconds since the recording began
Bools: TypeAlias = NDArray[np.bool_]
AnyArray: TypeAlias = NDArray[Any]


def frozen(array: AnyArray) -> AnyArray:
    """A view of the array that cannot be written through; nouns hand these out so that no stage edits another's data."""
    view = array.view()
    view.flags.writeable = False
    return view


def shape_text(array: AnyArray) -> str:
    """uint8(8, 240, 320, 3), for `__repr__`: the shape, never the data."""
    return f"{array.dtype}{array.shape}"


def is_square_grid(tokens: int) -> bool:
    """So many tokens are a square that can be halved in both directions."""
    side = math.isqrt(tokens)
    return tokens > 1 and side * side == tokens and side % 2 == 0


def halved(tokens: AnyArray) -> AnyArray:
    """(..., K, D) of square grids to (..., K / 4, D), each token the mean of a 2 x 2 square."""
    *frames, K, D = tokens.shape
    side = math.isqrt(K)
    return tokens.reshape(*frames, side // 2, 2, side // 2, 2, D).mean((-4, -2)).reshape(*frames, K // 4, D)

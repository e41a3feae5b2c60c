"""Array types. T frames, H x W pixels, P tokens per frame, D token width, E embedding width, N carriers, K tokens of one.

All shared arrays are numpy on the CPU; torch and devices stay inside encoders and answerers.
"""

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

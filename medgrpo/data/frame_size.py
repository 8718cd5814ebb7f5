"""At which size a frame is shown: whole patches within a token budget, the picture's aspect kept.

A model sees a grid of patches, and few grids have the aspect of a video: within 8 tokens, 16:9 is 2x4 at
best, an eighth too wide. So where no grid comes close, the picture is scaled with its aspect kept, and lies
in the middle of a slightly larger, black frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from medgrpo.errors import ClipError

__all__ = ["MAX_ASPECT", "FrameLayout", "fit_frame"]

MAX_ASPECT = 200.0
"""Longest side over shortest side that Qwen-VL processors accept."""


@dataclass(frozen=True, slots=True)
class FrameLayout:
    """Where the picture lies in the frame that a model sees, in pixels.

    Attributes:
        height: Of the frame, a multiple of the policy's factor.
        width: Of the frame, a multiple of the policy's factor.
        picture_height: Of the picture in it, at most ``height``.
        picture_width: Of the picture in it, at most ``width``.
    """

    height: int
    width: int
    picture_height: int
    picture_width: int

    @property
    def top(self) -> int:
        """Rows above the picture."""
        return (self.height - self.picture_height) // 2

    @property
    def left(self) -> int:
        """Columns to the left of the picture."""
        return (self.width - self.picture_width) // 2

    @property
    def filled(self) -> bool:
        """Whether the picture is the whole frame."""
        return (self.picture_height, self.picture_width) == (self.height, self.width)

    def place(self, pictures: np.ndarray) -> np.ndarray:
        """Lay pictures into black frames.

        Args:
            pictures: uint8 ``[..., picture_height, picture_width]``.

        Returns:
            uint8 ``[..., height, width]``; the argument itself where it fills the frame.
        """
        if self.filled:
            return pictures
        frames = np.zeros((*pictures.shape[:-2], self.height, self.width), dtype=pictures.dtype)
        rows = slice(self.top, self.top + self.picture_height)
        frames[..., rows, self.left : self.left + self.picture_width] = pictures
        return frames


@lru_cache(maxsize=4096)
def fit_frame(
    height: int, width: int, *, factor: int, min_tokens: int, max_tokens: int, aspect_tolerance: float
) -> FrameLayout:
    """The layout that shows most of a frame within a token budget.

    Of the grids within the budget, the one whose picture comes closest to the frame's own area, or to the
    nearer bound of the budget where that is outside. A grid whose aspect is off by no more than the tolerance
    is filled, in any other the picture keeps the frame's aspect, up to half a pixel of rounding.

    Args:
        height: Of the stored frame, pixels.
        width: Of the stored frame, pixels.
        factor: Pixels that a token's side covers.
        min_tokens: Smallest grid in tokens.
        max_tokens: Largest grid in tokens, at least ``min_tokens``.
        aspect_tolerance: Largest change of width over height that a picture may suffer, as a share.

    Raises:
        ClipError: If a side is below one pixel or the aspect ratio is beyond 200.
    """
    if min(height, width) < 1 or max(height, width) / min(height, width) > MAX_ASPECT:
        raise ClipError(
            f"cannot show a frame of {width}x{height} pixels: the aspect ratio is beyond {MAX_ASPECT:g}"
        )
    rows, columns = _grids(min_tokens, max_tokens)
    change = np.maximum(rows * width / (columns * height), columns * height / (rows * width)) - 1
    fills = change <= aspect_tolerance + 1e-9
    scale = np.minimum(rows / height, columns / width)
    area = np.where(fills, rows * columns, scale**2 * height * width)
    wanted = min(max(height * width / factor**2, min_tokens), max_tokens)
    miss = np.round(np.abs(np.log(area / wanted)), 9)
    best = int(np.lexsort((change, rows * columns, miss))[0])
    shown = int(rows[best]) * factor, int(columns[best]) * factor
    if fills[best]:
        return FrameLayout(*shown, *shown)
    picture = (max(1, round(float(side * scale[best] * factor))) for side in (height, width))
    return FrameLayout(*shown, *picture)


def _grids(min_tokens: int, max_tokens: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of all grids within the budget."""
    most = max_tokens // np.arange(1, max_tokens + 1)
    rows = np.repeat(np.arange(1, max_tokens + 1), most)
    columns = np.arange(len(rows)) - np.repeat(np.cumsum(most) - most, most) + 1
    roomy = rows * columns >= min_tokens
    return rows[roomy], columns[roomy]

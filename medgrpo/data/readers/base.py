"""What every reader of frames does, and the one error it raises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from medgrpo.errors import ClipError

__all__ = ["FrameReader", "Overlay", "VideoError", "check_indices", "resize_frame"]

Overlay = Callable[[int, np.ndarray], np.ndarray]
"""From a frame's index in its clip and its stored pixels (uint8 ``[H, W, 3]``) to what is shown instead."""


class VideoError(ClipError):
    """A file of frames cannot be used.

    Args:
        path: The file.
        problem: What is wrong with it, and where in the clip.
    """

    def __init__(self, path: Path | str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = Path(path)
        self.problem = problem

    def __reduce__(self) -> tuple[type[VideoError], tuple[Path, str]]:
        return VideoError, (self.path, self.problem)  # crosses the process border of data workers


class FrameReader(Protocol):
    """Reads the frames of one clip. Holds no open file between calls, so it may cross processes."""

    def times(self) -> np.ndarray:
        """Seconds from the clip's start of each frame there is, float64 ``[N]``, not decreasing."""
        ...

    def size(self) -> tuple[int, int]:
        """Height and width in pixels of the stored frames as displayed."""
        ...

    def read(
        self, indices: Sequence[int] | np.ndarray, height: int, width: int, overlay: Overlay | None = None
    ) -> np.ndarray:
        """Read frames at a size.

        Args:
            indices: Positions in :meth:`times`, in any order, repetitions allowed, ``[T]``.
            height: Pixels of the result.
            width: Pixels of the result.
            overlay: Draws on a frame before it is resized.

        Returns:
            RGB, uint8 ``[T, 3, height, width]``.

        Raises:
            VideoError: If a file is missing, broken or of another size than the clip's first frame.
        """
        ...

    def identity(self, indices: Sequence[int] | np.ndarray = ()) -> str:
        """What the pixels at some positions depend on, cheaply: paths, sizes and modification times."""
        ...

    def content(self, indices: Sequence[int] | np.ndarray) -> str:
        """What the pixels at some positions depend on, wherever the files are: their SHA-256."""
        ...


def resize_frame(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize one frame by bicubic interpolation with antialiasing, the same way for every reader.

    Args:
        frame: uint8 ``[H, W, 3]``.
        height: Pixels.
        width: Pixels.

    Returns:
        uint8 ``[3, height, width]``.
    """
    if frame.shape[:2] == (height, width):  # nothing to do, and PyTorch takes seconds to load
        return np.ascontiguousarray(frame.transpose(2, 0, 1))
    import torch
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2.functional import resize

    pixels = torch.from_numpy(np.require(frame, np.uint8, ["C", "W"])).permute(2, 0, 1)
    resized: torch.Tensor = resize(
        pixels, [height, width], interpolation=InterpolationMode.BICUBIC, antialias=True
    )
    return resized.numpy()


def check_indices(indices: Sequence[int] | np.ndarray, count: int) -> np.ndarray:
    """Frame positions as int64, none of them outside ``0..count - 1``.

    Raises:
        IndexError: If a position is outside, which is a defect of the caller.
    """
    positions = np.asarray(indices, dtype=np.int64)
    if positions.size and not (positions.min() >= 0 and positions.max() < count):
        raise IndexError(f"frame {positions.min()}..{positions.max()} asked for, the clip has {count}")
    return positions

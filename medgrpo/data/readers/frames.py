"""Lists of image files with their times: how MedVidBench ships its clips.

JPEG files are decoded in full. libjpeg can also decode to a half, a quarter or an eighth, which was measured
1.6 to 2.8 times faster from 480p, 720p and 1080p to a model's sizes; but then pixels differ by 0.4 to 1.0 of
255 on the mean and by up to 41, and a clip would not look the same as images and as a video file. A cache,
which changes nothing, saves far more from the second reading on.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from medgrpo.data.readers.base import Overlay, VideoError, check_indices, resize_frame
from medgrpo.types import Clip

__all__ = ["FrameListReader", "read_image"]


class FrameListReader:
    """Reads the image files of a clip through Pillow.

    Args:
        clip: A clip with ``frames``.
    """

    def __init__(self, clip: Clip) -> None:
        self.clip = clip

    def times(self) -> np.ndarray:
        """The clip's own times, which the records file gave."""
        return np.asarray(self.clip.times, dtype=np.float64)

    def size(self) -> tuple[int, int]:
        """Height and width of the first frame, from its header.

        Raises:
            VideoError: If it is missing or not an image.
        """
        return self._open(0, header_only=True).shape[:2]

    def read(
        self, indices: Sequence[int] | np.ndarray, height: int, width: int, overlay: Overlay | None = None
    ) -> np.ndarray:
        """Read frames at a size; see :class:`~medgrpo.data.readers.base.FrameReader`.

        Raises:
            VideoError: If a file is missing, broken or of another size than the first one.
        """
        positions = check_indices(indices, len(self.clip.frames))
        out = np.empty((len(positions), 3, height, width), dtype=np.uint8)
        expected = self.size() if len(positions) else (0, 0)
        for slot, index in enumerate(positions.tolist()):
            if slot and index == positions[slot - 1]:
                out[slot] = out[slot - 1]
                continue
            frame = self._open(index)
            if frame.shape[:2] != expected:
                raise VideoError(
                    self.clip.frames[index],
                    f"frame {index} of the clip is {frame.shape[1]}x{frame.shape[0]}, the first one is "
                    f"{expected[1]}x{expected[0]}; all frames of a clip must have one size",
                )
            if overlay is not None:
                frame = overlay(index, frame)
            out[slot] = resize_frame(frame, height, width)
        return out

    def identity(self, indices: Sequence[int] | np.ndarray = ()) -> str:
        """Hash of the paths, sizes and modification times of the first file and of those at ``indices``.

        Raises:
            VideoError: If one of them is missing.
        """
        parts = []
        for index in self._distinct(indices):
            path = self.clip.frames[index]
            try:
                found = path.stat()
            except OSError as error:
                raise VideoError(
                    path, f"frame {index} of the clip cannot be opened: {error.strerror}"
                ) from error
            parts.append(f"{path}\0{found.st_size}\0{found.st_mtime_ns}\0")
        return f"frames:{hashlib.sha256(''.join(parts).encode()).hexdigest()}"

    def content(self, indices: Sequence[int] | np.ndarray) -> str:
        """SHA-256 over the SHA-256 of the first file and of those at ``indices``.

        Raises:
            VideoError: If one of them cannot be read.
        """
        digest = hashlib.sha256()
        for index in self._distinct(indices):
            path = self.clip.frames[index]
            try:
                digest.update(hashlib.sha256(path.read_bytes()).digest())
            except OSError as error:
                raise VideoError(
                    path, f"frame {index} of the clip cannot be read: {error.strerror}"
                ) from error
        return f"frames:{digest.hexdigest()}"

    def _distinct(self, indices: Sequence[int] | np.ndarray) -> list[int]:
        """The first frame, whose size all others must have, and the wanted ones."""
        positions = check_indices(indices, len(self.clip.frames))
        return np.unique(np.append(positions, 0)).astype(int).tolist()

    def _open(self, index: int, header_only: bool = False) -> np.ndarray:
        return read_image(self.clip.frames[index], f"frame {index} of the clip", header_only)


def read_image(path: Path, name: str, header_only: bool = False) -> np.ndarray:
    """An image file as RGB.

    Args:
        path: The file.
        name: What it is, for messages: ``frame 3 of the clip``.
        header_only: Read its size alone; all pixels are 0.

    Returns:
        uint8 ``[H, W, 3]``, not to be written to.

    Raises:
        VideoError: If it is missing, no regular file, no image, too large or broken.
    """
    from PIL import Image

    try:
        if not stat.S_ISREG(mode := path.stat().st_mode):
            kind = "is a directory, not an image" if stat.S_ISDIR(mode) else "is not a regular file"
            raise VideoError(path, f"{name} {kind}")  # a pipe would be waited on for ever
        with Image.open(path) as image:
            if header_only:
                return np.broadcast_to(np.uint8(0), (image.height, image.width, 3))
            return np.asarray(image.convert("RGB"))
    except FileNotFoundError:
        raise VideoError(path, f"{name} is missing") from None
    except Image.UnidentifiedImageError as error:
        raise VideoError(path, f"{name} is not an image that Pillow can read") from error
    except Image.DecompressionBombError as error:
        raise VideoError(path, f"{name} is too large: {error}") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise VideoError(path, f"{name} is broken: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__

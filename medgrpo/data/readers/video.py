"""What all decoders of video files share: the clip's span and clock, the order of requests, resizing.

A decoder subclasses :class:`VideoFileReader` and yields the frames at given presentation times; times and
sizes come from the scan of the packets, so that every decoder is asked for, and told, the same moments.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np

from medgrpo.data.readers.base import Overlay, VideoError, check_indices, resize_frame
from medgrpo.data.readers.timeline import Timeline, file_stamp, timeline_of
from medgrpo.types import Clip

__all__ = ["VideoFileReader"]

EDGE = 1e-6
"""Seconds by which a frame may miss the clip's bounds: rounding of decimal seconds to time bases."""


class VideoFileReader(ABC):
    """Reads a span of a video file.

    Args:
        clip: A clip with ``video``, and where in it the clip starts and ends.
    """

    name: ClassVar[str]
    """Of the backend, as ``video_backend`` gives it."""

    def __init__(self, clip: Clip) -> None:
        if clip.video is None:
            raise ValueError(f"{type(self).__name__} reads video files, the clip is a list of frames")
        self.clip = clip
        self.path = clip.video

    @abstractmethod
    def _decode(self, targets: np.ndarray) -> Iterator[np.ndarray]:
        """Decode the frames at given presentation times.

        Args:
            targets: Increasing, in time-base units, all of them of the timeline.

        Yields:
            RGB as displayed, uint8 ``[H, W, 3]``, in the order of ``targets``.

        Raises:
            VideoError: If one of them cannot be decoded.
        """

    def times(self) -> np.ndarray:
        """Seconds from the clip's start of each shown frame within the clip.

        Raises:
            VideoError: If the file cannot be read or shows no frame within the clip.
        """
        return self._timeline.seconds[self._span] - self.clip.start

    def size(self) -> tuple[int, int]:
        """Height and width as displayed, rotation applied.

        Raises:
            VideoError: If the file cannot be read.
        """
        return self._timeline.height, self._timeline.width

    def identity(self, indices: Sequence[int] | np.ndarray = ()) -> str:
        """Path, size and modification time of the file and the bounds of the clip.

        Raises:
            VideoError: If the file is missing.
        """
        size, modified = file_stamp(self.path)
        return f"{self.name}:{self.path}:{size}:{modified}:{self.clip.start}:{self.clip.end}"

    def content(self, indices: Sequence[int] | np.ndarray) -> str:
        """SHA-256 of the file, the decoder and the bounds of the clip.

        Raises:
            VideoError: If the file cannot be read.
        """
        digest = _digest(self.path, *file_stamp(self.path))
        return f"{self.name}:{digest}:{self.clip.start}:{self.clip.end}"

    def read(
        self, indices: Sequence[int] | np.ndarray, height: int, width: int, overlay: Overlay | None = None
    ) -> np.ndarray:
        """Read frames at a size; see :class:`~medgrpo.data.readers.base.FrameReader`.

        Frames are resized one by one as they are decoded: memory is the result and one stored frame.

        Raises:
            VideoError: If the file is broken at one of the frames.
        """
        span = self._span
        positions = check_indices(indices, span.stop - span.start)
        out = np.empty((len(positions), 3, height, width), dtype=np.uint8)
        wanted, slots = np.unique(positions, return_inverse=True)
        if not len(wanted):
            return out
        stored = self.stored(wanted, overlay)
        for order in range(len(wanted)):
            # No name for the stored frame: it would be kept while the next one is decoded.
            out[slots == order] = resize_frame(next(stored), height, width)
        return out

    def stored(
        self, indices: Sequence[int] | np.ndarray, overlay: Overlay | None = None
    ) -> Iterator[np.ndarray]:
        """Decode frames in one pass, at their stored size.

        Args:
            indices: Positions in :meth:`times`, increasing.
            overlay: Draws on a frame.

        Yields:
            RGB, uint8 ``[H, W, 3]``, in memory that is used again once the array is gone.

        Raises:
            VideoError: If the file is broken at one of the frames, after those before it.
        """
        span = self._span
        positions = check_indices(indices, span.stop - span.start)
        decoded = self._decode(self._timeline.pts[span][positions])
        for index in positions.tolist():
            yield self._shown(next(decoded), index, overlay)

    def _shown(self, frame: np.ndarray, index: int, overlay: Overlay | None) -> np.ndarray:
        """Check a decoded frame's size and draw on it."""
        height, width = self.size()
        if frame.shape[:2] != (height, width):
            raise VideoError(
                self.path,
                f"frame {index} of the clip is {frame.shape[1]}x{frame.shape[0]}, the first one is "
                f"{width}x{height}; re-encode the file at one size",
            )
        return frame if overlay is None else overlay(index, frame)

    @cached_property
    def _timeline(self) -> Timeline:
        return timeline_of(self.path)

    @cached_property
    def _span(self) -> slice:
        """The frames of the file that are within the clip."""
        seconds = self._timeline.seconds
        end = np.inf if self.clip.end is None else self.clip.end
        first = int(np.searchsorted(seconds, self.clip.start - EDGE, side="left"))
        last = int(np.searchsorted(seconds, end + EDGE, side="right"))
        if first >= last:
            raise VideoError(
                self.path,
                f"shows no frame between {self.clip.start:g} and {end:g} s; it lasts {seconds[-1]:.3f} s",
            )
        return slice(first, last)


@lru_cache(maxsize=1024)
def _digest(path: Path, size: int, modified: int) -> str:
    """SHA-256 of a file, remembered while its size and modification time are unchanged."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise VideoError(path, f"cannot be read: {error.strerror}") from error

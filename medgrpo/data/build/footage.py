"""The frames of a source video, read in one pass; one that cannot be read does not hide the others.

A frame that is a plain JPEG file already is handed on as it is: encoding it again would cost time and
quality. One with camera notes (EXIF, comments: device, place, day) is not, for those may tell whose it is.
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from medgrpo.data.readers import VIDEO_BACKENDS, VideoError, check_backend
from medgrpo.data.readers.frames import read_image
from medgrpo.data.readers.video import VideoFileReader
from medgrpo.errors import ClipError
from medgrpo.types import Clip

__all__ = ["Footage", "ReadFrame", "open_footage"]

GIVE_UP = 20
"""Frames in a row that cannot be decoded, after which the rest of a video file is not tried: each failure may
cost a decoding from the start."""

PLAIN_MARKERS = frozenset({"APP0", "APP14"})
"""Parts of a JPEG file that tell how to decode it; all others tell where it comes from."""

_LOOK = 160
"""Pixels of the longer side at which a file that is handed on as it is gets looked at, at least."""


@dataclass(frozen=True, slots=True, eq=False)
class ReadFrame:
    """A frame of the footage.

    Attributes:
        pixels: RGB, uint8 ``[H, W, 3]``; smaller than stored where ``content`` is given.
        content: JPEG file that holds it, if it may be stored as it is.
    """

    pixels: np.ndarray
    content: bytes | None = None


class Footage(ABC):
    """The frames of a source video."""

    @abstractmethod
    def times(self) -> np.ndarray:
        """Seconds of the source video of each frame there is, float64 ``[N]``, not decreasing."""

    @abstractmethod
    def size(self) -> tuple[int, int]:
        """Height and width of the frames as displayed, pixels."""

    @abstractmethod
    def read(self, indices: Sequence[int]) -> Iterator[ReadFrame | str]:
        """Read frames one after the other.

        Args:
            indices: Positions in :meth:`times`, increasing.

        Yields:
            For each of them the frame, or why it cannot be read.
        """


def open_footage(clip: Clip, video_backend: str = "pyav") -> Footage:
    """The footage of a source video.

    Args:
        clip: Image files with their times, or a video file.
        video_backend: Decoder of video files.

    Raises:
        UserError: If there is no such decoder, or it is not installed.
        ClipError: If none of the frames can be read.
    """
    if clip.frames:
        return _ImageFiles(clip)
    return _VideoFile(VIDEO_BACKENDS[check_backend(video_backend)](clip))


class _ImageFiles(Footage):
    def __init__(self, clip: Clip) -> None:
        self._clip = clip
        self._size = self._first_size()

    def times(self) -> np.ndarray:
        return np.asarray(self._clip.times, dtype=np.float64)

    def size(self) -> tuple[int, int]:
        return self._size

    def read(self, indices: Sequence[int]) -> Iterator[ReadFrame | str]:
        for index in indices:
            try:
                yield self._frame(index)
            except VideoError as error:
                yield str(error)

    def _frame(self, index: int) -> ReadFrame:
        path = self._clip.frames[index]
        if path.suffix.lower() in (".jpg", ".jpeg"):
            frame = self._as_it_is(index)
            if frame is not None:
                return frame
        pixels = read_image(path, "the frame")
        if pixels.shape[:2] != self._size:
            shown = f"{self._size[1]}x{self._size[0]}"
            raise VideoError(path, f"is {pixels.shape[1]}x{pixels.shape[0]}, the first frame is {shown}")
        return ReadFrame(pixels)

    def _as_it_is(self, index: int) -> ReadFrame | None:
        """A plain JPEG file of the right size; None for any other, which is then read with care."""
        try:
            content = self._clip.frames[index].read_bytes()
            with Image.open(io.BytesIO(content)) as image:
                plain = image.format == "JPEG" and image.mode == "RGB"
                if not plain or (image.height, image.width) != self._size or not _bare(image):
                    return None
                image.draft("RGB", (_LOOK, _LOOK))  # the whole file is read, so that a cut one is noticed
                return ReadFrame(np.asarray(image.convert("RGB")), content)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            return None

    def _first_size(self) -> tuple[int, int]:
        problem: VideoError | None = None
        for path in self._clip.frames:
            try:
                height, width = read_image(path, "the frame", header_only=True).shape[:2]
            except VideoError as error:
                problem = problem or error
            else:
                return height, width
        raise ClipError(f"none of the {len(self._clip.frames)} frames can be read ({problem})")


def _bare(image: Image.Image) -> bool:
    """Whether a JPEG file holds nothing but the picture."""
    markers: list[tuple[str, bytes]] = getattr(image, "applist", [])
    return all(name in PLAIN_MARKERS for name, _ in markers)


class _VideoFile(Footage):
    def __init__(self, reader: VideoFileReader) -> None:
        self._reader = reader
        self._start = reader.clip.start
        self._size = reader.size()

    def times(self) -> np.ndarray:
        return self._reader.times() + self._start

    def size(self) -> tuple[int, int]:
        return self._size

    def read(self, indices: Sequence[int]) -> Iterator[ReadFrame | str]:
        left = list(indices)
        failures = 0
        while left and failures < GIVE_UP:
            decoded = self._reader.stored(left)
            while left:
                try:
                    frame = ReadFrame(next(decoded))
                except VideoError as error:
                    yield str(error)
                    del left[0]
                    failures += 1
                    break
                yield frame
                del left[0], frame
                failures = 0
        for _ in left:
            yield f"{self._reader.path}: not tried, as {GIVE_UP} frames in a row could not be decoded"

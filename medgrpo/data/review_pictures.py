"""The pictures of a clip for a person to look at: of one size, a card in place of each that cannot be read.

Training refuses a clip with a broken frame. A clinician is better served by the rest of the clip, as long as
nobody can take the gap for something that was seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from medgrpo.data.readers import FrameReader, VideoError, open_reader
from medgrpo.data.readers.frames import read_image
from medgrpo.errors import ClipError
from medgrpo.types import Clip

__all__ = ["MAX_HEIGHT", "MAX_WIDTH", "ReviewPictures", "open_pictures", "review_size"]

MAX_HEIGHT = 480
"""Pixels; a higher picture is made smaller."""

MAX_WIDTH = 1280
"""Pixels; a wider picture is made smaller."""

_TOGETHER = 32
"""Frames of a video file that are decoded after one seek."""

_CARD, _CARD_EDGE, _CARD_TEXT = (38, 42, 48), (230, 159, 0), (240, 240, 240)


class ReviewPictures(Protocol):
    """Reads pictures of one size.

    Attributes:
        height: Pixels, even.
        width: Pixels, even.
        stored: Height and width in pixels of the clip's frames as they are stored.
        missing: What is wrong, by position of the frame, of those read so far.
        reshaped: Positions of the frames read so far that have another shape and stand between borders.
    """

    height: int
    width: int
    stored: tuple[int, int]
    missing: dict[int, str]
    reshaped: list[int]

    def read(self, indices: Sequence[int]) -> Iterator[np.ndarray]:
        """The pictures at increasing positions, uint8 ``[H, W, 3]``; a card where there is none."""
        ...


def review_size(height: int, width: int) -> tuple[int, int]:
    """Height and width in pixels of the film of frames of a size: even, since colours are stored at half."""
    scale = min(1.0, MAX_HEIGHT / height, MAX_WIDTH / width)
    return max(2, 2 * round(height * scale / 2)), max(2, 2 * round(width * scale / 2))


def open_pictures(clip: Clip) -> tuple[np.ndarray, ReviewPictures]:
    """When the frames of a clip were taken (seconds from its start, ``[N]``), and what reads them.

    Raises:
        ClipError: If no image file, or nothing of the video file, can be read.
    """
    if clip.video is None:
        return np.asarray(clip.times, dtype=np.float64), _Files(clip)
    reader = open_reader(clip)
    return reader.times(), _Span(reader)


@dataclass
class _Files:
    """Of image files; the first one that can be read says the size."""

    clip: Clip
    missing: dict[int, str] = field(default_factory=dict)
    reshaped: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stored = self._first_size()
        self.height, self.width = review_size(*self.stored)

    def _first_size(self) -> tuple[int, int]:
        problem = ""
        for index, path in enumerate(self.clip.frames):
            try:
                height, width = read_image(path, f"frame {index} of the clip").shape[:2]
            except VideoError as error:
                problem = problem or str(error)
            else:
                return height, width
        raise ClipError(f"none of the {len(self.clip.frames)} frames of the clip can be read ({problem})")

    def read(self, indices: Sequence[int]) -> Iterator[np.ndarray]:
        path: Path | None = None
        found: _Found | None = None
        for index in indices:
            if found is None or path != self.clip.frames[index]:
                path = self.clip.frames[index]
                found = self._found(path, index)
            if found.problem is not None:
                self.missing[index] = found.problem
            if found.reshaped:
                self.reshaped.append(index)
            yield found.picture

    def _found(self, path: Path, index: int) -> _Found:
        try:
            frame = read_image(path, f"frame {index} of the clip")
        except VideoError as error:
            return _Found(_card(self.height, self.width), problem=str(error))
        picture = _fitted(frame, self.stored, self.height, self.width)
        return _Found(picture, reshaped=not _same_shape(frame.shape[:2], self.stored))


@dataclass(frozen=True)
class _Found:
    """What is shown for an image file, and why it is not the frame."""

    picture: np.ndarray
    problem: str | None = None
    reshaped: bool = False


@dataclass
class _Span:
    """Of a span of a video file."""

    reader: FrameReader
    missing: dict[int, str] = field(default_factory=dict)
    reshaped: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stored = self.reader.size()
        self.height, self.width = review_size(*self.stored)

    def read(self, indices: Sequence[int]) -> Iterator[np.ndarray]:
        for first in range(0, len(indices), _TOGETHER):
            together = indices[first : first + _TOGETHER]
            try:
                yield from self._decoded(together)
            except VideoError:  # one of them at least: each is asked for alone
                yield from map(self._picture, together)

    def _picture(self, index: int) -> np.ndarray:
        try:
            return self._decoded([index])[0]
        except VideoError as error:
            self.missing[index] = str(error)
            return _card(self.height, self.width)

    def _decoded(self, indices: Sequence[int]) -> list[np.ndarray]:
        pixels = self.reader.read(indices, self.height, self.width)
        return [frame.transpose(1, 2, 0) for frame in pixels]


def _same_shape(one: tuple[int, ...], other: tuple[int, int]) -> bool:
    """Whether two sizes differ in scale alone, but for a pixel."""
    return abs(one[0] * other[1] - one[1] * other[0]) <= max(other)


def _fitted(frame: np.ndarray, stored: tuple[int, int], height: int, width: int) -> np.ndarray:
    """A frame in the size of the film; one of another shape keeps it, between black borders."""
    from PIL import Image

    picture = Image.fromarray(frame)
    if _same_shape(frame.shape[:2], stored):
        return np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0))
    scale = min(height / frame.shape[0], width / frame.shape[1])
    inner = max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale))
    canvas = Image.new("RGB", (width, height))
    canvas.paste(
        picture.resize(inner, Image.Resampling.LANCZOS, reducing_gap=3.0),
        ((width - inner[0]) // 2, (height - inner[1]) // 2),
    )
    return np.asarray(canvas)


def _card(height: int, width: int) -> np.ndarray:
    """What is shown in place of a frame that cannot be read."""
    from PIL import Image, ImageDraw, ImageFont

    card = Image.new("RGB", (width, height), _CARD)
    draw = ImageDraw.Draw(card)
    edge = max(1, min(height, width) // 40)
    draw.rectangle((0, 0, width - 1, height - 1), outline=_CARD_EDGE, width=edge)
    font = ImageFont.load_default(max(8.0, min(height / 8, width / 10)))
    draw.text((width / 2, height / 2), "Frame missing", _CARD_TEXT, font, anchor="mm")
    return np.asarray(card)

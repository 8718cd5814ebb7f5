"""Small pictures of a clip as ``data:`` URIs: decoded and encoded again, no file is served.

What a shard names as a frame is opened as a picture or not at all, so that a forged path shows nothing.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medgrpo.data.readers import open_reader
from medgrpo.errors import UserError
from medgrpo.types import Clip

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["HEIGHT", "Picture", "evenly", "pictures", "seen_times"]

HEIGHT = 150
"""Pixels of a small picture."""

_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF")
_Encoded = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Picture:
    """A frame of a clip.

    Attributes:
        time: Seconds from the clip's start.
        path: The frame's file as stored; empty for a frame of a video file.
        uri: ``data:`` URI; None if the file is missing or no picture.
        width: Of the stored frame in pixels; 0 if there is no picture.
        height: As ``width``.
    """

    time: float
    path: str = ""
    uri: str | None = None
    width: int = 0
    height: int = 0


def evenly(count: int, at_most: int) -> list[int]:
    """Indices of at most so many of ``count`` things, first and last among them."""
    if count <= at_most:
        return list(range(count))
    return [round(k * (count - 1) / (at_most - 1)) for k in range(at_most)]


def seen_times(row: Mapping[str, Any]) -> list[float]:
    """Times of the frames that the model was shown, once each, in order."""
    return sorted(set(row["seen_times"])) or [frame["time"] for frame in row["frames"]]


def pictures(row: Mapping[str, Any], times: Sequence[float], base: Path) -> list[Picture]:
    """The frame nearest to each time.

    Args:
        row: A stored row.
        times: Seconds from the clip's start.
        base: Folder that relative paths start from.
    """
    if row["video_path"] is not None:
        return _of_video(row, times, base / row["video_path"])
    found = []
    for time in times:
        frame = _nearest(row["frames"], time)
        try:
            encoded = _of_file(base / frame["path"])
        except (OSError, ValueError, SyntaxError):  # the page says how many pictures are missing
            found.append(Picture(frame["time"], frame["path"]))
        else:
            found.append(Picture(frame["time"], frame["path"], *encoded))
    return found


def _nearest(frames: Sequence[dict[str, Any]], time: float) -> dict[str, Any]:
    return min(frames, key=lambda frame: abs(frame["time"] - time))


def _of_video(row: Mapping[str, Any], times: Sequence[float], path: Path) -> list[Picture]:
    clip = Clip(video=path, fps=row["clip_fps"], start=row["clip_start"], end=row["clip_end"])
    try:
        encoded = _of_clip(clip, tuple(times))
    except UserError:  # as above
        return [Picture(time) for time in times]
    return [Picture(time, "", *one) for time, one in zip(times, encoded, strict=True)]


@lru_cache(maxsize=2048)
def _of_file(path: Path) -> _Encoded:
    from PIL import Image

    try:
        with Image.open(path, formats=_FORMATS) as image:
            width, height = image.size
            image.draft("RGB", (width * HEIGHT // height, HEIGHT))
            return _encode(image.convert("RGB")), width, height
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from error


@lru_cache(maxsize=128)
def _of_clip(clip: Clip, times: tuple[float, ...]) -> tuple[_Encoded, ...]:
    from PIL import Image

    reader = open_reader(clip)
    there = reader.times()
    indices = [int(abs(there - time).argmin()) for time in times]
    height, width = reader.size()
    frames = reader.read(indices, HEIGHT, max(1, width * HEIGHT // height))
    return tuple((_encode(Image.fromarray(frame.transpose(1, 2, 0))), width, height) for frame in frames)


def _encode(image: Image) -> str:
    image.thumbnail((4 * HEIGHT, HEIGHT))
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()

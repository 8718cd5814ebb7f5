"""Small pictures of a clip's frames as ``data:`` URIs: decoded and encoded again, no file is served.

What a shard names as a frame is opened as a picture or not at all, so that a forged path shows nothing.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

__all__ = ["Thumbnail", "evenly", "nearest_frame", "seen_frames", "thumbnail"]

Thumbnail = tuple[str, int, int]
"""A ``data:`` URI and the width and height of the stored frame in pixels."""

_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF")


@lru_cache(maxsize=2048)
def thumbnail(path: Path, height: int = 150) -> Thumbnail | None:
    """A frame scaled to a height in pixels; None if the file is missing or no picture."""
    from PIL import Image

    try:
        with Image.open(path, formats=_FORMATS) as image:
            width, full = image.size
            image.draft("RGB", (width * height // full, height))
            small = image.convert("RGB")
            small.thumbnail((4 * height, height))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    buffer = io.BytesIO()
    small.save(buffer, format="JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode(), width, full


def evenly(count: int, at_most: int) -> list[int]:
    """Indices of at most so many of ``count`` things, first and last among them."""
    if count <= at_most:
        return list(range(count))
    return [round(k * (count - 1) / (at_most - 1)) for k in range(at_most)]


def nearest_frame(frames: Sequence[dict[str, Any]], time: float) -> dict[str, Any] | None:
    """The frame (``path``, ``time``) that is nearest to a time in seconds."""
    return min(frames, key=lambda frame: abs(frame["time"] - time), default=None)


def seen_frames(row: dict[str, Any]) -> list[dict[str, Any]]:
    """The frames of a stored row that the model was shown, once each, in order."""
    found = [nearest_frame(row["frames"], time) for time in row["seen_times"]] or list(row["frames"])
    return list({frame["path"]: frame for frame in found if frame is not None}.values())

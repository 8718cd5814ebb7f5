"""Boxes of a build: from the canvas of the annotation to the stored frame and to that of the answers."""

from __future__ import annotations

from medgrpo.data.build.items import ClipPictures
from medgrpo.data.coordinates import CANVASES, FrameMap, canvas_of
from medgrpo.data.sources.annotations import SourceVideo
from medgrpo.errors import ClipError
from medgrpo.types import Box, Canvas

__all__ = ["answer_box", "answer_canvas", "check_canvas", "stored_box"]

MAX_STRETCH = 0.02
"""Most that the aspects of canvas and frame may differ: 854x480 is 16:9 but for rounding."""


def answer_canvas(source: str) -> Canvas | None:
    """What boxes in the answers about a source refer to: a fixed canvas, or None for the stored frames."""
    return CANVASES.get(source)


def stored_box(box: Box, video: SourceVideo, pictures: ClipPictures) -> Box:
    """A box of the annotation on the stored frames. Nothing is cut off or rounded."""
    return FrameMap.to_frame(video.canvas, pictures.height, pictures.width).stored_from_canvas(box)


def answer_box(box: Box, video: SourceVideo, pictures: ClipPictures) -> Box:
    """A box of the annotation on the canvas that answers refer to. Nothing is cut off or rounded."""
    canvas = canvas_of(pictures.canvas, pictures.height, pictures.width)
    return FrameMap.to_frame(video.canvas or canvas, canvas.height, canvas.width).stored_from_canvas(box)


def check_canvas(canvas: Canvas | None, height: int, width: int) -> None:
    """Refuse footage that does not show what the boxes were drawn on.

    Args:
        canvas: What the boxes refer to; None where there are none.
        height: Of the footage as displayed, pixels.
        width: Of the footage as displayed, pixels.

    Raises:
        ClipError: If the shapes differ, for example because the footage is shown rotated by a quarter turn.
    """
    if canvas is None or _same_shape(canvas, height, width):
        return
    turned = "; it is rotated by a quarter turn" if _same_shape(canvas, width, height) else ""
    raise ClipError(
        f"the boxes refer to {canvas.width}x{canvas.height}, the footage is shown as {width}x{height}{turned}"
    )


def _same_shape(canvas: Canvas, height: int, width: int) -> bool:
    stretch = canvas.width * height / (canvas.height * width)
    return abs(stretch - 1) <= MAX_STRETCH

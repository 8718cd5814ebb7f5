"""The box that a region-caption question asks about, drawn on the frame before it is resized.

Boxes are in pixels of the sample's canvas; frames may be stored at another size. The box is mapped to the
stored frame and drawn there, so that it ends where the object is whatever size the model sees.
"""

from __future__ import annotations

import numpy as np

from medgrpo.data.coordinates import FrameMap, canvas_of
from medgrpo.data.readers.base import Overlay
from medgrpo.errors import UserError
from medgrpo.types import Box, Canvas, Sample

__all__ = ["draw_region", "region_index", "region_overlay"]

COLOUR = (0, 255, 0)
"""RGB of the outline in MedVidBench."""

LINE_SHARE = 8 / 1306
"""Outline width over the frame's longer side: the benchmark's 8 px on its 1306-pixel-wide frames."""

MAX_BOX_SHARE = 0.25
"""An outline is at most this share of the box's shorter side wide, so that it does not hide the object."""


def draw_region(frame: np.ndarray, box: Box, canvas: Canvas | None = None) -> np.ndarray:
    """Outline a box on a frame.

    Args:
        frame: RGB, uint8 ``[H, W, 3]``; not changed.
        box: Pixels of the canvas; parts outside of it are cut off.
        canvas: What the box refers to; None is the frame itself.

    Returns:
        The frame with the outline, whose width grows with the frame and lies inside the box.
    """
    height, width = frame.shape[:2]
    box = FrameMap.to_frame(canvas, height, width).stored_from_canvas(box)
    x1, x2 = (int(np.clip(round(x), 0, width - 1)) for x in (box.x1, box.x2))
    y1, y2 = (int(np.clip(round(y), 0, height - 1)) for y in (box.y1, box.y2))
    shorter = 1 + min(x2 - x1, y2 - y1)
    line = max(1, min(round(LINE_SHARE * max(height, width)), int(MAX_BOX_SHARE * shorter)))
    drawn = frame.copy()
    outline = drawn[y1 : y2 + 1, x1 : x2 + 1]
    outline[:line] = outline[-line:] = COLOUR
    outline[:, :line] = outline[:, -line:] = COLOUR
    return drawn


def region_index(sample: Sample) -> int:
    """Index in the clip of the frame that carries the box; the first one where its file repeats.

    Raises:
        UserError: If the sample has no region or its frame is not in the clip.
    """
    if sample.region is None:
        raise UserError(f"row {sample.row} ({sample.id}): it has no region to draw")
    try:
        return sample.clip.frames.index(sample.region.frame)
    except ValueError:
        raise UserError(
            f"row {sample.row}: field 'RC_info.start_frame': {sample.region.frame} is not a frame of the clip"
        ) from None


def region_overlay(sample: Sample, size: tuple[int, int] | None = None) -> Overlay:
    """What draws a sample's box on the frames that show its file.

    Args:
        sample: With a region.
        size: Height and width of the stored frames; when given, a box outside of them is refused.

    Raises:
        UserError: If the sample has no region, its frame is not in the clip, or its box is outside.
    """
    path = sample.clip.frames[region_index(sample)]
    assert sample.region is not None
    box, canvas = sample.region.box, sample.canvas
    if size is not None:
        whole = canvas_of(canvas, *size)
        if box.x1 >= whole.width or box.y1 >= whole.height or box.x2 <= 0 or box.y2 <= 0:
            raise UserError(
                f"row {sample.row}: field 'RC_info.start_frame_bbox': {list(box.xyxy)} is outside of the "
                f"{whole.width}x{whole.height} canvas"
            )

    def overlay(index: int, frame: np.ndarray) -> np.ndarray:
        return draw_region(frame, box, canvas) if sample.clip.frames[index] == path else frame

    return overlay

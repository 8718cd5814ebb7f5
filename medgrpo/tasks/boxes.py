"""Geometry of boxes: corner pairs ``(x1, y1, x2, y2)`` in pixels, origin at the top left."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["MAX_COORDINATE", "Corners", "generalised_iou", "iou", "proper"]

Corners = Sequence[float]

MAX_COORDINATE = 1e6
"""Pixels; what lies beyond is no box, and areas within stay exact enough for a ratio."""


def proper(box: Corners) -> bool:
    """Whether the four numbers are finite corners of a box with an area, of a sane size."""
    if len(box) != 4 or not all(math.isfinite(v) and abs(v) <= MAX_COORDINATE for v in box):
        return False
    return box[2] > box[0] and box[3] > box[1]


def iou(a: Corners, b: Corners) -> float:
    """Intersection over union of two proper boxes, in [0, 1]."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0.0 or height <= 0.0:
        return 0.0
    inter = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter
    # A subnormal box underflows to no area, and rounding can lift the ratio of equal boxes above 1.
    return min(1.0, inter / union) if union > 0.0 else 0.0


def generalised_iou(a: Corners, b: Corners) -> float:
    """IoU less the share of the hull that neither of two proper boxes covers, in [-1, 1]."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return iou(a, b) - (max(0.0, hull - union) / hull if hull > 0.0 else 0.0)

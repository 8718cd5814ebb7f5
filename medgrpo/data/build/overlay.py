"""Annotations drawn on frames for the models that write captions: boxes, labels, phase, triplets.

Only pictures that go to a writer are drawn on; the frames of the dataset stay plain. The box that a
region-caption question asks about is drawn as the benchmark draws it, a green outline without a label, by
:func:`medgrpo.data.regions.draw_region`: 8 pixels wide on the benchmark's frames of 1306 pixels, and in
proportion on others, just as in training.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from medgrpo.data.build.shown import Shown
from medgrpo.data.coordinates import FrameMap
from medgrpo.errors import MissingExtraError
from medgrpo.types import Canvas

__all__ = ["draw_shown"]

_MARGIN = 4
"""Pixels around a line of text."""

_BANNER, _LINES = (0, 90, 160), (40, 40, 40)
"""RGB behind the phase, and behind the triplets."""


def draw_shown(frame: np.ndarray, shown: Shown, canvas: Canvas | None = None) -> np.ndarray:
    """Draw what is annotated: boxes with labels, and at the bottom left the phase and the triplets.

    Labels stand above their boxes, so that nothing at the top may cover them.

    The colour of a box depends on its label alone, so that an instrument keeps it through a clip.

    Args:
        frame: RGB, uint8 ``[H, W, 3]``; not changed.
        shown: What is annotated.
        canvas: What the boxes refer to; None is the frame itself.

    Returns:
        A new frame of the same size.

    Raises:
        MissingExtraError: If supervision is not installed.
    """
    sv = _supervision()
    scene = np.ascontiguousarray(frame[..., ::-1])  # OpenCV's order of the channels
    height, width = scene.shape[:2]
    boxed = [instance for instance in shown.instances if instance.box is not None]
    scale = max(0.35, max(height, width) / 1600)
    if boxed:
        at = FrameMap.to_frame(canvas, height, width)
        corners = [at.stored_from_canvas(instance.box).xyxy for instance in boxed if instance.box]
        labels = [instance.label for instance in boxed]
        found = sv.Detections(
            xyxy=_within(corners, height, width),
            class_id=np.array([zlib.crc32(label.encode()) for label in labels], dtype=np.int64),
        )
        scene = sv.BoxAnnotator(thickness=max(2, round(4 * scale))).annotate(scene=scene, detections=found)
        annotator = sv.LabelAnnotator(
            text_scale=scale, text_padding=_MARGIN, text_color=sv.Color.BLACK, smart_position=True
        )
        scene = annotator.annotate(scene=scene, detections=found, labels=labels)
    lines = [(sentence, _LINES) for sentence in shown.sentences if shown.triplets]
    lines = [*((f"phase: {phase}", _BANNER) for phase in shown.phases), *lines]
    bottom = height
    for text, colour in reversed(lines):
        bottom = _line(sv, scene, text, bottom, scale, colour)
    return np.ascontiguousarray(scene[..., ::-1])


def _within(corners: Sequence[tuple[float, float, float, float]], height: int, width: int) -> np.ndarray:
    """Boxes cut at the border of the frame, whole pixels, ``[N, 4]``."""
    limits = np.array([width - 1, height - 1] * 2)
    return np.clip(np.round(np.asarray(corners, dtype=np.float64)), 0, limits)


def _line(
    sv: Any, scene: np.ndarray, text: str, bottom: int, scale: float, colour: tuple[int, int, int]
) -> int:
    """Write a line of text at the left border, smaller where it is long; where the line above it ends."""
    import cv2

    font = cv2.FONT_HERSHEY_SIMPLEX
    (wide, high), below = cv2.getTextSize(text, font, scale, 1)
    room = scene.shape[1] - 2 * _MARGIN
    if wide > room:
        scale *= room / wide
        (wide, high), below = cv2.getTextSize(text, font, scale, 1)
    top = bottom - (high + below + 2 * _MARGIN)
    area = sv.Rect(x=0, y=top, width=wide + 2 * _MARGIN, height=bottom - 1 - top)
    sv.draw_filled_rectangle(scene=scene, rect=area, color=sv.Color(*colour))
    cv2.putText(scene, text, (_MARGIN, top + _MARGIN + high), font, scale, (255, 255, 255), 1)
    return top


def _supervision() -> Any:
    try:
        import supervision
    except ModuleNotFoundError:
        raise MissingExtraError("supervision", "build") from None
    return supervision

"""Where a box is: on the canvas of its annotation, on the stored frame, in the frame that a model sees.

The one place that knows. A canvas is the pixel grid that the numbers in questions, answers and truths refer
to: that of the stored frames, but for sources with a fixed one (CholecTrack20's 854x480), whatever their
frames were stored as. Canvas and stored frame show the same picture, so a side is a side; in the frame that
the model sees, the picture may lie between borders (:class:`medgrpo.data.frame_size.FrameLayout`).
"""

from __future__ import annotations

from dataclasses import dataclass

from medgrpo.data.frame_size import FrameLayout
from medgrpo.types import Box, Canvas

__all__ = ["CANVASES", "FrameMap", "canvas_of"]

CANVASES: dict[str, Canvas] = {"CholecTrack20": Canvas(854, 480)}
"""Sources whose boxes refer to a fixed canvas, whatever the size of their stored frames."""


def canvas_of(canvas: Canvas | None, height: int, width: int) -> Canvas:
    """The canvas of a sample whose frames are stored at a size.

    Args:
        canvas: The sample's own, None where it has none.
        height: Of the stored frames, pixels.
        width: Of the stored frames, pixels.
    """
    return Canvas(width, height) if canvas is None else canvas


@dataclass(frozen=True, slots=True)
class FrameMap:
    """Moves boxes between the three. Nothing is cut off at a border and nothing is rounded.

    Attributes:
        canvas: What the boxes of the sample refer to.
        stored: Size of the stored frames.
        layout: What the model sees; the stored frame itself where no model is concerned.
    """

    canvas: Canvas
    stored: Canvas
    layout: FrameLayout

    @classmethod
    def to_frame(cls, canvas: Canvas | None, height: int, width: int) -> FrameMap:
        """The map of a sample to its stored frames of a size in pixels, drawn on as they are."""
        whole = FrameLayout(height, width, height, width)
        return cls(canvas_of(canvas, height, width), Canvas(width, height), whole)

    def stored_from_canvas(self, box: Box) -> Box:
        """A box of the annotation, or of an answer, on the stored frame."""
        return box.scaled(self.stored.width / self.canvas.width, self.stored.height / self.canvas.height)

    def model_from_stored(self, box: Box) -> Box:
        """A box of the stored frame in what the model sees."""
        layout = self.layout
        return box.scaled(
            layout.picture_width / self.stored.width, layout.picture_height / self.stored.height
        ).moved(layout.left, layout.top)

    def model_from_canvas(self, box: Box) -> Box:
        """A box of the annotation, or of an answer, in what the model sees."""
        return self.model_from_stored(self.stored_from_canvas(box))

    def canvas_from_model(self, box: Box) -> Box:
        """A box in pixels of what the model sees, as an answer gives it."""
        layout = self.layout
        return box.moved(-layout.left, -layout.top).scaled(
            self.canvas.width / layout.picture_width, self.canvas.height / layout.picture_height
        )

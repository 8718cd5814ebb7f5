"""How near an answered span or box is to the true one, also where they do not meet.

IoU is 0 for every miss, near or far, so a policy that never hits learns nothing from it. These measures rise
on the whole way to a hit. They shape rewards; what is reported stays IoU.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

from medgrpo.tasks import boxes, intervals
from medgrpo.tasks.boxes import Corners
from medgrpo.tasks.intervals import Span

__all__ = ["BoundaryDistance", "Closeness", "GeneralisedIoU"]


class Closeness(ABC):
    """A measure in [0, 1] that is 1 for equal extents only.

    Attributes:
        name: Versioned part of a metric's name.
    """

    name: ClassVar[str]

    @abstractmethod
    def spans(self, truth: Span, answer: Span) -> float:
        """Of two spans of time, neither of no length."""

    @abstractmethod
    def boxes(self, truth: Corners, answer: Corners) -> float:
        """Of two proper boxes."""


class GeneralisedIoU(Closeness):
    """Generalised IoU (Rezatofighi et al., CVPR 2019), moved from [-1, 1] to [0, 1].

    IoU less the share of the hull that neither covers; two that touch are at 0.5, one far away goes to 0.
    """

    name: ClassVar[str] = "giou"

    def spans(self, truth: Span, answer: Span) -> float:
        """See :class:`Closeness`."""
        return (intervals.generalised_iou(truth, answer) + 1.0) / 2.0

    def boxes(self, truth: Corners, answer: Corners) -> float:
        """See :class:`Closeness`."""
        return (boxes.generalised_iou(truth, answer) + 1.0) / 2.0


class BoundaryDistance(Closeness):
    """exp(-d), d the mean distance of the boundaries in lengths of the true extent.

    A span's boundaries are its ends, a box's its four sides, each in widths or heights of the true box. An
    answer that is off by its own length scores 1/e, wherever it lies.
    """

    name: ClassVar[str] = "boundary"

    def spans(self, truth: Span, answer: Span) -> float:
        """See :class:`Closeness`."""
        moved = abs(truth[0] - answer[0]) + abs(truth[1] - answer[1])
        return math.exp(-moved / 2.0 / (truth[1] - truth[0]))

    def boxes(self, truth: Corners, answer: Corners) -> float:
        """See :class:`Closeness`."""
        across = (abs(truth[0] - answer[0]) + abs(truth[2] - answer[2])) / (truth[2] - truth[0])
        down = (abs(truth[1] - answer[1]) + abs(truth[3] - answer[3])) / (truth[3] - truth[1])
        return math.exp(-(across + down) / 4.0)

"""When a clip's frames were, and which part of its source a clip covers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from medgrpo.data.fields import FieldError, number

__all__ = ["Extent", "frame_times", "parse_extent"]

CONVENTIONS: tuple[tuple[str, str, Literal["frames", "seconds"]], ...] = (
    ("input_video_start_frame", "input_video_end_frame", "frames"),
    ("start_frame", "end_frame", "frames"),
    ("input_video_start_time", "input_video_end_time", "seconds"),
)
"""The benchmark's three ways to say it: most sources, Cholec80_CVS, NurViD."""


@dataclass(frozen=True, slots=True)
class Extent:
    """The part of the source video that a clip covers.

    Attributes:
        start: Where it starts, in ``unit`` from the start of the source.
        end: Where it ends, at least ``start``.
        unit: ``frames`` of the source or ``seconds``.
    """

    start: float
    end: float
    unit: Literal["frames", "seconds"]


def parse_extent(metadata: Mapping[str, str]) -> Extent | None:
    """The extent in a row's metadata, by whichever convention it follows.

    Raises:
        FieldError: If a bound is missing, not a number or negative, or the extent ends before it starts.
    """
    for first, last, unit in CONVENTIONS:
        if first not in metadata and last not in metadata:
            continue
        bounds = []
        for name in (first, last):
            value = number(metadata.get(name))
            if not value >= 0:
                raise FieldError(
                    f"metadata.{name}", f"is {metadata.get(name)!r}; expected a number of {unit}"
                )
            bounds.append(value)
        if bounds[1] < bounds[0]:
            raise FieldError(f"metadata.{last}", f"{bounds[1]:g} is before {first} {bounds[0]:g}")
        return Extent(bounds[0], bounds[1], unit)
    return None


def frame_times(frame_ids: Sequence[int], fps: float) -> np.ndarray:
    """Seconds from the clip's start of each frame of a list.

    Ids count frames of the source, whose rate no record tells. A list that is a regular schedule rounded to
    whole ids (each within one id of it; repeated ids included) was asked for at ``fps``: frame k is at
    ``k / fps``. Otherwise strides are truly ragged, and the ids are scaled so that the typical stride, the
    median, lasts ``1 / fps``; rounding of strides by one id is averaged out where they are 4 ids or more.

    Args:
        frame_ids: ``sampled_video_frames``, not decreasing.
        fps: Rate of the list, frames a second.

    Returns:
        float64 ``[N]``, starting at 0, not decreasing; equal where a frame of a ragged list repeats.
    """
    ids = np.asarray(frame_ids, dtype=np.float64)
    order = np.arange(len(ids))
    regular = order / fps
    if len(ids) < 3:
        return regular
    schedule = ids[0] + order * (ids[-1] - ids[0]) / (len(ids) - 1)
    if (np.abs(ids - schedule) < 1).all():
        return regular
    strides = np.diff(ids)
    median = float(np.median(strides))
    typical = strides[np.abs(strides - median) <= min(1.0, median / 4)]
    stride = float(typical.mean()) if typical.size else median
    if stride <= 0:
        return regular  # mostly the same frame again: the ids tell no time
    return (ids - ids[0]) / (stride * fps)

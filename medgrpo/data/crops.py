"""A segment of a clip as a clip of its own: how a segment is seen more densely than the rest of its video.

Qwen2.5-VL knows one interval between frames a video, so two rates in one clip would tell it wrong times. A
crop has its own clock, and its offset leads from there back to the clip.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from medgrpo.errors import UserError
from medgrpo.types import Clip, Segment

__all__ = ["Crop", "crop_clip"]


@dataclass(frozen=True, slots=True)
class Crop:
    """A part of a clip.

    Attributes:
        clip: The part; its times start at 0.
        offset: Seconds of the whole clip at which they start.
    """

    clip: Clip
    offset: float

    def in_whole(self, segment: Segment) -> Segment:
        """A segment that was found in the crop, in seconds of the whole clip."""
        return replace(segment, start=segment.start + self.offset, end=segment.end + self.offset)


def crop_clip(clip: Clip, segment: Segment) -> Crop:
    """Cut a segment out of a clip.

    Args:
        clip: A list of frames, of which those within the segment are taken and the first one starts the
            clock; or a video file, whose span is narrowed.
        segment: In seconds from the start of the clip.

    Raises:
        UserError: If no frame of the list is within the segment, or it starts after the end of the span.
    """
    if clip.video is not None:
        start, end = clip.start + segment.start, clip.start + segment.end
        if clip.end is not None and start > clip.end:
            raise UserError(f"{clip.video}: {_show(segment)} is after the end of the clip")
        end = end if clip.end is None else min(end, clip.end)
        return Crop(replace(clip, start=start, end=end), segment.start)
    times = np.asarray(clip.times)
    first = int(np.searchsorted(times, segment.start, side="left"))
    last = int(np.searchsorted(times, segment.end, side="right"))
    if first >= last:
        raise UserError(f"{clip.frames[0]}: the clip has no frame within {_show(segment)}")
    offset = float(times[first])
    part = replace(clip, frames=clip.frames[first:last], times=tuple((times[first:last] - offset).tolist()))
    return Crop(part, offset)


def _show(segment: Segment) -> str:
    return f"{segment.start:g}-{segment.end:g} s"

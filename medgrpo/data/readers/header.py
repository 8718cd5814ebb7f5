"""What a video file says about itself, from its header and its first frame.

A scan of all packets (:mod:`medgrpo.data.readers.timeline`) knows more, and reads the whole file for it: too
slow for a look at the thousands of files of a dataset.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medgrpo.data.fields import MAX_RATE, MIN_RATE
from medgrpo.data.readers.base import VideoError
from medgrpo.data.readers.timeline import MICROSECONDS, check_length, first_frame, open_video, upright

__all__ = ["VideoHeader", "video_header"]


@dataclass(frozen=True, slots=True)
class VideoHeader:
    """What a video file says about itself.

    Attributes:
        rate: Frames a second on the average, not rounded: 29.97 is 29.97.
        duration: Seconds.
        width: Pixels as displayed.
        height: Pixels as displayed.
    """

    rate: float
    duration: float
    width: int
    height: int


def video_header(path: Path) -> VideoHeader:
    """Look at a video file.

    Raises:
        VideoError: If it is missing, cannot be read, ends before its index does, shows no frame, or tells no
            rate or duration.
    """
    with open_video(path) as (container, stream):
        check_length(path, path.stat().st_size, stream)
        rate = float(stream.average_rate or stream.guessed_rate or math.nan)
        if not MIN_RATE <= rate <= MAX_RATE:
            raise VideoError(path, f"tells {rate:g} frames a second; re-encode it")
        if stream.duration is not None:
            duration = float(stream.duration * stream.time_base)
        elif container.duration is not None:
            duration = container.duration / MICROSECONDS
        else:
            raise VideoError(path, "does not tell how long it is; remux it: ffmpeg -i IN -c copy OUT.mp4")
        frame = first_frame(container, stream)
        if frame is None:
            raise VideoError(path, "no frame of it can be decoded")
        shape = upright(path, frame, np.broadcast_to(np.uint8(0), (frame.height, frame.width, 3))).shape
    return VideoHeader(rate, duration, shape[1], shape[0])

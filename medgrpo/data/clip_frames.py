"""From a sample to the frames that a model sees: open, choose, draw the box, decode or take from a cache."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medgrpo.data.frame_cache import FrameCache
from medgrpo.data.readers import FrameReader, check_backend, open_reader
from medgrpo.data.regions import region_index, region_overlay
from medgrpo.data.sampling import FramePlan, SamplingPolicy
from medgrpo.types import Sample

__all__ = ["DECODE_SECONDS", "ClipFrames", "frame_cache"]

DECODE_SECONDS = 900.0
"""Time that one call of a video decoder may take; three hours of 1080p without an index take longer."""


class ClipFrames:
    """Reads the frames of samples.

    Args:
        sampling: Decides which frames are seen and at which size.
        cache: Keeps resized frames; None keeps recent ones in memory.
        video_backend: Decoder of video files.
        decode_seconds: Most time that a video decoder may take for a clip, after which it is stopped; None
            decodes in this process, for as long as it takes.

    Raises:
        UserError: If there is no such decoder.
    """

    def __init__(
        self,
        sampling: SamplingPolicy,
        cache: FrameCache | None = None,
        video_backend: str = "pyav",
        decode_seconds: float | None = DECODE_SECONDS,
    ) -> None:
        self.sampling = sampling
        self.cache = cache if cache is not None else FrameCache()
        self.video_backend = check_backend(video_backend)
        self.decode_seconds = decode_seconds

    def plan(self, sample: Sample) -> tuple[FramePlan, tuple[int, int]]:
        """Which frames of a sample's clip are seen and at which size, without decoding them.

        Returns:
            The plan; height and width of the stored frames, pixels.

        Raises:
            ClipError: If the clip cannot be opened, or the policy cannot sample it.
            UserError: If the frame with the box is not in the clip.
        """
        return self._open(sample)[1:]

    def read(self, sample: Sample, positions: Sequence[int] | None = None) -> tuple[np.ndarray, FramePlan]:
        """The frames of a sample's clip with its box drawn, and how they were chosen.

        Args:
            sample: Whose clip.
            positions: Those frames of the plan alone, to look at a few of many; None is all ``T``.

        Returns:
            uint8 ``[T, 3, H, W]``, shared with later callers: not to be written to; and the whole plan.

        Raises:
            ClipError: If the frames cannot be read, or the policy cannot sample them.
            UserError: If the box is no box of the clip, or the cache cannot be written.
        """
        reader, plan, size = self._open(sample)
        drawn = sample.region is not None
        pictures = self.cache.get_or_read(
            reader,
            plan.indices if positions is None else plan.indices[list(positions)],
            plan.layout.picture_height,
            plan.layout.picture_width,
            overlay=region_overlay(sample, size) if drawn else None,
            overlay_key=_region_key(sample) if drawn else "",
        )
        return plan.layout.place(pictures), plan

    def _open(self, sample: Sample) -> tuple[FrameReader, FramePlan, tuple[int, int]]:
        """Reader and plan of a clip, and height and width of its stored frames."""
        reader = open_reader(sample.clip, self.video_backend, self.decode_seconds)
        if sample.clip.video is not None:
            times, size = self.cache.describe(reader)
        else:
            times, size = reader.times(), reader.size()
        # The frame with the box must be seen.
        keep = region_index(sample) if sample.region is not None else None
        return reader, self.sampling.plan(times, *size, keep=keep), size


def frame_cache(folder: str | None, gigabytes: float) -> FrameCache:
    """The cache that a config asks for.

    Args:
        folder: Of the entries on disk; None keeps frames in memory alone.
        gigabytes: Most that the folder may hold.
    """
    return FrameCache(folder, disk_bytes=round(gigabytes * 1e9))


def _region_key(sample: Sample) -> str:
    """What is drawn, and on which frame of the clip, wherever the files are."""
    assert sample.region is not None
    return repr((region_index(sample), sample.region.box, sample.canvas))

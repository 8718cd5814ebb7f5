"""Video files through decord, which released recipes name; for comparison, not for use.

It is no longer maintained. Known faults, as measured with 0.6.0:

- Open groups of pictures, and HEVC: after a seek, frames may be others than asked for (one in five of an HEVC
  file), and it does not tell.
- Transport streams: no frame is the one asked for, so containers without an index are refused.
- Files cut by an edit list: it counts frames that are not shown. Where its count differs from what the
  container shows, the file is refused.
- Reported hangs that end only with the process: keep ``decode_seconds`` on.
- No wheels for ARM. It needs about twice the CPU time and twice the memory of PyAV.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from medgrpo.data.readers.base import VideoError
from medgrpo.data.readers.video import VideoFileReader
from medgrpo.errors import MissingExtraError
from medgrpo.types import Clip

__all__ = ["DecordReader"]


class DecordReader(VideoFileReader):
    """Reads a span of a video file with decord.

    Raises:
        MissingExtraError: If decord is not installed.
    """

    name = "decord"

    def __init__(self, clip: Clip) -> None:
        super().__init__(clip)
        _decord()

    def _decode(self, targets: np.ndarray) -> Iterator[np.ndarray]:
        decord = _decord()
        timeline = self._timeline
        if not timeline.keys.size:
            raise VideoError(
                self.path, "the decord backend cannot find frames in this container; use video_backend=pyav"
            )
        try:
            video = decord.VideoReader(str(self.path), ctx=decord.cpu(0), num_threads=1)
            if len(video) != len(timeline.pts):
                raise VideoError(
                    self.path,
                    f"the decord backend counts {len(video)} frames, the container shows "
                    f"{len(timeline.pts)}; use video_backend=pyav",
                )
            for index in np.searchsorted(timeline.pts, targets).tolist():
                yield video[index].asnumpy()[..., :3]  # rotated frames come with an opacity
        except (RuntimeError, IndexError, OSError, decord.DECORDError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise VideoError(self.path, f"cannot be read by the decord backend: {reason}") from error


def _decord() -> Any:
    try:
        import decord
    except ModuleNotFoundError:
        raise MissingExtraError("decord", "video") from None
    return decord

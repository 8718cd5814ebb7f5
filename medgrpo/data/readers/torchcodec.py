"""Video files through torchcodec, in its exact mode and on the CPU.

Peak memory is lower than PyAV's; otherwise it brings nothing that PyAV lacks. Known faults:

- It needs FFmpeg's shared libraries (4 to 9) on the machine, which its wheels do not carry.
- In transport streams and other containers without an index it lands on wrong frames. Every frame that it
  returns is compared with the time that was asked for, so that this is an error, never another picture.
- Damage within a frame is not reported.

Its approximate mode computes times from the header's rate, which is wrong for variable rates, and is not
offered.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from medgrpo.data.readers.base import VideoError
from medgrpo.data.readers.video import VideoFileReader
from medgrpo.errors import MissingExtraError, UserError
from medgrpo.types import Clip

__all__ = ["TorchCodecReader"]


class TorchCodecReader(VideoFileReader):
    """Reads a span of a video file with torchcodec.

    Raises:
        MissingExtraError: If torchcodec is not installed.
        UserError: If it finds no FFmpeg libraries that it can use.
    """

    name = "torchcodec"

    def __init__(self, clip: Clip) -> None:
        super().__init__(clip)
        _decoder_class()

    def _decode(self, targets: np.ndarray) -> Iterator[np.ndarray]:
        timeline = self._timeline
        try:
            decoder = _decoder_class()(
                str(self.path), dimension_order="NHWC", num_ffmpeg_threads=1, seek_mode="exact"
            )
            indices = np.searchsorted(timeline.pts, targets)
            for index, target in zip(indices.tolist(), targets.tolist(), strict=True):
                frame = decoder.get_frame_at(index)
                found = round(frame.pts_seconds / timeline.base)
                if found != target:
                    raise VideoError(
                        self.path,
                        f"the torchcodec backend returns the frame {(found - target) * timeline.base:+.3f} s "
                        f"off the one at {timeline.clock(target)}; use video_backend=pyav",
                    )
                yield frame.data.numpy()
        except (RuntimeError, ValueError, IndexError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise VideoError(self.path, f"cannot be read by the torchcodec backend: {reason}") from error


def _decoder_class() -> Any:
    try:
        from torchcodec.decoders import VideoDecoder
    except ModuleNotFoundError:
        raise MissingExtraError("torchcodec", "video") from None
    except (ImportError, OSError, RuntimeError) as error:
        raise UserError(
            "torchcodec cannot be loaded; it needs FFmpeg's shared libraries (4 to 9), for example from the "
            "system package ffmpeg, or use video_backend=pyav"
        ) from error
    return VideoDecoder

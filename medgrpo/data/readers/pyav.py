"""Video files through PyAV: exactly the frames that a full sequential decode shows at those times.

Seek to the keyframe before a wanted frame, decode forward, and decode as little as can be: frames that
nothing refers to are skipped, and once the packet of a group's last wanted frame has been handed over, the
decoder is drained instead of being fed the frames by which it lags behind.
One thread: FFmpeg's own threads and data workers do not get along.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from medgrpo.data.readers.base import VideoError
from medgrpo.data.readers.rgb import RgbConverter
from medgrpo.data.readers.timeline import open_video, upright
from medgrpo.data.readers.video import VideoFileReader

__all__ = ["PyAVReader"]


class PyAVReader(VideoFileReader):
    """Reads a span of a video file; exact on all that the tests know, the default."""

    name = "pyav"

    def _decode(self, targets: np.ndarray) -> Iterator[np.ndarray]:
        timeline = self._timeline
        keys = timeline.keys
        before = np.maximum(np.searchsorted(keys, targets, side="right") - 1, 0)
        rgb = RgbConverter()
        with open_video(self.path) as (container, stream):
            for group in np.unique(before).tolist():
                pending = targets[before == group].tolist()
                # A seek may land behind its keyframe by the reordering delay: then start further back.
                attempts = [(group, True), (group, False), (max(group - 1, 0), False), (0, False)]
                for start, drain in dict.fromkeys(attempts) if keys.size else [(0, False)]:
                    key = int(keys[start]) if keys.size else None
                    for frame in _forward(container, stream, key, set(pending), drain=drain):
                        if frame.pts == pending[0]:
                            if frame.is_corrupt:
                                raise VideoError(self.path, f"is damaged at {timeline.clock(pending[0])}")
                            yield upright(self.path, frame, rgb.convert(frame))
                            del pending[0]
                        if not pending or frame.pts > pending[0]:
                            break
                    if not pending:
                        break
                else:
                    raise VideoError(
                        self.path, f"the frame at {timeline.clock(pending[0])} cannot be decoded"
                    )


def _forward(container: Any, stream: Any, key: int | None, wanted: set[int], *, drain: bool) -> Iterator[Any]:
    """Decode from a keyframe on, leaving out unwanted frames that no other frame refers to.

    Args:
        container: An open file.
        stream: Its video stream.
        key: Presentation time of the keyframe, in time-base units; None decodes all, from the start.
        wanted: Presentation times of the frames to decode in any case.
        drain: Stop reading once the packets of all wanted frames are read. A frame refers only to packets
            before its own, so what comes out is the same; the next use of the stream must seek.

    Yields:
        Frames in presentation order, to the end of the file unless the caller stops.
    """
    if key is None:
        yield from container.decode(stream)
        return
    container.seek(key, stream=stream, backward=True)
    unread = set(wanted)
    for packet in container.demux(stream):
        needed = packet.size == 0 or packet.pts in wanted
        stream.codec_context.skip_frame = "DEFAULT" if needed else "NONREF"
        yield from packet.decode()
        unread.discard(packet.pts)
        if drain and not unread:
            break
    else:
        return
    stream.codec_context.skip_frame = "DEFAULT"
    yield from stream.decode(None)

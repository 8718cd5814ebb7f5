"""Video files through PyAV: exactly the frames that a full sequential decode shows at those times.

The packets are scanned once for their presentation times, without decoding. Frames are then found by their
exact time: seek to the keyframe before a wanted one, decode forward, skip frames that nothing refers to.
One thread: FFmpeg's own threads and data workers do not get along. Containers without an index of their own
(AVI, transport streams) tell neither times nor keyframes reliably: they are decoded from the start instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from medgrpo.data.readers.base import Overlay, VideoError, check_indices, resize_frame
from medgrpo.types import Clip

__all__ = ["PyAVReader"]

INDEXED_FORMATS = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"})
"""Containers whose presentation times and keyframes are exact without decoding."""

MICROSECONDS = 1_000_000
"""Units in a second of a container's own clock."""

EDGE = 1e-6
"""Seconds by which a frame may miss the clip's bounds: rounding of decimal seconds to time bases."""


@dataclass(frozen=True, eq=False)
class _Index:
    """What a scan of the packets found.

    Attributes:
        pts: Presentation times of the shown frames of the whole file, increasing, in time-base units ``[F]``.
        keys: Presentation times of the keyframes, increasing, in time-base units; empty where the file cannot
            be entered at one.
        seconds: Presentation times of the shown frames since the start of the file, seconds ``[F]``.
        height: Pixels as displayed.
        width: Pixels as displayed.
    """

    pts: np.ndarray
    keys: np.ndarray
    seconds: np.ndarray
    height: int
    width: int


class PyAVReader:
    """Reads a span of a video file.

    Args:
        clip: A clip with ``video``, and where in it the clip starts and ends.
    """

    def __init__(self, clip: Clip) -> None:
        if clip.video is None:
            raise ValueError("PyAVReader reads video files, the clip is a list of frames")
        self.clip = clip
        self.path = clip.video

    def times(self) -> np.ndarray:
        """Seconds from the clip's start of each shown frame within the clip.

        Raises:
            VideoError: If the file cannot be read or shows no frame within the clip.
        """
        return self._index.seconds[self._span] - self.clip.start

    def size(self) -> tuple[int, int]:
        """Height and width as displayed, rotation applied.

        Raises:
            VideoError: If the file cannot be read.
        """
        return self._index.height, self._index.width

    def identity(self) -> str:
        """Path, size and modification time of the file and the bounds of the clip.

        Raises:
            VideoError: If the file is missing.
        """
        try:
            stat = self.path.stat()
        except OSError as error:
            raise VideoError(self.path, f"cannot be opened: {error.strerror}") from error
        return f"pyav:{self.path}:{stat.st_size}:{stat.st_mtime_ns}:{self.clip.start}:{self.clip.end}"

    def read(
        self, indices: Sequence[int] | np.ndarray, height: int, width: int, overlay: Overlay | None = None
    ) -> np.ndarray:
        """Read frames at a size; see :class:`~medgrpo.data.readers.base.FrameReader`.

        Raises:
            VideoError: If the file is broken at one of the frames.
        """
        span = self._span
        positions = check_indices(indices, span.stop - span.start)
        out = np.empty((len(positions), 3, height, width), dtype=np.uint8)
        wanted, slots = np.unique(positions, return_inverse=True)
        shape = self.size()
        for order, frame in enumerate(self._decode(self._index.pts[span][wanted])):
            index = int(wanted[order])
            if frame.shape[:2] != shape:
                raise VideoError(
                    self.path,
                    f"frame {index} of the clip is {frame.shape[1]}x{frame.shape[0]}, the first one is "
                    f"{shape[1]}x{shape[0]}; re-encode the file at one size",
                )
            if overlay is not None:
                frame = overlay(index, frame)
            out[slots == order] = resize_frame(frame, height, width)
        return out

    @cached_property
    def _span(self) -> slice:
        """The frames of the file that are within the clip."""
        seconds = self._index.seconds
        end = np.inf if self.clip.end is None else self.clip.end
        first = int(np.searchsorted(seconds, self.clip.start - EDGE, side="left"))
        last = int(np.searchsorted(seconds, end + EDGE, side="right"))
        if first >= last:
            raise VideoError(
                self.path,
                f"shows no frame between {self.clip.start:g} and {end:g} s; it lasts {seconds[-1]:.3f} s",
            )
        return slice(first, last)

    @cached_property
    def _index(self) -> _Index:
        with self._open() as (container, stream):
            if container.format.name in INDEXED_FORMATS:
                shown, keys = _scan(container, stream)
            else:
                shown, keys = [frame.pts for frame in container.decode(stream)], []
            if not shown:
                raise VideoError(self.path, "holds no video frames")
            if None in shown or None in keys:
                raise VideoError(
                    self.path, "holds frames without times; remux it: ffmpeg -i IN -c copy OUT.mp4"
                )
            base = float(stream.time_base)
            origin = min(shown)
            if container.start_time is not None:
                # Players start the clock with the first stream to start, which may be the audio.
                origin = min(origin, round(container.start_time / MICROSECONDS / base))
            container.seek(min(keys, default=min(shown)), stream=stream, backward=True)
            first = next(container.decode(stream), None)
            if first is None:
                raise VideoError(self.path, "no frame of it can be decoded")
            height, width = self._upright(first).shape[:2]
        pts = np.unique(np.asarray(shown, dtype=np.int64))
        return _Index(pts, np.unique(np.asarray(keys, dtype=np.int64)), (pts - origin) * base, height, width)

    def _decode(self, targets: np.ndarray) -> Iterator[np.ndarray]:
        """Decode the frames at given presentation times.

        Args:
            targets: Increasing, in time-base units.

        Yields:
            RGB as displayed, uint8 ``[H, W, 3]``, in the order of ``targets``.
        """
        keys = self._index.keys
        before = np.maximum(np.searchsorted(keys, targets, side="right") - 1, 0)
        with self._open() as (container, stream):
            for group in np.unique(before).tolist():
                pending = targets[before == group].tolist()
                # A seek may land behind its keyframe by the reordering delay: then start further back.
                for start in dict.fromkeys((group, max(group - 1, 0), 0)):
                    key = int(keys[start]) if keys.size else None
                    for frame in _forward(container, stream, key, set(pending)):
                        if frame.pts == pending[0]:
                            if frame.is_corrupt:
                                raise VideoError(self.path, f"is damaged at {self._clock(pending[0])}")
                            yield self._upright(frame)
                            del pending[0]
                        if not pending or frame.pts > pending[0]:
                            break
                    if not pending:
                        break
                else:
                    raise VideoError(self.path, f"the frame at {self._clock(pending[0])} cannot be decoded")

    def _upright(self, frame: Any) -> np.ndarray:
        """RGB pixels with the display rotation of the file applied."""
        turns, rest = divmod(frame.rotation, 90)
        if rest:
            raise VideoError(
                self.path, f"is shown rotated by {frame.rotation} degrees; only quarter turns can be read"
            )
        return np.rot90(frame.to_ndarray(format="rgb24"), turns)

    def _clock(self, pts: int) -> str:
        return f"{self._index.seconds[np.searchsorted(self._index.pts, pts)]:.3f} s"

    @contextmanager
    def _open(self) -> Iterator[tuple[Any, Any]]:
        import av

        if self.path.is_dir():
            raise VideoError(self.path, "is a directory, not a video file")
        try:
            with av.open(str(self.path), metadata_errors="replace") as container:
                if not container.streams.video:
                    raise VideoError(self.path, "holds no video stream")
                stream = container.streams.video[0]
                stream.codec_context.thread_count = 1
                yield container, stream
        except av.error.FFmpegError as error:
            raise VideoError(self.path, f"cannot be read by the pyav backend: {error.strerror}") from error


def _scan(container: Any, stream: Any) -> tuple[list[Any], list[Any]]:
    """Presentation times (or None) of the shown frames and of the keyframes, from the packets alone."""
    shown: list[Any] = []
    keys: list[Any] = []
    for packet in container.demux(stream):
        if packet.size == 0:
            continue
        if packet.is_keyframe:
            keys.append(packet.pts)
        if not packet.is_discard:  # an edit list cuts the others off
            shown.append(packet.pts)
    return shown, keys


def _forward(container: Any, stream: Any, key: int | None, wanted: set[int]) -> Iterator[Any]:
    """Decode from a keyframe on, leaving out unwanted frames that no other frame refers to.

    Args:
        container: An open file.
        stream: Its video stream.
        key: Presentation time of the keyframe, in time-base units; None decodes all, from the start.
        wanted: Presentation times of the frames to decode in any case.

    Yields:
        Frames in presentation order, to the end of the file unless the caller stops.
    """
    if key is None:
        yield from container.decode(stream)
        return
    container.seek(key, stream=stream, backward=True)
    for packet in container.demux(stream):
        needed = packet.size == 0 or packet.pts in wanted
        stream.codec_context.skip_frame = "DEFAULT" if needed else "NONREF"
        yield from packet.decode()

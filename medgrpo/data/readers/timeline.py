"""When the frames of a video file are shown, from its packets alone, for every decoder of video files.

A scan of the packets tells presentation times and keyframes without decoding. Containers without an index of
their own (AVI, transport streams) tell neither reliably: they are decoded once from start to end instead.
Scans are kept, because clips of one long recording share its file.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from medgrpo.data.fields import MAX_RATE, MIN_RATE
from medgrpo.data.readers.base import VideoError

__all__ = [
    "MAX_FRAMES",
    "Timeline",
    "check_length",
    "file_stamp",
    "first_frame",
    "open_video",
    "timeline_of",
    "upright",
]

INDEXED_FORMATS = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"})
"""Containers whose presentation times and keyframes are exact without decoding."""

MICROSECONDS = 1_000_000
"""Units in a second of a container's own clock."""

MAX_FRAMES = 5_000_000
"""Frames of a file beyond which its rate is taken for a defect: 23 hours at 60 a second."""

KEPT = 32
"""Scans that a process keeps; three hours at 30 frames a second are 5 MB."""


@dataclass(frozen=True, eq=False)
class Timeline:
    """What a scan of a file found.

    Attributes:
        pts: Presentation times of the shown frames of the whole file, increasing, in time-base units ``[F]``.
        keys: Presentation times of the keyframes, increasing, in time-base units; empty where the file cannot
            be entered at one.
        seconds: Presentation times of the shown frames since the start of the file, seconds ``[F]``.
        base: Seconds in a time-base unit.
        height: Pixels as displayed.
        width: Pixels as displayed.
    """

    pts: np.ndarray
    keys: np.ndarray
    seconds: np.ndarray
    base: float
    height: int
    width: int

    def clock(self, pts: int) -> str:
        """A presentation time for messages."""
        return f"{self.seconds[np.searchsorted(self.pts, pts)]:.3f} s"


def file_stamp(path: Path) -> tuple[int, int]:
    """Size in bytes and modification time in nanoseconds of a regular file.

    Raises:
        VideoError: If it is missing or something else: a pipe would be waited on for ever.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise VideoError(path, f"cannot be opened: {error.strerror}") from error
    if stat.S_ISDIR(found.st_mode):
        raise VideoError(path, "is a directory, not a video file")
    if not stat.S_ISREG(found.st_mode):
        raise VideoError(path, "is not a regular file")
    return found.st_size, found.st_mtime_ns


def timeline_of(path: Path) -> Timeline:
    """Scan a video file, or take its scan from memory while the file is unchanged.

    Raises:
        VideoError: If it cannot be read, shows nothing, ends before its index does, holds more than
            :data:`MAX_FRAMES` frames, or has the rate of no camera.
    """
    return _scanned(path, *file_stamp(path))


@contextmanager
def open_video(path: Path) -> Iterator[tuple[Any, Any]]:
    """An open container and its first video stream, decoding in one thread.

    Raises:
        VideoError: If it is no regular file, FFmpeg fails, or the file holds no video; also from the body.
    """
    import av

    file_stamp(path)
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            if not container.streams.video:
                raise VideoError(path, "holds no video stream")
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            yield container, stream
    except av.error.FFmpegError as error:
        raise VideoError(path, f"cannot be read by the pyav backend: {error.strerror}") from error


def upright(path: Path, frame: Any, pixels: np.ndarray) -> np.ndarray:
    """Pixels with the display rotation of a decoded frame applied.

    Args:
        path: For messages.
        frame: The decoded frame.
        pixels: Its pixels as stored, ``[H, W, 3]``.

    Raises:
        VideoError: If it is rotated by other than quarter turns.
    """
    turns, rest = divmod(frame.rotation, 90)
    if rest:
        raise VideoError(
            path, f"is shown rotated by {frame.rotation} degrees; only quarter turns can be read"
        )
    return np.rot90(pixels, turns) if turns else pixels


@lru_cache(maxsize=KEPT)
def _scanned(path: Path, size: int, modified: int) -> Timeline:
    with open_video(path) as (container, stream):
        check_length(path, size, stream)
        if container.format.name in INDEXED_FORMATS:
            shown, keys = _scan(path, container, stream)
        else:
            shown, keys = [], []
            for frame in container.decode(stream):
                shown.append(frame.pts)
                _check_count(path, shown)
        if not shown:
            raise VideoError(path, "holds no video frames")
        if None in shown or None in keys:
            raise VideoError(path, "holds frames without times; remux it: ffmpeg -i IN -c copy OUT.mp4")
        base = float(stream.time_base)
        origin = min(shown)
        if container.start_time is not None:
            # Players start the clock with the first stream to start, which may be the audio.
            origin = min(origin, round(container.start_time / MICROSECONDS / base))
        container.seek(min(keys, default=min(shown)), stream=stream, backward=True)
        first = first_frame(container, stream)
        if first is None:
            raise VideoError(path, "no frame of it can be decoded")
        turned = upright(path, first, np.broadcast_to(np.uint8(0), (first.height, first.width, 3)))
    pts = np.unique(np.asarray(shown, dtype=np.int64))
    seconds = (pts - origin) * base
    _check_rate(path, seconds)
    return Timeline(pts, np.unique(np.asarray(keys, dtype=np.int64)), seconds, base, *turned.shape[:2])


def _scan(path: Path, container: Any, stream: Any) -> tuple[list[Any], list[Any]]:
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
            _check_count(path, shown)
    return shown, keys


def first_frame(container: Any, stream: Any) -> Any:
    """The first frame that can be decoded from here, or None; the decoder is drained for it."""
    for packet in container.demux(stream):
        frames = packet.decode()
        if not frames and packet.is_keyframe:
            frames = stream.decode(None)
            stream.codec_context.flush_buffers()
        if frames:
            return frames[0]
    return None


def _check_count(path: Path, shown: list[Any]) -> None:
    if len(shown) > MAX_FRAMES:
        raise VideoError(path, f"holds more than {MAX_FRAMES} frames; its frame rate is absurd: re-encode it")


def check_length(path: Path, size: int, stream: Any) -> None:
    """Refuse a file whose end is missing: it would pass for a shorter clip."""
    entries = stream.index_entries
    if len(entries) and (end := entries[-1].pos + entries[-1].size) > size:
        raise VideoError(path, f"is truncated: it has {size} bytes, its index reaches to byte {end}")


def _check_rate(path: Path, seconds: np.ndarray) -> None:
    """Refuse times in wrong units, from which a model would learn nonsense."""
    if len(seconds) > 1:
        rate = (len(seconds) - 1) / (seconds[-1] - seconds[0])
        if not MIN_RATE <= rate <= MAX_RATE:
            raise VideoError(path, f"shows {rate:g} frames a second; its frame rate is absurd: re-encode it")

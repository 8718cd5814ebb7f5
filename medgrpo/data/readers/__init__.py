"""Readers of frames: one protocol for lists of image files and for video files."""

from __future__ import annotations

from medgrpo.data.readers.base import FrameReader, Overlay, VideoError
from medgrpo.data.readers.deadline import BoundedReader
from medgrpo.data.readers.decord import DecordReader
from medgrpo.data.readers.frames import FrameListReader
from medgrpo.data.readers.pyav import PyAVReader
from medgrpo.data.readers.torchcodec import TorchCodecReader
from medgrpo.data.readers.video import VideoFileReader
from medgrpo.errors import UserError
from medgrpo.types import Clip

__all__ = ["VIDEO_BACKENDS", "FrameReader", "Overlay", "VideoError", "check_backend", "open_reader"]

VIDEO_BACKENDS: dict[str, type[VideoFileReader]] = {
    reader.name: reader for reader in (PyAVReader, TorchCodecReader, DecordReader)
}
"""Decoders of video files by name."""


def check_backend(video_backend: str) -> str:
    """The name of a decoder of video files, unchanged.

    Raises:
        UserError: If there is no such decoder.
    """
    if video_backend not in VIDEO_BACKENDS:
        raise UserError(f"unknown video_backend {video_backend!r}; known are: {', '.join(VIDEO_BACKENDS)}")
    return video_backend


def open_reader(clip: Clip, video_backend: str = "pyav", decode_seconds: float | None = None) -> FrameReader:
    """The reader of a clip: of its image files, or of its video file with the chosen decoder.

    Args:
        clip: What to read.
        video_backend: A key of :data:`VIDEO_BACKENDS`; image files need none.
        decode_seconds: Most time that a call may take, after which the decoder of a video file is stopped;
            None decodes in this process, for as long as it takes.

    Raises:
        UserError: If there is no such decoder, or it is not installed.
    """
    backend = VIDEO_BACKENDS[check_backend(video_backend)]
    if clip.frames:
        return FrameListReader(clip)
    reader = backend(clip)
    return reader if decode_seconds is None else BoundedReader(reader, reader.path, decode_seconds)

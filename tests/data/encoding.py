"""Small real video files, and what a full sequential decode shows of them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

SIZE = (48, 80)
"""Height and width of the files made here."""


def picture(index: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A frame that differs from its neighbours everywhere: moving gradients and a block that runs."""
    height, width = size
    y, x = np.mgrid[:height, :width]
    channels = [(3 * x + 7 * index) % 256, (4 * y + 5 * index) % 256, (2 * (x + y) + 11 * index) % 256]
    frame = np.stack(channels, axis=-1).astype(np.uint8)
    column = 3 * index % (width - 8)
    frame[4:12, column : column + 8] = 255
    return frame


def encode(
    path: Path,
    count: int = 40,
    *,
    codec: str = "libx264",
    gop: int = 12,
    b_frames: int = 2,
    ticks: list[int] | None = None,
    options: dict[str, str] | None = None,
    audio_first: bool = False,
    size: tuple[int, int] = SIZE,
    draw: Callable[[int, tuple[int, int]], np.ndarray] = picture,
) -> Path:
    """Encode pictures; ``ticks`` are presentation times in milliseconds, every 40 ms by default."""
    ticks = ticks if ticks is not None else [40 * k for k in range(count)]
    with av.open(str(path), "w") as container:
        if audio_first:
            sound = container.add_stream("aac", rate=16000)
        stream = container.add_stream(codec, rate=1000)
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        from fractions import Fraction

        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.gop_size = gop
        stream.codec_context.max_b_frames = b_frames
        stream.codec_context.thread_count = 1
        stream.options = {"preset": "veryfast", "crf": "12", **(options or {})}
        if audio_first:
            for k in range(20):
                block = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
                block.sample_rate, block.pts = 16000, 1024 * k
                container.mux(sound.encode(block))
            container.mux(sound.encode(None))
        for k, tick in enumerate(ticks):
            frame = av.VideoFrame.from_ndarray(draw(k, size), format="rgb24")
            frame.pts, frame.time_base = tick, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def cut_by_copy(source: Path, target: Path, seconds: float) -> Path:
    """Cut off the start without encoding again: an edit list hides what precedes the cut."""
    with av.open(str(source)) as reader, av.open(str(target), "w") as writer:
        stream = reader.streams.video[0]
        copy = writer.add_stream_from_template(stream)
        offset = round(seconds / stream.time_base)
        for packet in reader.demux(stream):
            if packet.size == 0:
                continue
            packet.pts -= offset
            packet.dts -= offset
            packet.stream = copy
            writer.mux(packet)
    return target


def rotate_clockwise(path: Path) -> Path:
    """Write a quarter turn clockwise into the display matrix of an MP4: (x, y) is shown at (-y, x)."""
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40
    one = 1 << 16
    data[matrix : matrix + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def sequential(path: Path) -> tuple[np.ndarray, list[np.ndarray]]:
    """Seconds since the first frame and RGB pixels of every frame, by decoding all of the file in order."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        base = float(container.streams.video[0].time_base)
        pts = np.array([frame.pts for frame in frames])
        return (pts - pts[0]) * base, [frame.to_ndarray(format="rgb24") for frame in frames]

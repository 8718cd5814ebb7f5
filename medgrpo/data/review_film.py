"""Encoding of review clips: H.264 in MP4 that every browser plays and enters at once wherever one clicks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from medgrpo.data.shown_times import TICKS, ShownTimes
from medgrpo.errors import UserError

__all__ = ["SETTINGS", "encode_film"]

SETTINGS = {"preset": "veryfast", "crf": "20", "bf": "0", "forced-idr": "1", "x264-params": "threads=1"}
"""Of libx264. Without frames that refer to later ones, a player's clock starts at exactly zero."""

_KEY_SECONDS = 1.0
_REC_709, _LIMITED = 1, 1  # FFmpeg's numbers, here and below
_INTRA, _FREE = 1, 0


def encode_film(
    path: Path, pictures: Iterable[np.ndarray], shown: ShownTimes, height: int, width: int
) -> None:
    """Encode pictures, each held as long as it was.

    A picture that is held for longer than a second is repeated every second, so that a player has something
    to start from near every moment; that costs next to nothing.

    Args:
        path: Where to.
        pictures: One for each start, uint8 ``[height, width, 3]``.
        shown: When each is shown.
        height: Pixels, even.
        width: Pixels, even.

    Raises:
        OSError: If the file cannot be written.
        UserError: If this PyAV cannot encode H.264.
    """
    import av

    if "libx264" not in av.codecs_available:
        raise UserError("this build of PyAV has no libx264 to encode review clips with: pip install av")
    base = Fraction(1, TICKS)
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = stream.codec_context.time_base = base
        stream.codec_context.thread_count = 1
        stream.codec_context.colorspace = stream.codec_context.color_primaries = _REC_709
        stream.codec_context.color_trc, stream.codec_context.color_range = _REC_709, _LIMITED
        stream.options = SETTINGS
        lasts: dict[int, int] = {}
        last_key = -TICKS
        for pixels, start, end in zip(pictures, *_spans(shown), strict=True):
            source = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame = source.reformat(format="yuv420p", dst_colorspace="ITU709", interpolation="AREA")
            frame.time_base = base
            for pts, duration in _held(start, end):
                key = pts - last_key >= _KEY_SECONDS * TICKS
                last_key = pts if key else last_key
                frame.pts, frame.pict_type = pts, _INTRA if key else _FREE
                lasts[pts] = duration
                for packet in stream.encode(frame):
                    packet.duration = lasts.pop(packet.pts)
                    container.mux(packet)
        for packet in stream.encode(None):
            packet.duration = lasts.pop(packet.pts)
            container.mux(packet)


def _spans(shown: ShownTimes) -> tuple[list[int], list[int]]:
    """Ticks at which each picture starts and ends."""
    ticks = [round(start * TICKS) for start in (*shown.starts, shown.duration)]
    return ticks[:-1], ticks[1:]


def _held(start: int, end: int) -> Iterator[tuple[int, int]]:
    """Ticks and duration of a picture and of its repetitions."""
    step = round(_KEY_SECONDS * TICKS)
    for at in range(start, end, step):
        yield at, min(step, end - at)

"""Video files of drawn scenes, the same bytes for the same scene."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from medgrpo.data.synthetic.writer import X264

__all__ = ["SOUND_RATE", "write_film"]

SOUND_RATE = 16_000
"""Samples of sound a second."""

QUICK = {"crf": "30", "preset": "ultrafast"}
MPEG4 = {"flags": "+bitexact", "qscale": "4"}


def write_film(
    path: Path,
    draw: Callable[[float], np.ndarray],
    duration: float,
    rate: Fraction | int,
    *,
    drawn_rate: float = 5.0,
    sound: np.ndarray | None = None,
) -> None:
    """Write what a scene shows, as H.264 in an MP4 file or as MPEG-4 in an AVI file.

    Args:
        path: Ends with ``.mp4`` or ``.avi``.
        draw: The picture at a time in seconds, uint8 ``[H, W, 3]`` with even sides.
        duration: Seconds.
        rate: Frames a second.
        drawn_rate: Pictures that are drawn a second; each stays until the next.
        sound: Samples at :data:`SOUND_RATE`, -1..1, ``[S]``; None is a film without a sound track.
    """
    import av

    rate = Fraction(rate)
    avi = path.suffix == ".avi"
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("mpeg4" if avi else "libx264", rate=rate)
        stream.options = (
            {"flags": "+bitexact", "qscale": "4"} if avi else X264 | {"crf": "30", "preset": "ultrafast"}
        )
        track = None if sound is None else container.add_stream("aac", rate=SOUND_RATE, layout="mono")
        shown, picture = 0, draw(0.0)
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = "yuv420p"
        for number in range(round(duration * rate)):
            drawn = int(number / rate * Fraction(drawn_rate))
            if drawn != shown:
                shown, picture = drawn, draw(drawn / drawn_rate)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if sound is not None:
            _write_sound(container, track, sound)


def _write_sound(container: Any, track: Any, sound: np.ndarray) -> None:
    import av

    samples = np.ascontiguousarray(sound, np.float32)[None]
    for start in range(0, samples.shape[1], 1024):
        frame = av.AudioFrame.from_ndarray(samples[:, start : start + 1024], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = SOUND_RATE, start
        container.mux(track.encode(frame))
    container.mux(track.encode())

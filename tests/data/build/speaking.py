"""Videos with a voice-like sound, and the stand-in for WhisperX as a program with a path."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from medgrpo.data.sources.annotations import SourceVideo
from medgrpo.types import Clip

RATE = 24_000


def voice(seconds: float, spoken: list[tuple[float, float]]) -> np.ndarray:
    """A buzz of 140 Hz and its harmonics, with the rise and fall of syllables; float32."""
    t = np.arange(round(seconds * RATE)) / RATE
    buzz = sum(np.sin(2 * np.pi * 140 * k * t) / k for k in range(1, 12))
    loud = np.zeros_like(t)
    for start, end in spoken:
        loud[(t >= start) & (t < end)] = 1.0
    return (0.25 * buzz * loud * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * t) ** 2)).astype(np.float32)


def film(path: Path, seconds: int = 8, sound: np.ndarray | None = None, late: float = 0.0) -> Path:
    """A small H.264 film with stereo AAC sound, which may start late; without sound if there is none."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.options = {"preset": "ultrafast", "x264-params": "threads=1"}
        audio = None
        if sound is not None:
            audio = container.add_stream("aac", rate=RATE, layout="stereo")
        for k in range(seconds * 10):
            pixels = np.full((48, 64, 3), (k * 3) % 256, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
        if audio is not None and sound is not None:
            for first in range(0, len(sound), 1024):
                block = np.repeat(sound[None, first : first + 1024], 2, axis=0)
                frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), "fltp", "stereo")
                frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
                frame.pts = first + round(late * RATE)
                container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
    return path


def program(folder: Path) -> Path:
    """The stand-in as a program that is run by its path."""
    path = folder / "bin" / "whisperx"
    path.parent.mkdir(exist_ok=True)
    script = Path(__file__).with_name("whisperx_stand_in.py")
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n')
    path.chmod(0o755)
    return path


def web_video(path: Path, duration: float = 8.0, start: float = 0.0) -> SourceVideo:
    return SourceVideo(
        "NurViD",
        path.stem,
        f"NurViD/{path.stem}",
        Clip(video=path, start=start),
        clock=10.0,
        duration=duration,
    )

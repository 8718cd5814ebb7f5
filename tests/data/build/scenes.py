"""A drawn operation as a source video: image files or an MP4, with what is annotated in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from medgrpo.data.build.items import BuildClip
from medgrpo.data.sources.annotations import Event, Instance, Provenance, SourceVideo, Triplet
from medgrpo.types import Box, Canvas, Clip

HERE = Provenance("labels/VID01.json", key="annotations/0")


def picture(index: int, height: int = 60, width: int = 100) -> np.ndarray:
    """Warm tissue with a bright block whose place tells the index."""
    pixels = np.full((height, width, 3), (180, 90, 70), np.uint8)
    column = (7 * index) % (width - 12)
    pixels[20:32, column : column + 12] = (250, 240, 230)
    return pixels


def index_shown(pixels: np.ndarray, scale: float = 1.0) -> int:
    """The index, below 12, that a stored picture shows."""
    bright = pixels[..., 2].astype(int) > 180
    column = float(np.flatnonzero(bright.any(axis=0)).mean()) / scale - 5.5
    return round(column / 7)


def image_video(root: Path, count: int = 12, suffix: str = "png", **other: object) -> SourceVideo:
    """Image files at one a second, numbered on a clock of 25 a second."""
    root.mkdir(parents=True, exist_ok=True)
    files = []
    for k in range(count):
        files.append(root / f"{25 * k:06d}.{suffix}")
        Image.fromarray(picture(k)).save(files[-1], quality=95)
    times = tuple(float(k) for k in range(count))
    return source_video(Clip(frames=tuple(files), times=times, fps=1.0), **other)


def source_video(footage: Clip, **other: object) -> SourceVideo:
    told: dict[str, object] = {
        "source": "CholecT50",
        "video_id": "VID01",
        "canonical_id": "cholec/01",
        "footage": footage,
        "clock": 25.0,
        "duration": 12.0,
        "canvas": Canvas(200, 120),
        "events": (
            Event("phase", "preparation", 0.0, 6.0, HERE),
            Event("phase", "calot triangle dissection", 6.0, 12.0, HERE),
        ),
        "instances": (
            Instance(3.0, "grasper", HERE, Box(20, 30, 80, 90)),
            Instance(7.0, "grasper", HERE, Box(40, 40, 120, 100)),
            Instance(7.0, "hook", HERE),
        ),
        "triplets": (Triplet(7.0, "grasper", "retract", "gallbladder", HERE),),
    }
    return SourceVideo(**(told | other))  # type: ignore[arg-type]


def clip_of(video: SourceVideo, start: float, end: float, fps: float = 1.0) -> BuildClip:
    times = tuple(k / fps for k in range(round((end - start) * fps)))
    ids = tuple(video.frame_id(start + time) for time in times)
    return BuildClip(video.source, video.video_id, video.canonical_id, start, end, fps, times, ids)

"""Annotated source videos made by hand, with clips and frames that need no file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medgrpo.data.build.items import BuildClip, ClipPictures, Draft, Picture
from medgrpo.data.build.records import record
from medgrpo.data.build.templates import SourceTexts, Template
from medgrpo.data.media import MediaPaths
from medgrpo.data.records import parse_record
from medgrpo.data.sources.annotations import Event, Instance, Provenance, SourceVideo
from medgrpo.types import Box, Canvas, Clip, Sample

__all__ = ["HERE", "TEXTS", "box_at", "clip_of", "event", "film", "frames_of", "pictures_for", "sample_of"]

HERE = Provenance("labels.csv", 1)
TASKS = ("tal", "stg", "dense_captioning", "next_action", "video_summary", "region_caption")
TEXTS = SourceTexts(
    "Hand",
    "You are an expert.",
    "The video shows an operation.",
    "Notes on it.",
    (*TASKS, "skill_assessment", "cvs_assessment"),
    {
        task: Template(f"Hand/{task}@1", "{domain} {notes} {annotations} {speech}" + more, task)
        for task, more in {
            "dense_captioning": " exactly {count}:\n{events}",
            "video_summary": " {duration}",
            "region_caption": " In it a green box marks one object: {object}. {start} {end}",
        }.items()
    },
)


def event(label: str, start: float, end: float, kind: Any = "action") -> Event:
    return Event(kind, label, start, end, HERE)


def box_at(time: float, label: str, *corners: float, track: str | None = None) -> Instance:
    return Instance(time, label, HERE, Box(*corners) if corners else Box(10, 10, 60, 40), track)


def film(duration: float = 60.0, fps: float = 25.0, **facts: Any) -> SourceVideo:
    """A video file of a source of its own."""
    footage = Clip(video=Path("film.mp4"), fps=fps)
    given = {"source": "Hand", "video_id": "V1", "canonical_id": "hand:V1", "clock": fps} | facts
    return SourceVideo(footage=footage, duration=duration, **given)  # type: ignore[arg-type]


def frames_of(times: Sequence[float], clock: float = 1.0, **facts: Any) -> SourceVideo:
    """A list of frame files at these seconds."""
    files = tuple(Path(f"{k}.jpg") for k in range(len(times)))
    footage = Clip(frames=files, fps=clock, times=tuple(times))
    given = {"source": "Hand", "video_id": "V1", "canonical_id": "hand:V1", "clock": clock} | facts
    duration = given.pop("duration", times[-1] + 1 / clock if times else 0.0)
    return SourceVideo(footage=footage, duration=duration, **given)  # type: ignore[arg-type]


def clip_of(video: SourceVideo, start: float, end: float, fps: float = 1.0) -> BuildClip:
    count = int((end - start) * fps - 1e-9) + 1
    times = tuple(round(k / fps, 3) for k in range(count))
    ids = tuple(video.frame_id(start + time) for time in times)
    last = max(video.frame_id(end) - 1, ids[-1])
    return BuildClip(video.source, video.video_id, video.canonical_id, start, end, fps, times, ids, last)


def pictures_for(
    clip: BuildClip, width: int = 320, height: int = 180, canvas: Canvas | None = None
) -> ClipPictures:
    """A name for each frame; there are no files."""
    found = [
        Picture(f"frames/{clip.source}/{clip.video_id}/{number:06d}.jpg", time, number, "0")
        for time, number in zip(clip.times, clip.frame_ids, strict=True)
    ]
    return ClipPictures(tuple(found), width, height, canvas)


def sample_of(draft: Draft, pictures: ClipPictures) -> Sample:
    """A structured question as the rest of the program reads it."""
    return parse_record(record(draft, pictures, None), 0, MediaPaths(Path("/")))

"""The peer of the build's benchmark: a loop over clips as one writes it, in one process, sharing nothing.

It has the importers, clips and questions of the build, so that both make the same; reading footage, writing
frames, drawing and encoding pictures for writers are its own: OpenCV, which seeks every frame of a film, and
supervision. What it writes is not made durable, and is made anew by every run.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np

from medgrpo.data.build.clips import plan_clips
from medgrpo.data.build.items import BuildClip, ClipPictures, Draft, Picture
from medgrpo.data.build.prepare import Preparation
from medgrpo.data.build.questions import draft_questions
from medgrpo.data.build.templates import source_texts
from medgrpo.data.sources.annotations import SourceVideo

__all__ = ["plain_build"]

MOST, LONGEST = 12, 768
"""Pictures a question and their longer side, as the build has them."""


def plain_build(preparation: Preparation, out: Path) -> dict[str, int]:
    """Write the frames of all clips and make the pictures of all questions.

    Args:
        preparation: With sources and policies; it does no work here.
        out: Folder for the frames.

    Returns:
        Counts of ``videos``, ``clips``, ``frames`` and ``pictures``.
    """
    made = {"videos": 0, "clips": 0, "frames": 0, "pictures": 0}
    for source in preparation.sources.values():
        texts = source_texts(source.name, None)
        for video_id in source.videos():
            video = source.read(video_id).video
            if video is None:
                continue
            made["videos"] += 1
            for number, clip in enumerate(plan_clips(video, preparation.clips)):
                pictures = _write_frames(video, clip, out / source.name / video_id / str(number))
                made["clips"] += 1
                made["frames"] += len(pictures.pictures)
                drafts, _ = draft_questions(video, clip, pictures, texts, preparation.questions)
                for draft in drafts:
                    if draft.answer is None:
                        made["pictures"] += len(_prompt_pictures(video, draft, pictures))
    return made


def _write_frames(video: SourceVideo, clip: BuildClip, folder: Path) -> ClipPictures:
    import cv2

    folder.mkdir(parents=True, exist_ok=True)
    times = np.asarray(video.footage.times, dtype=float)
    film = cv2.VideoCapture(str(video.footage.video)) if video.footage.video else None
    found = []
    height = width = 0
    for time, frame_id in zip(clip.times, clip.frame_ids, strict=True):
        at = clip.start + time
        if film is None:
            frame = cv2.imread(str(video.footage.frames[int(np.abs(times - at).argmin())]))
        else:
            film.set(cv2.CAP_PROP_POS_MSEC, 1000 * at)
            frame = film.read()[1]
        if frame is None:
            continue
        height, width = frame.shape[:2]
        path = folder / f"{frame_id:06d}.jpg"
        cv2.imwrite(str(path), frame, [cv2.IMWRITE_JPEG_QUALITY, 95])
        found.append(Picture(str(path), time, frame_id, ""))
    return ClipPictures(tuple(found), width, height, video.canvas)


def _prompt_pictures(video: SourceVideo, draft: Draft, pictures: ClipPictures) -> list[str]:
    """Frames spread over the clip, or from that of the region on, drawn on and encoded."""
    start = draft.region_time or 0.0
    end = draft.clip.duration if draft.region_end is None else draft.region_end
    inside = [one for one in pictures.pictures if start <= one.time <= end]
    chosen = sorted(set(np.linspace(0, len(inside) - 1, min(MOST, len(inside))).round().astype(int)))
    return [_drawn(video, draft, inside[k]) for k in chosen]


def _drawn(video: SourceVideo, draft: Draft, picture: Picture) -> str:
    import cv2
    import supervision as sv

    frame: Any = cv2.imread(picture.file)
    height, width = frame.shape[:2]
    at = draft.clip.start + picture.time
    seen = [one for one in video.instances if one.box is not None and abs(one.time - at) < 0.5 / video.clock]
    if seen and video.canvas is not None and draft.region_time is None:
        scale = np.array([width / video.canvas.width, height / video.canvas.height] * 2)
        boxes = np.array([one.box.xyxy for one in seen if one.box is not None]) * scale
        shown = sv.Detections(xyxy=boxes, class_id=np.arange(len(seen)))
        frame = sv.BoxAnnotator().annotate(scene=frame, detections=shown)
        labels = [one.label for one in seen]
        frame = sv.LabelAnnotator().annotate(scene=frame, detections=shown, labels=labels)
    shrink = min(1.0, LONGEST / max(height, width))
    frame = cv2.resize(frame, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    encoded: Any = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    return base64.b64encode(encoded.tobytes()).decode("ascii")

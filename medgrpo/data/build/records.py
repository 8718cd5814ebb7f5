"""A question with its answer as a row in MedVidBench's schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medgrpo.data.build.items import BuildClip, ClipPictures, Draft, WrittenText
from medgrpo.tasks import get_task

__all__ = ["CONVENTIONS", "extent_of", "record"]

SECOND_WRITER = "gemini"
CONVENTIONS: Mapping[str, str] = {"Cholec80_CVS": "frame", "NurViD": "time"}
"""How a source's metadata tell a clip's extent; all others do it by ``input_video_start_frame``."""


def record(draft: Draft, pictures: ClipPictures, written: WrittenText | None) -> dict[str, Any]:
    """The row of a question.

    Args:
        draft: The question.
        pictures: The clip's frames.
        written: One writer's text, for questions that wait for one; that of the second writer answers the
            question in its other words.

    Raises:
        ValueError: If there is no answer, or no frame with the region's box: defects of the build.
    """
    answer = draft.answer if written is None else written.text
    if not answer:
        raise ValueError(f"question {draft.key} has no answer")
    clip = draft.clip
    second = written is not None and written.writer == SECOND_WRITER and draft.other_question
    video = [picture.file for picture in pictures.pictures]
    start, end, extent = extent_of(clip)
    region = None
    if draft.region_time is not None and draft.region_box is not None:
        frames = [one.file for one in pictures.pictures if one.time == draft.region_time]
        if not frames:
            raise ValueError(f"question {draft.key}: the frame with the box is not among the clip's frames")
        box = [round(value, 2) for value in draft.region_box.xyxy]
        region = {"start_frame": frames[0], "start_frame_bbox": box}
    return {
        "id": f"{clip.video_id}&&{start}&&{end}&&{clip.fps}",
        "qa_type": draft.task if written is None else f"{draft.task}_{written.writer}",
        "conversations": [
            {"from": "human", "value": f"<video>\n{second or draft.question}"},
            {"from": "gpt", "value": answer},
        ],
        "video": video,
        "sampled_video_frames": [picture.frame_id for picture in pictures.pictures],
        "metadata": {"fps": str(clip.fps), "video_id": clip.video_id, **extent},
        "data_source": clip.source,
        "dataset_name": clip.source,
        "struc_info": _truth(draft, answer),
        "is_RC": region is not None,
        "RC_info": region,
    }


def extent_of(clip: BuildClip) -> tuple[str, str, dict[str, str]]:
    """Start and end of a clip as its source writes them, and the fields that hold them.

    Frames are numbered on the source's own clock, the last one included; seconds are those of the video.
    """
    convention = CONVENTIONS.get(clip.source, "input_frame")
    if convention == "time":
        start, end = str(clip.start), str(clip.end)
        return start, end, {"input_video_start_time": start, "input_video_end_time": end}
    first, last = str(clip.frame_ids[0]), str(clip.last_id)
    prefix = "" if convention == "frame" else "input_video_"
    return first, last, {f"{prefix}start_frame": first, f"{prefix}end_frame": last}


def _truth(draft: Draft, answer: str) -> Any:
    """``struc_info`` in the published shapes."""
    if draft.truth is not None:
        return draft.truth
    if draft.task == "dense_captioning":
        events = get_task(draft.task).parse(answer).value or []
        return [{"dc_segments": events}] if draft.clip.source == "NurViD" else [events]
    if draft.task == "region_caption":
        return [{"start": draft.region_time, "end": draft.region_end, "caption": answer}]
    return [{"summary": answer}]

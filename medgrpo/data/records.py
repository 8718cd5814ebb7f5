"""MedVidBench records: the rows of a JSON array or JSON Lines file, checked field by field.

Rows are counted from 0, as :attr:`medgrpo.types.Sample.row` and submissions do. Two fields may go beyond the
benchmark: ``video`` may be a string, a video file, whose extent is then in seconds (or in frames with
``metadata.source_fps``), and metadata values may be numbers.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Hashable, Iterable, Mapping
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

from medgrpo.data.extents import Extent, frame_times, parse_extent
from medgrpo.data.fields import FieldError, describe, positive_rate, required_text
from medgrpo.errors import UserError
from medgrpo.tasks import canonical_task
from medgrpo.types import Box, Canvas, Clip, Region, Sample, sample_key

__all__ = ["CANVASES", "parse_record", "read_records", "read_rows", "write_records"]

CANVASES: dict[str, Canvas] = {"CholecTrack20": Canvas(854, 480)}
"""Sources whose boxes refer to a fixed canvas, whatever the size of their stored frames."""

VIDEO_MARKER = "<video>"


def read_rows(path: str | Path) -> list[dict[str, Any]]:
    """Read the raw rows of a JSON array or a JSON Lines file, told apart by their first character.

    Raises:
        UserError: If the file is missing, not UTF-8, empty, or not a list of JSON objects.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path}: no such records file") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    start = text.lstrip()[:1]
    if start == "[":
        rows = _json(text, path, 1)
    elif start == "{":
        rows = [_json(line, path, number) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    else:
        raise UserError(f"{path}: expected a JSON array or JSON Lines of records, found {text[:20]!r}")
    for row, value in enumerate(rows):
        if not isinstance(value, dict):
            raise UserError(f"{path}: row {row}: expected an object, found {describe(value)}")
    return rows


def write_records(rows: Iterable[Mapping[str, Any]], path: str | Path) -> None:
    """Write rows, one a line: as a JSON array, or as JSON Lines where the name ends in ``.jsonl``.

    The file appears whole or not at all.

    Raises:
        UserError: If it cannot be written.
    """
    path = Path(path)
    lines = [json.dumps(row) for row in rows]
    is_lines = path.suffix == ".jsonl"
    text = "\n".join(lines) if is_lines else "[\n" + ",\n".join(lines) + "\n]"
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise UserError(f"{path}: cannot be written: {error.strerror}") from error


def read_records(path: str | Path, *, media_root: str | Path | None = None) -> list[Sample]:
    """Read and check a records file. Frame files are not touched: a broken one is reported when it is read.

    Args:
        path: JSON array or JSON Lines.
        media_root: Where relative frame and video paths start; None is the file's folder.

    Raises:
        UserError: At the first defect, naming file, row and field.
    """
    path = Path(path)
    root = path.parent if media_root is None else Path(media_root)
    clips: dict[Hashable, Clip] = {}
    samples = []
    for row, record in enumerate(read_rows(path)):
        try:
            samples.append(parse_record(record, row, root, clips))
        except FieldError as error:
            raise UserError(f"{path}: row {row}: {error}") from None
    return samples


def parse_record(
    record: Mapping[str, Any], row: int, root: Path, clips: dict[Hashable, Clip] | None = None
) -> Sample:
    """Turn one raw row into a sample.

    Args:
        record: The row.
        row: Its index in the file.
        root: Where relative frame and video paths start.
        clips: Clips under this root seen so far, extended: rows about one clip then share one object.

    Raises:
        FieldError: At the first defect.
    """
    row_id = required_text(record, "id")
    qa_type = required_text(record, "qa_type")
    try:
        task = canonical_task(qa_type)
    except UserError as error:
        raise FieldError("qa_type", str(error)) from None
    source = "data_source" if record.get("data_source") is not None else "dataset_name"
    dataset = required_text(record, source)
    metadata = _metadata(record)
    question, answer = _turns(record)
    clip = _clip(record, metadata, root, {} if clips is None else clips)
    return Sample(
        key=sample_key(row_id, task, question),
        id=row_id,
        row=row,
        qa_type=qa_type,
        task=task,
        dataset=dataset,
        video_id=metadata.get("video_id") or row_id.split("&&")[0],
        question=question,
        answer=answer,
        truth=record.get("struc_info"),
        clip=clip,
        region=_region(record, clip, root),
        canvas=CANVASES.get(dataset),
        metadata=metadata,
    )


def _clip(
    record: Mapping[str, Any], metadata: Mapping[str, str], root: Path, clips: dict[Hashable, Clip]
) -> Clip:
    extent = parse_extent(metadata)
    video = record.get("video")
    if isinstance(video, str) and video:
        fps = positive_rate(metadata, "fps") if "fps" in metadata else 1.0
        start, end = _seconds(extent, metadata)
        file = (video, fps, start, end)
        return clips.setdefault(file, Clip(video=root / video, fps=fps, start=start, end=end))
    if not isinstance(video, list) or not video:
        raise FieldError("video", f"expected a list of frame files or a video file, found {describe(video)}")
    for index, name in enumerate(video):
        if not isinstance(name, str) or not name:
            raise FieldError("video", f"entry {index}: expected a file name, found {describe(name)}")
    fps = positive_rate(metadata, "fps")
    ids = record.get("sampled_video_frames")
    if ids is None:
        ids = range(len(video))
    elif not isinstance(ids, list) or not all(type(i) is int for i in ids):
        raise FieldError("sampled_video_frames", f"expected a list of whole numbers, found {describe(ids)}")
    elif len(ids) != len(video):
        raise FieldError("sampled_video_frames", f"has {len(ids)} entries, 'video' has {len(video)}")
    elif any(b < a for a, b in pairwise(ids)):
        raise FieldError("sampled_video_frames", "the frame ids go backwards")
    frames = (tuple(video), tuple(ids), fps)
    if frames not in clips:  # paths are slow to build: once a clip, not once a question
        times = tuple(frame_times(ids, fps).tolist())
        clips[frames] = Clip(frames=tuple(root / name for name in video), fps=fps, times=times)
    return clips[frames]


def _seconds(extent: Extent | None, metadata: Mapping[str, str]) -> tuple[float, float | None]:
    """Start and end in a video file, in seconds."""
    if extent is None:
        return 0.0, None
    rate = 1.0 if extent.unit == "seconds" else positive_rate(metadata, "source_fps")
    return extent.start / rate, extent.end / rate


def _metadata(record: Mapping[str, Any]) -> dict[str, str]:
    metadata = record.get("metadata")
    if not isinstance(metadata, dict):
        raise FieldError("metadata", f"expected an object, found {describe(metadata)}")
    for name, value in metadata.items():
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise FieldError(f"metadata.{name}", f"expected a string, found {describe(value)}")
    return {name: value if isinstance(value, str) else str(value) for name, value in metadata.items()}


def _turns(record: Mapping[str, Any]) -> tuple[str, str | None]:
    """Question without the video marker, and answer or None."""
    turns = record.get("conversations")
    if not isinstance(turns, list):
        raise FieldError("conversations", f"expected a list of turns, found {describe(turns)}")
    said: dict[str, str] = {}
    for index, turn in enumerate(turns):
        if not isinstance(turn, dict) or not isinstance(turn.get("value"), str):
            raise FieldError(
                "conversations", f"turn {index}: expected an object with 'from' and a text 'value'"
            )
        who = turn.get("from")
        if who not in ("human", "gpt") or who in said:
            raise FieldError(
                "conversations", f"turn {index}: expected one human and at most one gpt turn, found {who!r}"
            )
        said[who] = turn["value"]
    question = said.get("human", "").replace(VIDEO_MARKER, "", 1).strip()
    if not question:
        raise FieldError("conversations", "no human turn with a question")
    return question, said.get("gpt") or None


def _region(record: Mapping[str, Any], clip: Clip, root: Path) -> Region | None:
    info = record.get("RC_info")
    if not record.get("is_RC") and not info:
        return None
    if not isinstance(info, dict):
        raise FieldError("RC_info", f"expected an object because is_RC is true, found {describe(info)}")
    name = info.get("start_frame")
    if not isinstance(name, str) or root / name not in clip.frames:
        raise FieldError("RC_info.start_frame", f"{name!r} is not one of the frames in 'video'")
    corners = info.get("start_frame_bbox")
    try:
        if not isinstance(corners, list) or len(corners) != 4:
            raise ValueError
        box = Box(*(float(value) for value in corners))
    except (TypeError, ValueError):
        raise FieldError(
            "RC_info.start_frame_bbox", f"{corners!r}; expected [x1, y1, x2, y2] with x1 <= x2 and y1 <= y2"
        ) from None
    return Region(root / name, box)


def _json(text: str, path: Path, line: int) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        number = line + error.lineno - 1
        raise UserError(
            f"{path}: not valid JSON at line {number}, column {error.colno}: {error.msg}"
        ) from None
    except RecursionError:
        raise UserError(f"{path}: not valid records: nested too deeply") from None

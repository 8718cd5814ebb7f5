"""What one row of a records file says, checked field by field, before any path is built.

Every check names its field. Reading stops at the first defect (:func:`read_fields`); inspecting goes on and
finds the others (:func:`inspect_fields`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, TypeVar

from medgrpo.data.extents import Extent, parse_extent
from medgrpo.data.fields import FieldError, check_text, describe, positive_rate, required_text
from medgrpo.errors import UserError
from medgrpo.tasks import canonical_task
from medgrpo.types import Box, sample_key

__all__ = ["RowFields", "inspect_fields", "read_fields"]

VIDEO_MARKER = "<video>"
MAX_FRAME_ID = 2**53
"""Ids beyond are not exact as floats, and no video is that long."""

T = TypeVar("T")

# What stands in for a field with a defect.
NO_TURNS: tuple[str, str | None] = ("", None)
NO_FILES: tuple[Sequence[str], bool] = ((), False)
NO_SECONDS: tuple[float, float | None] = (0.0, None)


@dataclass(frozen=True, slots=True)
class RowFields:
    """A row's fields, checked; names of files are as in the row.

    Attributes:
        id: Of the row; not unique.
        qa_type: The benchmark's spelling.
        task: The canonical task.
        dataset: Source dataset.
        video_id: Source video.
        question: Without the video marker.
        answer: The reference; None in the test split.
        metadata: Values as strings.
        files: Frame files in order, or the one video file.
        is_video: Whether ``files`` is a video file.
        frame_ids: ``sampled_video_frames``, or 0, 1, ... without them; empty for a video file.
        fps: Rate of the frame list.
        start: Seconds into the video file where the clip starts.
        end: Seconds into it where the clip ends; None is its end.
        region: Frame file and box of a region caption.
    """

    id: str
    qa_type: str
    task: str
    dataset: str
    video_id: str
    question: str
    answer: str | None
    metadata: dict[str, str]
    files: Sequence[str]
    is_video: bool
    frame_ids: Sequence[int]
    fps: float
    start: float
    end: float | None
    region: tuple[str, Box] | None

    @property
    def key(self) -> str:
        """The row's identity, :func:`medgrpo.types.sample_key`."""
        return sample_key(self.id, self.task, self.question)

    @property
    def clip(self) -> tuple[object, ...]:
        """The same for rows about the same clip."""
        return (self.is_video, tuple(self.files), tuple(self.frame_ids), self.fps, self.start, self.end)


def read_fields(record: Mapping[str, Any]) -> RowFields:
    """Check a row.

    Raises:
        FieldError: At the first defect.
    """
    return _Checks().read(record)


def inspect_fields(record: Mapping[str, Any]) -> tuple[RowFields, list[FieldError]]:
    """Check all of a row.

    Returns:
        The fields, with stand-ins for those with a defect, and the defects: each field once, at its first
        defect, and none inside another.
    """
    checks = _Checks(keep=True)
    return checks.read(record), checks.defects


class _Checks:
    """Runs one check after the other.

    Args:
        keep: Collect defects and go on, instead of raising the first.
    """

    def __init__(self, keep: bool = False) -> None:
        self.keep = keep
        self.defects: list[FieldError] = []

    def report(self, error: FieldError) -> None:
        """Raise a defect or keep it, unless it follows from one that was kept."""
        if not self.keep:
            raise error
        if not any(f"{error.field}.".startswith(f"{defect.field}.") for defect in self.defects):
            self.defects.append(error)

    def found(self, *fields: str) -> bool:
        """Whether one of these fields has a defect."""
        return any(defect.field in fields for defect in self.defects)

    def attempt(self, default: T, check: Callable[..., T], *args: Any) -> T:
        """What a check returns, or a stand-in after a defect."""
        try:
            return check(*args)
        except FieldError as error:
            self.report(error)
            return default

    def read(self, record: Mapping[str, Any]) -> RowFields:
        """All checks of a row."""
        row_id = self.attempt("", required_text, record, "id")
        qa_type = self.attempt("", required_text, record, "qa_type")
        task = self.attempt("", _task, qa_type) if qa_type else ""
        source = "data_source" if record.get("data_source") is not None else "dataset_name"
        dataset = self.attempt("", required_text, record, source)
        metadata = self.metadata(record)
        question, answer = self.attempt(NO_TURNS, _turns, record)
        files, is_video = self.attempt(NO_FILES, _files, record)
        fps, ids, start, end = self.clock(record, metadata, len(files), is_video)
        return RowFields(
            id=row_id,
            qa_type=qa_type,
            task=task,
            dataset=dataset,
            video_id=metadata.get("video_id") or row_id.split("&&")[0],
            question=question,
            answer=answer,
            metadata=metadata,
            files=files,
            is_video=is_video,
            frame_ids=ids,
            fps=fps,
            start=start,
            end=end,
            region=self.region(record, () if is_video else files),
        )

    def metadata(self, record: Mapping[str, Any]) -> dict[str, str]:
        """Metadata values as strings."""
        metadata = record.get("metadata")
        if not isinstance(metadata, dict):
            self.report(FieldError("metadata", f"expected an object, found {describe(metadata)}"))
            return {}
        texts = {}
        for name, value in metadata.items():
            field = f"metadata.{name}"
            if isinstance(value, bool) or not isinstance(value, str | int | float):
                self.report(FieldError(field, f"expected a string, found {describe(value)}"))
                continue
            texts[name] = value if isinstance(value, str) else str(value)
            self.attempt(None, check_text, texts[name], field)
        return texts

    def clock(
        self, record: Mapping[str, Any], metadata: Mapping[str, str], files: int, is_video: bool
    ) -> tuple[float, Sequence[int], float, float | None]:
        """Rate and ids of a frame list; rate, start and end in a video file."""
        extent = self.attempt(None, parse_extent, metadata)
        if is_video:
            fps = self.attempt(1.0, positive_rate, metadata, "fps") if "fps" in metadata else 1.0
            start, end = self.attempt(NO_SECONDS, _seconds, extent, metadata)
            return fps, (), start, end
        fps = self.attempt(1.0, positive_rate, metadata, "fps")
        return fps, self.attempt((), _frame_ids, record, None if self.found("video") else files), 0.0, None

    def region(self, record: Mapping[str, Any], files: Sequence[str]) -> tuple[str, Box] | None:
        """Frame and box of a region caption."""
        info = record.get("RC_info")
        if not record.get("is_RC") and not info:
            return None
        if not isinstance(info, dict):
            found = describe(info)
            self.report(FieldError("RC_info", f"expected an object because is_RC is true, found {found}"))
            return None
        name = info.get("start_frame")
        if not self.found("video") and (not isinstance(name, str) or not _contains(files, name)):
            self.report(FieldError("RC_info.start_frame", f"{name!r} is not one of the frames in 'video'"))
        box = self.attempt(None, _box, info.get("start_frame_bbox"))
        return None if box is None else (str(name), box)


def _task(qa_type: str) -> str:
    try:
        return canonical_task(qa_type)
    except UserError as error:
        raise FieldError("qa_type", str(error)) from None


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
        check_text(turn["value"], "conversations", f"turn {index}: ")
    question = said.get("human", "").replace(VIDEO_MARKER, "", 1).strip()
    if not question:
        raise FieldError("conversations", "no human turn with a question")
    return question, said.get("gpt") or None


def _files(record: Mapping[str, Any]) -> tuple[Sequence[str], bool]:
    """Frame files, or a video file, and which of the two it is."""
    video = record.get("video")
    is_file = isinstance(video, str)
    names = [video] if is_file else video
    if not isinstance(names, list) or not video:
        raise FieldError("video", f"expected a list of frame files or a video file, found {describe(video)}")
    if set(map(type, names)) != {str} or not all(names):
        wrong = [i for i, name in enumerate(names) if not isinstance(name, str) or not name]
        more = f" (and {len(wrong) - 1} more such entries)" if len(wrong) > 1 else ""
        first = f"entry {wrong[0]}: expected a file name, found {describe(names[wrong[0]])}"
        raise FieldError("video", first + more)
    text = "\0".join(names)
    if text.count("\0") >= len(names):
        raise FieldError("video", "a file name holds a NUL character")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise FieldError("video", "a file name holds half of a surrogate pair") from None
    return names, is_file


def _frame_ids(record: Mapping[str, Any], count: int | None) -> Sequence[int]:
    """Ids in the source of ``count`` frames; None is any number."""
    field = "sampled_video_frames"
    ids = record.get(field)
    if ids is None:
        return range(count or 0)
    if not isinstance(ids, list) or not {int}.issuperset(map(type, ids)):
        raise FieldError(field, f"expected a list of whole numbers, found {describe(ids)}")
    if count is not None and len(ids) != count:
        raise FieldError(field, f"has {len(ids)} entries, 'video' has {count}")
    if ids != sorted(ids):
        raise FieldError(field, "the frame ids go backwards")
    if ids and not -MAX_FRAME_ID < ids[0] <= ids[-1] < MAX_FRAME_ID:
        raise FieldError(field, "an id is too large for a frame number")
    return ids


def _seconds(extent: Extent | None, metadata: Mapping[str, str]) -> tuple[float, float | None]:
    """Start and end in a video file, in seconds."""
    if extent is None:
        return 0.0, None
    rate = 1.0 if extent.unit == "seconds" else positive_rate(metadata, "source_fps")
    return extent.start / rate, extent.end / rate


def _contains(files: Sequence[str], name: str) -> bool:
    """Whether a file is in a list, be it spelled a little differently."""
    return name in files or PurePosixPath(name) in map(PurePosixPath, files)


def _box(corners: Any) -> Box:
    try:
        if not isinstance(corners, list) or len(corners) != 4:
            raise ValueError
        return Box(*(float(value) for value in corners))
    except (TypeError, ValueError, OverflowError):
        raise FieldError(
            "RC_info.start_frame_bbox", f"{corners!r}; expected [x1, y1, x2, y2] with x1 <= x2 and y1 <= y2"
        ) from None

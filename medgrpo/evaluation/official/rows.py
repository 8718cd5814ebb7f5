"""What the leaderboard's scorer sees of a row, and what each of its task scorers returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from medgrpo.types import Sample

__all__ = ["ColumnLostError", "OfficialRow", "TaskResult", "official_row"]

_NO_SOURCE = ("", "Unknown")


class ColumnLostError(Exception):
    """A row that crashes the leaderboard's scorer: it wraps each task in one try, so the column is lost."""


@dataclass(frozen=True, slots=True)
class OfficialRow:
    """A record and its prediction, merged by index.

    Attributes:
        index: Position in the records file.
        qa_type: Of the ground truth, as written.
        question: Last human turn without the video marker.
        reference: Last gpt turn, empty if there is none.
        source: ``data_source``, else ``dataset_name``.
        struc_info: Ground truth as loaded from JSON.
        metadata: ``metadata`` of the row; ``fps`` is a string there.
        prediction: The model's answer.
    """

    index: int
    qa_type: str
    question: str
    reference: str
    source: str
    struc_info: Any
    metadata: Mapping[str, Any]
    prediction: str

    @property
    def fps(self) -> float:
        """``metadata.fps`` as a number, 1 where it is missing.

        Raises:
            ColumnLostError: If it is not a number.
        """
        value = self.metadata.get("fps", 1.0)
        try:
            return float(value)
        except (TypeError, ValueError):
            raise ColumnLostError(f"row {self.index}: metadata.fps {value!r} is not a number") from None

    def require_video_id(self) -> None:
        """Fail as the official code does where it looks up a video id.

        Raises:
            ColumnLostError: If the metadata has none.
        """
        if "video_id" not in self.metadata:
            raise ColumnLostError(f"row {self.index}: metadata.video_id is missing")


@dataclass(frozen=True, slots=True)
class TaskResult:
    """One task scorer's outcome.

    Attributes:
        per_record: One value a row in the order given; None where the official code excludes the row.
        columns: Board column to pooled value at full precision; None if it was not computed.
        extra: Further values by row, by name.
    """

    per_record: Sequence[Any]
    columns: Mapping[str, float | None]
    extra: Mapping[str, Sequence[Any]] = field(default_factory=dict)


def official_row(record: Mapping[str, Any] | Sample, prediction: str, index: int) -> OfficialRow:
    """The row as the leaderboard reads it, from a record dictionary or a sample."""
    if isinstance(record, Sample):
        return OfficialRow(
            index=index,
            qa_type=record.qa_type,
            question=record.question,
            reference=record.answer or "",
            source=record.dataset,
            struc_info=record.truth if record.truth is not None else [],
            metadata={"fps": str(record.clip.fps), "video_id": record.video_id, **record.metadata},
            prediction=prediction,
        )
    turns = record.get("conversations") or []
    asked = [turn.get("value", "") for turn in turns if turn.get("from") == "human"]
    given = [turn.get("value", "") for turn in turns if turn.get("from") == "gpt"]
    source = record.get("data_source")
    if source is None or source in _NO_SOURCE:
        source = record.get("dataset_name") or "Unknown"
    return OfficialRow(
        index=index,
        qa_type=str(record.get("qa_type", "")),
        question=asked[-1].replace("<video>", "").strip() if asked else "",
        reference=given[-1] if given else "",
        source=str(source),
        struc_info=record.get("struc_info") or [],
        metadata=record.get("metadata") or {},
        prediction=prediction,
    )

"""Records and predictions in any of the forms that ``evaluate`` takes, checked and brought into one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medgrpo.errors import UserError
from medgrpo.tasks import canonical_task
from medgrpo.tasks.text import as_number
from medgrpo.types import Clip, Sample, sample_key

__all__ = [
    "Named",
    "Prediction",
    "Record",
    "RecordName",
    "answer_problem",
    "answers_of",
    "as_sample",
    "name_of",
    "qa_type_problem",
    "truncations_of",
]

Record = Mapping[str, Any] | Sample
Prediction = str | Mapping[str, Any]


def answers_of(records: Sequence[Record], predictions: Sequence[Prediction]) -> list[str]:
    """The answer texts, checked against the records they belong to.

    Args:
        records: Row dictionaries or samples.
        predictions: Texts, or ``{"id", "qa_type", "prediction"}`` in the order of the records.

    Raises:
        UserError: For another number of predictions, a missing or non-string answer, or an ``id`` or
            ``qa_type`` that differs from the record's; the row is named.
    """
    if len(predictions) != len(records):
        raise UserError(
            f"{len(predictions)} predictions for {len(records)} records; "
            "they are matched by position, so give one for each record, in order"
        )
    return [_answer(i, r, p) for i, (r, p) in enumerate(zip(records, predictions, strict=True))]


def truncations_of(predictions: Sequence[Prediction]) -> list[bool | None]:
    """Whether each answer says that it ran into the limit of its length; None where it says nothing."""
    said = [p.get("truncated") if isinstance(p, Mapping) else None for p in predictions]
    return [value if isinstance(value, bool) else None for value in said]


def answer_problem(record: Record | RecordName, prediction: Any) -> tuple[str, str] | None:
    """Why a prediction cannot be scored against a record: field and problem; None if it can."""
    if isinstance(prediction, str):
        return None
    if not isinstance(prediction, Mapping):
        return "", f"expected a string or an object, got {_kind(prediction)}"
    if "prediction" not in prediction:
        return "prediction", "is missing"
    text = prediction["prediction"]
    if not isinstance(text, str):
        return (
            "prediction",
            f"must be a string, got {_kind(text)}; write an empty string for a row without an answer",
        )
    for name in ("id", "qa_type"):
        given, wanted = prediction.get(name), _field(record, name)
        if given is not None and wanted is not None and given != wanted:
            return name, f"is {given!r}, the record has {wanted!r}"
    return None


def _answer(index: int, record: Record, prediction: Prediction) -> str:
    problem = answer_problem(record, prediction)
    if problem is not None:
        field, what = problem
        raise UserError(f"predictions row {index}: " + (f'field "{field}" {what}' if field else what))
    return prediction if isinstance(prediction, str) else prediction["prediction"]


def _field(record: Record | RecordName, name: str) -> Any:
    return record.get(name) if isinstance(record, Mapping) else getattr(record, name)


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__


@dataclass(frozen=True, slots=True)
class RecordName:
    """What predictions are matched by.

    Attributes:
        row: Index in the records file.
        id: As in the record; not unique.
        qa_type: As in the record.
        key: Id, task and hash of the question.
    """

    row: int
    id: str
    qa_type: str
    key: str


Named = RecordName | Sample


def name_of(record: Any, index: int) -> RecordName:
    """The name of a raw row, whatever is wrong with it."""
    fields = record if isinstance(record, Mapping) else {}
    turns = fields.get("conversations")
    asked = [
        turn["value"]
        for turn in (turns if isinstance(turns, list) else ())
        if isinstance(turn, Mapping) and turn.get("from") == "human" and isinstance(turn.get("value"), str)
    ]
    row_id, qa_type = str(fields.get("id", index)), str(fields.get("qa_type", ""))
    task = qa_type if qa_type_problem(fields) else canonical_task(qa_type)
    return RecordName(index, row_id, qa_type, sample_key(row_id, task, _question(asked)))


def qa_type_problem(record: Mapping[str, Any]) -> str | None:
    """Why no task is known for a record; None if one is."""
    qa_type = record.get("qa_type")
    if not isinstance(qa_type, str):
        return f"expected text, found {_kind(qa_type)}"
    try:
        canonical_task(qa_type)
    except UserError as error:
        return str(error)
    return None


def _question(asked: Sequence[str]) -> str:
    return asked[-1].replace("<video>", "", 1).strip() if asked else ""


def as_sample(record: Record, index: int) -> Sample:
    """A sample that scoring can use, from a row dictionary; its frames are not touched.

    Raises:
        UserError: For an unknown ``qa_type`` or a frame rate that is no positive number.
    """
    if isinstance(record, Sample):
        return record
    turns = record.get("conversations") or []
    asked = [t.get("value", "") for t in turns if t.get("from") == "human"]
    given = [t.get("value", "") for t in turns if t.get("from") == "gpt"]
    qa_type = record.get("qa_type")
    if not isinstance(qa_type, str):
        raise UserError(f'records row {index}: field "qa_type" is missing or not a string')
    try:
        task = canonical_task(qa_type)
    except UserError as error:
        raise UserError(f"records row {index}: {error}") from None
    metadata = record.get("metadata") or {}
    fps = as_number(metadata.get("fps", 1.0))
    if fps is None or fps <= 0.0:
        raise UserError(f'records row {index}: field "metadata.fps" must be a positive number')
    question = _question(asked)
    row_id = str(record.get("id", index))
    video = record.get("video")
    frames = tuple(Path(p) for p in video) if isinstance(video, list) and video else (Path(row_id),)
    return Sample(
        key=sample_key(row_id, task, question),
        id=row_id,
        row=index,
        qa_type=qa_type,
        task=task,
        dataset=str(record.get("data_source") or record.get("dataset_name") or "Unknown"),
        video_id=str(metadata.get("video_id") or row_id.split("&&")[0]),
        question=question,
        answer=given[-1] if given else None,
        truth=record.get("struc_info"),
        clip=Clip(frames=frames, times=tuple(k / fps for k in range(len(frames))), fps=fps),
        metadata={str(k): str(v) for k, v in metadata.items()},
    )

"""The leaderboard's columns, number for number, quirks included.

The definitions reward abstention, spraying and constants in places; they exist to know one's board numbers
without uploading anything. What is optimised and compared in earnest is :mod:`medgrpo.evaluation.strict`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from medgrpo.evaluation.official import captions, cvs, dvc, nap, skill, stg, tal
from medgrpo.evaluation.official.captions import CaptionJudge, CaptionPair, Encoder, JudgedPairs
from medgrpo.evaluation.official.ranking import COLUMNS, rank, shown
from medgrpo.evaluation.official.rows import ColumnLostError, OfficialRow, TaskResult, official_row

__all__ = [
    "COLUMNS",
    "CaptionJudge",
    "CaptionPair",
    "Encoder",
    "OfficialResult",
    "OfficialRow",
    "official_row",
    "rank",
    "score_rows",
    "shown",
    "task_of",
]

_EXACT = ("tal", "stg", "next_action", "skill_assessment", "cvs_assessment")
_SUBSTRING = ("dense_captioning", "video_summary", "region_caption")
_COLUMNS_OF = {
    "tal": ("TAG_mIoU@0.3", "TAG_mIoU@0.5"),
    "stg": ("STG_mIoU",),
    "next_action": ("NAP_acc",),
    "skill_assessment": ("SA_acc",),
    "cvs_assessment": ("CVS_acc",),
    "dense_captioning": ("DVC_F1", "DVC_llm"),
    "video_summary": ("VS_llm",),
    "region_caption": ("RC_llm",),
}


@dataclass(frozen=True, slots=True)
class OfficialResult:
    """All columns of a set of rows.

    Attributes:
        board: Column to value; None if it was not computed.
        per_record: One value a row, None where the official code excludes it.
        by_source: Source to its own board.
        lost: Column to the row that crashes the official scorer; the board shows 0 there.
        results: Task to the outcome of its scorer.
        judged: Distinct pairs of captions that a judge was asked about.
        judge_failed: Those whose call failed, which are left out.
    """

    board: dict[str, float | None]
    per_record: list[Any]
    by_source: dict[str, dict[str, float | None]]
    lost: dict[str, str] = field(default_factory=dict)
    results: dict[str, TaskResult] = field(default_factory=dict)
    judged: int = 0
    judge_failed: int = 0


def task_of(qa_type: str) -> str | None:
    """The scorer that takes a ``qa_type``: exact for five tasks, by substring for the captions."""
    if qa_type in _EXACT:
        return qa_type
    return next((name for name in _SUBSTRING if name in qa_type), None)


def score_rows(
    rows: Sequence[OfficialRow], encoder: Encoder, judge: CaptionJudge | None = None
) -> OfficialResult:
    """Score rows as the leaderboard does.

    Args:
        rows: Records merged with predictions.
        encoder: Sentence embeddings; the leaderboard's is all-MiniLM-L6-v2.
        judge: For the three judge columns; without one they are None.
    """
    groups: dict[str, list[OfficialRow]] = {}
    for row in rows:
        task = task_of(row.qa_type)
        if task is not None:
            groups.setdefault(task, []).append(row)
    judged = JudgedPairs(judge, _pairs(groups)) if judge is not None else None

    board: dict[str, float | None] = dict.fromkeys(COLUMNS)
    values: dict[int, Any] = {}
    by_source: dict[str, dict[str, float | None]] = {}
    lost: dict[str, str] = {}
    results: dict[str, TaskResult] = {}
    for task, members in groups.items():
        try:
            result = _score(task, members, encoder, judged)
        except ColumnLostError as error:
            for column in _COLUMNS_OF[task]:
                board[column], lost[column] = 0.0, str(error)
            continue
        results[task] = result
        board.update(result.columns)
        values.update((row.index, v) for row, v in zip(members, result.per_record, strict=True))
        for source in dict.fromkeys(row.source for row in members):
            own = [row for row in members if row.source == source]
            part = _score(task, own, encoder, judged)
            by_source.setdefault(source, dict.fromkeys(COLUMNS)).update(part.columns)
    asked, failed = judged.counts if judged is not None else (0, 0)
    per_record = [values.get(row.index) for row in rows]
    return OfficialResult(board, per_record, by_source, lost, results, asked, failed)


def _score(
    task: str, rows: Sequence[OfficialRow], encoder: Encoder, judged: JudgedPairs | None
) -> TaskResult:
    simple = {
        "tal": tal.score,
        "stg": stg.score,
        "skill_assessment": skill.score,
        "cvs_assessment": cvs.score,
    }
    if task in simple:
        return simple[task](rows)
    if task == "next_action":
        return nap.score(rows, encoder)
    if task == "dense_captioning":
        return dvc.score(rows, judged)
    return captions.score(rows, _COLUMNS_OF[task][0], judged, encoder)


def _pairs(groups: Mapping[str, Sequence[OfficialRow]]) -> list[CaptionPair]:
    pairs = [
        CaptionPair.of(row, row.reference, row.prediction)
        for task in ("video_summary", "region_caption")
        for row in groups.get(task, ())
        if row.reference and row.prediction
    ]
    for row in groups.get("dense_captioning", ()):
        # A row that crashes the official scorer loses the column as soon as it is scored.
        with suppress(ColumnLostError):
            pairs += [pair for listed in dvc.caption_pairs(row).values() for pair in listed]
    return pairs

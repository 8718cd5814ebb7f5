"""What a run answered to each question: averages to compare two runs by, and the answers themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.index.curves import Rounds
from app.index.progress import files_of
from app.index.rollouts import RolloutIndex

__all__ = ["QuestionScore", "answers_to", "question_scores"]

# Merged files hold several shards, not all of them current.
_ANSWERS = """
FROM read_parquet(
    $files, filename = true, file_row_number = true, hive_partitioning = false, union_by_name = true
) r
JOIN shards s ON s.file = r.filename AND r.file_row_number >= s.first AND r.file_row_number < s.first + s.rows
WHERE s.run = $run AND r.step BETWEEN $first AND $last
"""


@dataclass(frozen=True, slots=True)
class QuestionScore:
    """The average of one quantity over the answers to one question.

    Attributes:
        key: The question, the same in all runs.
        dataset: Its dataset.
        task: Its task.
        video_id: Source video.
        quantity: ``reward``, ``readable``, ``length``, or a component's name, which stands for its raw score.
        value: The average.
        answers: How many.
    """

    key: str
    dataset: str
    task: str
    video_id: str
    quantity: str
    value: float
    answers: int


def question_scores(index: RolloutIndex, run: str, rounds: Rounds) -> list[QuestionScore]:
    """All averages of a run in some rounds, read from the shards.

    Raises:
        UserError: If one of them can no longer be read.
    """
    files = files_of(index, run)
    if not files:
        return []
    rows = index.rows(
        f"""
        WITH chosen AS (
            SELECT sample_key AS key, dataset, task, video_id, components,
                [{{'quantity': 'reward', 'value': reward}},
                 {{'quantity': 'readable', 'value':
                    CASE parse_status WHEN 'free_text' THEN NULL WHEN 'failed' THEN 0.0 ELSE 1.0 END}},
                 {{'quantity': 'length', 'value': len(completion_ids)::DOUBLE}}] AS own
            {_ANSWERS}
        ), numbers AS (
            SELECT key, dataset, task, video_id, unnest(own || [
                {{'quantity': c.name, 'value': c.raw}} FOR c IN components IF c.normalizer <> 'penalty'
            ]) AS number
            FROM chosen
        )
        SELECT key, dataset, task, any_value(video_id), number.quantity AS quantity, avg(number.value),
            count(*)
        FROM numbers WHERE isfinite(number.value) GROUP BY ALL ORDER BY dataset, task, quantity, key
        """,
        files=files,
        run=run,
        first=rounds[0],
        last=rounds[1],
    )
    return [QuestionScore(*row) for row in rows]


def answers_to(
    index: RolloutIndex, run: str, rounds: Rounds, key: str, at_most: int = 8
) -> list[dict[str, Any]]:
    """The latest answers of a run to one question, as mappings with the names of the stored columns.

    Args:
        index: The runs.
        run: One of them.
        rounds: Which to look at.
        key: The question.
        at_most: How many answers.
    """
    files = files_of(index, run)
    if not files:
        return []
    names = (
        "step", "group_id", "sample_index", "question", "reference_text", "completion_text", "reward",
        "advantage", "kept", "parse_status", "dataset", "task", "video_id",
    )  # fmt: skip
    rows = index.rows(
        f"SELECT {', '.join('r.' + name for name in names)} {_ANSWERS} AND r.sample_key = $key "
        "ORDER BY step DESC, group_id, sample_index LIMIT $at_most",
        files=files,
        run=run,
        first=rounds[0],
        last=rounds[1],
        key=key,
        at_most=at_most,
    )
    return [dict(zip(names, row, strict=True)) for row in rows]

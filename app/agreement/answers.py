"""What is known of the answers that were reviewed: where they come from, and what the judge gave them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.index import RolloutIndex
from app.review.reviews import run_id
from medgrpo.errors import UserError
from medgrpo.evaluation.verdicts import AnswerKey, Verdict, answer_hash

__all__ = ["Reviewed", "ReviewedAnswers"]


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A reviewed answer.

    Attributes:
        key: Of the answer.
        content: :func:`~medgrpo.evaluation.verdicts.answer_hash` of its texts.
        run: Name in the index.
        dataset: Source dataset.
        task: Canonical task.
        video: Source video; answers about one video are not independent.
        checkpoint: Hash of the policy that answered.
        judge: The judge's scores by dimension, empty where it gave none.
    """

    key: AnswerKey
    content: str
    run: str
    dataset: str
    task: str
    video: str
    checkpoint: str
    judge: Mapping[str, float]


class ReviewedAnswers:
    """Looks verdicts' answers up in the runs; each group is read once.

    Args:
        index: The runs.
    """

    def __init__(self, index: RolloutIndex) -> None:
        self._index = index
        self._groups: dict[tuple[str, int, str], list[Reviewed]] = {}

    def of(self, verdicts: Sequence[Verdict]) -> list[tuple[Verdict, Reviewed]]:
        """The verdicts whose answers are still stored with the text that was read, each with its answer."""
        names = [summary.run for summary in self._index.runs()]
        found = []
        for verdict in verdicts:
            run, step, group_id, _ = verdict.key
            groups = [self._group(name, step, group_id) for name in names if run_id(name) == run]
            answers = [one for group in groups for one in group]
            match = (one for one in answers if one.key == verdict.key and verdict.about(one.content))
            found += [(verdict, one) for one in match][:1]
        return found

    def _group(self, run: str, step: int, group_id: str) -> list[Reviewed]:
        place = (run, step, group_id)
        if place not in self._groups:
            try:
                rows = self._index.group(*place)
            except UserError:  # the page says how many verdicts have no answer any more
                return []
            self._groups[place] = [_reviewed(run, row) for row in rows]
        return self._groups[place]


def _reviewed(run: str, row: Mapping[str, Any]) -> Reviewed:
    judge = row["judge"]
    given = judge["dimensions"] if judge is not None and judge["status"] == "ok" else []
    return Reviewed(
        key=(row["run"], row["step"], row["group_id"], row["sample_index"]),
        content=answer_hash(row["question"], row["reference_text"], row["completion_text"]),
        run=run,
        dataset=row["dataset"],
        task=row["task"],
        video=f"{row['dataset']}/{row['video_id']}",
        checkpoint=row["policy_hash"],
        judge={one["dimension"]: one["score"] for one in given if one["score"] is not None},
    )

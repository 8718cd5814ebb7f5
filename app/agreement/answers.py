"""What is known of the answers that were reviewed: where they come from, and what the judge gave them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
        key: Of the answer, with the run's name in the index: two stores may hold runs of one id.
        content: :func:`~medgrpo.evaluation.verdicts.answer_hash` of its texts.
        dataset: Source dataset.
        task: Canonical task.
        video: Source video; answers about one video are not independent.
        checkpoint: Hash of the policy that answered.
        judge: The judge's scores by dimension, empty where it gave none.
        rubric: By which the judge scored, id and version; empty where it did not.
    """

    key: AnswerKey
    content: str
    dataset: str
    task: str
    video: str
    checkpoint: str
    judge: Mapping[str, float]
    rubric: str

    @property
    def run(self) -> str:
        """Name in the index."""
        return self.key[0]


class ReviewedAnswers:
    """Looks verdicts' answers up in the runs; each group is read once.

    Args:
        index: The runs.
    """

    def __init__(self, index: RolloutIndex) -> None:
        self._index = index
        self._groups: dict[tuple[str, int, str], list[Reviewed]] = {}

    def of(self, verdicts: Sequence[Verdict]) -> list[tuple[Verdict, Reviewed]]:
        """The verdicts whose answers are still stored as they were read, each with its answer and key.

        Those that :meth:`unsure` tells of are left out.
        """
        found = [(verdict, matches) for verdict, matches in self._matches(verdicts) if len(matches) == 1]
        return [(replace(verdict, key=answer.key), answer) for verdict, (answer,) in found]

    def unsure(self, verdicts: Sequence[Verdict]) -> tuple[int, list[str]]:
        """How many verdicts could be about answers of several runs, which have one id, and their names."""
        found = [matches for _, matches in self._matches(verdicts) if len(matches) > 1]
        return len(found), sorted({answer.run for matches in found for answer in matches})

    def _matches(self, verdicts: Sequence[Verdict]) -> Iterator[tuple[Verdict, list[Reviewed]]]:
        names = [summary.run for summary in self._index.runs()]
        for verdict in verdicts:
            run, step, group_id, index = verdict.key
            groups = [self._group(name, step, group_id) for name in names if run_id(name) == run]
            yield (
                verdict,
                [
                    answer
                    for group in groups
                    for answer in group
                    if answer.key[3] == index and verdict.about(answer.content)
                ],
            )

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
        key=(run, row["step"], row["group_id"], row["sample_index"]),
        content=answer_hash(row["question"], row["reference_text"], row["completion_text"]),
        dataset=row["dataset"],
        task=row["task"],
        video=f"{row['dataset']}/{row['video_id']}",
        checkpoint=row["policy_hash"],
        judge={one["dimension"]: one["score"] for one in given if one["score"] is not None},
        rubric=judge["rubric"] if given else "",
    )

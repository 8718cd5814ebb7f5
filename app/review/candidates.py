"""The answers of a run that a review may draw from, by kind."""

from __future__ import annotations

from collections.abc import Sequence

from app.index import RolloutIndex
from app.review.sampler import Candidate

__all__ = ["candidates"]

# Of a large run only as many of a stratum are fetched as could be drawn, chosen by lot: md5 keeps its values
# over versions and machines, so that the seed still names the same review.
_SQL = """
WITH known AS (
    SELECT step, group_id, sample_index, dataset, task, reward, coalesce(isfinite(reward), false) AS scored
    FROM answers
    WHERE run = $run AND step BETWEEN $first AND $last AND task IN (SELECT unnest($tasks))
), thirds AS (
    SELECT *, CASE WHEN scored THEN ntile(3) OVER (
        PARTITION BY dataset, task, scored ORDER BY reward, step, group_id, sample_index
    ) ELSE 0 END AS third
    FROM known
)
SELECT step, group_id, sample_index, dataset, task, third FROM thirds
QUALIFY row_number() OVER (
    PARTITION BY dataset, task, third
    ORDER BY md5(concat_ws('/', $seed, step, group_id, sample_index)), step, group_id, sample_index
) <= $size
ORDER BY step, group_id, sample_index
"""


def candidates(
    index: RolloutIndex, run: str, rounds: tuple[int, int], tasks: Sequence[str], size: int, seed: int
) -> list[Candidate]:
    """Answers by dataset, task and third of the rewards of that dataset and task.

    Args:
        index: The runs.
        run: Name in the index.
        rounds: First and last.
        tasks: Canonical tasks.
        size: Answers that will be drawn.
        seed: Of the lot.
    """
    rows = index.rows(
        _SQL, run=run, first=rounds[0], last=rounds[1], tasks=list(tasks), size=size, seed=str(seed)
    )
    return [
        Candidate((step, group_id, number), (dataset, task, str(third)))
        for step, group_id, number, dataset, task, third in rows
    ]

"""Where scores stood before training, and where they stand now."""

from __future__ import annotations

import math
from dataclasses import dataclass

from app.index.rollouts import RolloutIndex

__all__ = ["Box", "ThenAndNow", "then_and_now"]


@dataclass(frozen=True, slots=True)
class Box:
    """The quartiles of some scores."""

    p25: float
    p50: float
    p75: float


@dataclass(frozen=True, slots=True)
class ThenAndNow:
    """One reward component of one dataset and task.

    Attributes:
        component: Its name in the reward.
        then: Quartiles before training, as stored with the first answers; None if the reward has none.
        now: Those of the last rounds.
        count: Answers in the last rounds.
    """

    dataset: str
    task: str
    component: str
    then: Box | None
    now: Box
    count: int


def then_and_now(index: RolloutIndex, run: str, last: int) -> list[ThenAndNow]:
    """Frozen and present quartiles of the raw scores, by dataset, task and component.

    Args:
        index: The runs.
        run: One of them.
        last: How many rounds are now, of those in which a dataset and task occurs.
    """
    rows = index.rows(
        """
        WITH ranked AS (
            SELECT *, dense_rank() OVER (PARTITION BY dataset, task ORDER BY step DESC) AS age
            FROM parts WHERE run = $run AND normalizer <> 'penalty'
        )
        SELECT dataset, task, name, arg_min(p25, step), arg_min(p50, step),
            arg_min(p75, step), quantile_cont(raw, 0.25) FILTER (age <= $last AND isfinite(raw)),
            quantile_cont(raw, 0.5) FILTER (age <= $last AND isfinite(raw)),
            quantile_cont(raw, 0.75) FILTER (age <= $last AND isfinite(raw)),
            count(*) FILTER (age <= $last AND isfinite(raw))
        FROM ranked GROUP BY ALL ORDER BY dataset, task, name
        """,
        run=run,
        last=last,
    )
    return [
        ThenAndNow(dataset, task, name, _box(*then), Box(*now), count)
        for dataset, task, name, *numbers, count in rows
        for then, now in [(numbers[:3], numbers[3:])]
        if count
    ]


def _box(*values: float | None) -> Box | None:
    known = [value for value in values if value is not None and math.isfinite(value)]
    return Box(*known) if len(known) == 3 else None

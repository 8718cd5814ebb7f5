"""The numbers of each round that alarms look at, under the names of the trainer's log."""

from __future__ import annotations

from dataclasses import dataclass

from app.index.rollouts import RolloutIndex
from medgrpo.rollout.metrics import pair_prefix

__all__ = ["PairCounts", "recent_counts", "round_numbers"]

_NUMBERS = ("reward_mean", "parse_rate", "entropy")


def round_numbers(index: RolloutIndex, run: str) -> dict[int, dict[str, float]]:
    """Mean reward, parse rate and estimated entropy of each dataset and task.

    The entropy is the mean of minus the log-probabilities of the sampled tokens: what it is on average.

    Returns:
        Round to ``train/<dataset>/<task>/<name>`` to number, in ascending rounds; what is unknown is absent.
    """
    rows = index.rows(
        """
        SELECT step, dataset, task, avg(reward) FILTER (isfinite(reward)),
            avg(CASE WHEN parse_status = 'failed' THEN 0.0 ELSE 1.0 END) FILTER (parse_status <> 'free_text'),
            avg(surprise) FILTER (isfinite(surprise))
        FROM answers WHERE run = $run GROUP BY ALL ORDER BY step, dataset, task
        """,
        run=run,
    )
    found: dict[int, dict[str, float]] = {}
    for step, dataset, task, *numbers in rows:
        prefix = pair_prefix((dataset, task))
        known = {f"{prefix}/{name}": v for name, v in zip(_NUMBERS, numbers, strict=True) if v is not None}
        found.setdefault(step, {}).update(known)
    return found


@dataclass(frozen=True, slots=True)
class PairCounts:
    """What happened to the answers of a dataset and task in the last rounds.

    Attributes:
        groups: All of them.
        flat: Of which all answers got the same reward.
        unrewarded: Of which a reward could not be computed.
        judged: Answers that were sent to a judge.
        unjudged: Of which it gave no marks.
    """

    dataset: str
    task: str
    groups: int
    flat: int
    unrewarded: int
    judged: int
    unjudged: int


def recent_counts(index: RolloutIndex, run: str, last: int) -> list[PairCounts]:
    """Counts over the last rounds in which each dataset and task occurs.

    Args:
        index: The runs.
        run: One of them.
        last: How many rounds.
    """
    rows = index.rows(
        """
        WITH ranked AS (
            SELECT *, dense_rank() OVER (PARTITION BY dataset, task ORDER BY step DESC) AS age
            FROM answers WHERE run = $run
        ), groups AS (
            SELECT dataset, task, step, group_id, any_value(skip_reason) AS reason,
                count(judge_status) AS judged,
                count(*) FILTER (judge_status NOT IN ('ok', 'gated')) AS unjudged
            FROM ranked WHERE age <= $last GROUP BY ALL
        )
        SELECT dataset, task, count(*), count(*) FILTER (reason IN ('zero_variance', 'refilled')),
            count(*) FILTER (reason = 'failed_reward'), sum(judged)::BIGINT, sum(unjudged)::BIGINT
        FROM groups GROUP BY ALL ORDER BY dataset, task
        """,
        run=run,
        last=last,
    )
    return [PairCounts(*row) for row in rows]

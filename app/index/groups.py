"""The list of groups: which of them, in what order, which page of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

__all__ = ["ORDERS", "GroupFilter", "GroupRow", "list_groups"]

Ask = Callable[..., list[tuple[Any, ...]]]


@dataclass(frozen=True, slots=True)
class GroupFilter:
    """Which groups to list. None, or an empty text, lets all pass.

    A group passes the filters on answers if one of its answers passes all of these: they find an answer to
    look at, and a group is how it is looked at.

    Attributes:
        run: Name of the run.
        step: Round.
        dataset: Source dataset.
        task: Canonical task.
        reward_from: Least reward of an answer.
        reward_to: Greatest reward of an answer.
        parse_status: Of an answer: ``ok``, ``repaired``, ``failed`` or ``free_text``.
        text: Words in the question, the reference, the answers, the judge's reasons or the names of sample,
            video and group. All must be there; ``"two words"`` are sought beside each other, ``diss*`` by
            their beginning.
    """

    run: str | None = None
    step: int | None = None
    dataset: str | None = None
    task: str | None = None
    reward_from: float | None = None
    reward_to: float | None = None
    parse_status: str | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One group in the list: all answers to one question in one round.

    Attributes:
        run: Name of the run.
        step: Round.
        group_id: Its name in the round.
        dataset: Source dataset.
        task: Canonical task.
        video_id: Source video.
        answers: Number of answers.
        mean: Of the rewards that are numbers; None if none is.
        best: Highest reward.
        worst: Lowest reward.
        judge_mean: Of the judge's marks; None if it was not asked.
        unreadable: Answers in which the requested structure was not found.
        skip_reason: Why nothing is learnt from the group; empty if something is.
        advantage: Largest absolute advantage.
        disagreement: Of the answers, how far apart judge and similarity rank one at most, as a share of all
            answers of the run, dataset and task; None if the two did not both look at them.
    """

    run: str
    step: int
    group_id: str
    dataset: str
    task: str
    video_id: str
    answers: int
    mean: float | None
    best: float | None
    worst: float | None
    judge_mean: float | None
    unreadable: int
    skip_reason: str
    advantage: float | None
    disagreement: float | None


ORDERS = {
    "newest": "step DESC",
    "oldest": "step",
    "best": "mean DESC NULLS LAST, step DESC",
    "worst": "mean NULLS LAST, step DESC",
    "spread": "best - worst DESC NULLS LAST, step DESC",
    "advantage": "advantage DESC NULLS LAST, step DESC",
    "disagreement": "disagreement DESC NULLS LAST, step DESC",
}
"""How the list can be ordered, by its name in links; groups that are equal come by run and name."""

_GROUP_CONDITIONS = {
    "run": "run = $run",
    "step": "step = $step",
    "dataset": "dataset = $dataset",
    "task": "task = $task",
}
_ANSWER_CONDITIONS = {
    "reward_from": "reward >= $reward_from AND NOT isnan(reward)",  # NaN is the greatest number to DuckDB
    "reward_to": "reward <= $reward_to",
    "parse_status": "parse_status = $parse_status",
}
_MATCHED = "SELECT run, step, group_id FROM answers JOIN matched USING (shard, row)"


def list_groups(
    ask: Ask, chosen: GroupFilter, order: str, offset: int, limit: int, matched: pa.Table | None = None
) -> tuple[list[GroupRow], int]:
    """A page of the list, and how many groups pass the filters in all.

    Args:
        ask: Asks the tables.
        chosen: The filters but that on texts.
        order: One of :data:`ORDERS`.
        offset: Groups before the page.
        limit: Groups on the page.
        matched: The (shard, row) of an answer of each group that passes the filter on texts; None if all do.
    """
    conditions, values = _conditions(chosen)
    if matched is not None:
        conditions.append(f"(run, step, group_id) IN ({_MATCHED})")
        values["matched"] = matched
    passing = f"SELECT * FROM groups WHERE {' AND '.join(conditions) or 'true'}"
    rows = ask(
        f"""
        WITH passing AS MATERIALIZED ({passing}),
            known AS (SELECT run, step, group_id, disagreement FROM gaps)
        SELECT run, step, group_id, dataset, task, video_id, answers, mean, best, worst, judge_mean,
            unreadable, skip_reason, advantage, disagreement, (SELECT count(*) FROM passing)
        FROM passing LEFT JOIN known USING (run, step, group_id)
        ORDER BY {ORDERS[order]}, run, group_id LIMIT $limit OFFSET $offset
        """,
        limit=limit,
        offset=offset,
        **values,
    )
    if rows:
        return [GroupRow(*row[:-1]) for row in rows], rows[0][-1]
    ((total,),) = ask(f"SELECT count(*) FROM ({passing})", **values)  # a page after the last
    return [], total


def _conditions(chosen: GroupFilter) -> tuple[list[str], dict[str, Any]]:
    """SQL conditions on ``groups``, and the values that they name."""
    groups = [name for name in _GROUP_CONDITIONS if getattr(chosen, name) is not None]
    answers = [name for name in _ANSWER_CONDITIONS if getattr(chosen, name) is not None]
    conditions = [_GROUP_CONDITIONS[name] for name in groups]
    if answers:
        narrowed = [*conditions, *(_ANSWER_CONDITIONS[name] for name in answers)]
        found = f"SELECT run, step, group_id FROM answers WHERE {' AND '.join(narrowed)}"
        conditions.append(f"(run, step, group_id) IN ({found})")
    return conditions, {name: getattr(chosen, name) for name in (*groups, *answers)}

"""How a run develops: one point for each round and line."""

from __future__ import annotations

from dataclasses import dataclass

from app.index.measures import MEASURES
from app.index.rollouts import RolloutIndex

__all__ = ["ALL_ROUNDS", "CurvePoint", "Rounds", "curves"]

Rounds = tuple[int, int]
"""First and last round, both included."""

ALL_ROUNDS: Rounds = (0, 2**62)


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One round of one line: ``series`` is empty or a reward component.

    Attributes:
        count: Answers.
        mean: Their average.
        p25: First quartile; NaN where only an average is known.
        p75: Third quartile, as ``p25``.
        reference: The value before this training, if it is known.
    """

    dataset: str
    task: str
    series: str
    step: int
    count: int
    mean: float
    p25: float
    p75: float
    reference: float | None

    @property
    def line(self) -> tuple[str, str, str]:
        """Which line the point is on."""
        return self.dataset, self.task, self.series


def curves(index: RolloutIndex, run: str, measure: str, rounds: Rounds = ALL_ROUNDS) -> list[CurvePoint]:
    """One point a round and line, in the order of dataset, task, series and round.

    Args:
        index: The runs.
        run: One of them.
        measure: A key of :data:`MEASURES`.
        rounds: Which to look at.
    """
    chosen = MEASURES[measure]
    series = "name" if chosen.table == "parts" else "''"
    low, high = (
        ("'nan'::DOUBLE",) * 2
        if chosen.share
        else ("quantile_cont(value, 0.25)", "quantile_cont(value, 0.75)")
    )
    rows = index.rows(
        f"""
        WITH lines AS (
            SELECT t.run, t.dataset, t.task, {series} AS series, {chosen.reference} AS reference
            FROM {chosen.table} t WHERE t.run = $run GROUP BY ALL
        ), points AS (
            SELECT run, dataset, task, {series} AS series, step, ({chosen.value})::DOUBLE AS value
            FROM {chosen.table} WHERE run = $run AND step BETWEEN $first AND $last
        )
        SELECT dataset, task, series, step, count(*), avg(value), {low}, {high}, any_value(reference)
        FROM points JOIN lines USING (run, dataset, task, series)
        WHERE isfinite(value) GROUP BY ALL ORDER BY dataset, task, series, step
        """,
        run=run,
        first=rounds[0],
        last=rounds[1],
    )
    return [CurvePoint(*row) for row in rows]

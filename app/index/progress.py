"""When the runs wrote, and where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.index.rollouts import RolloutIndex

__all__ = ["Progress", "files_of", "home_of", "progress"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    Attributes:
        run: Its name.
        rounds: Rounds that were stored.
        last: The last one's number.
        written: When that was, seconds since the epoch.
        gap: Usual time between two rounds in seconds; None after the first.
    """

    run: str
    rounds: int
    last: int
    written: float
    gap: float | None


def progress(index: RolloutIndex) -> list[Progress]:
    """All runs, the one that wrote last first."""
    rows = index.rows(
        """
        WITH rounds AS (SELECT run, step, epoch(max(written)) AS moment FROM answers GROUP BY ALL),
        gaps AS (SELECT *, moment - lag(moment) OVER (PARTITION BY run ORDER BY step) AS gap FROM rounds)
        SELECT run, count(*), max(step), max(moment), median(gap) FILTER (gap > 0)
        FROM gaps GROUP BY run ORDER BY max(moment) DESC, run
        """
    )
    return [Progress(*row) for row in rows]


def files_of(index: RolloutIndex, run: str) -> list[str]:
    """The shards that hold a run."""
    return [
        str(row[0])
        for row in index.rows("SELECT DISTINCT file FROM shards WHERE run = $run ORDER BY file", run=run)
    ]


def home_of(index: RolloutIndex, run: str) -> tuple[Path, str] | None:
    """The folder that holds the ``rollouts/`` of a run, and the run's own name there; None if it is gone."""
    for file in files_of(index, run)[:1]:
        path = Path(file)
        store = next((parent for parent in path.parents if parent.name == "rollouts"), None)
        folder = next((part for part in path.parts if part.startswith("run=")), "")
        if store is not None and folder:
            return store.parent, folder.removeprefix("run=")
    return None

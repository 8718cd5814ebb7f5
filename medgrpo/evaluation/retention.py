"""Whether training on some tasks cost others: a paired comparison of two prediction sets.

Rows of one source video are not independent, so whole videos are resampled (paired bootstrap): the same
draw of videos for both sets, the mean difference of each draw, and the interval of those means.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from medgrpo.errors import UserError
from medgrpo.evaluation.report import grid
from medgrpo.evaluation.scores import Scores
from medgrpo.evaluation.uncertainty import clusters, video_of
from medgrpo.tasks.base import ScoredRow

__all__ = ["Retention", "retention", "retention_table"]


@dataclass(frozen=True, slots=True)
class Retention:
    """One quantity of one (dataset, task) pair before and after.

    Attributes:
        dataset: Source dataset.
        task: Canonical task.
        quantity: ``score`` or ``validity``.
        n: Rows.
        videos: Source videos.
        before: Mean before.
        after: Mean after.
        low: Lower end of the 95% interval of the difference.
        high: Upper end.
        verdict: ``lost`` if the whole interval is below 0, ``gained`` if above, else ``kept``; ``unsure``
            with fewer than two videos, which allow no interval.
    """

    dataset: str
    task: str
    quantity: str
    n: int
    videos: int
    before: float
    after: float
    low: float
    high: float
    verdict: str


def retention(
    before: Scores,
    after: Scores,
    trained: Collection[str] | Collection[tuple[str, str]] = (),
    *,
    draws: int = 2000,
    seed: int = 0,
) -> list[Retention]:
    """Compare score and format validity outside of what was trained.

    Args:
        before: Strict scores, for example of the SFT checkpoint.
        after: Strict scores of the same records, for example after GRPO.
        trained: Task names or (dataset, task) pairs of the RL mix, which are left out.
        draws: Bootstrap draws.
        seed: Of the draws.

    Raises:
        UserError: If the two were not scored strictly on the same records.
    """
    if not before.rows or not after.rows:
        raise UserError("the retention check needs two sets of strict scores with their rows")
    if [r.sample.key for r in before.rows] != [r.sample.key for r in after.rows]:
        raise UserError("the retention check needs both sets scored on the same records, in the same order")
    skip = set(trained)
    groups: dict[tuple[str, str], list[tuple[ScoredRow, ScoredRow]]] = {}
    for a, b in zip(before.rows, after.rows, strict=True):
        if a.sample.task not in skip and a.sample.pair not in skip:
            groups.setdefault(a.sample.pair, []).append((a, b))
    rows = []
    for dataset, task in sorted(groups):
        members = groups[dataset, task]
        videos = [video_of(a.sample) for a, _ in members]
        scores = [(a.score, b.score) for a, b in members]
        known = [(x, y) for x, y in scores if x is not None and y is not None]
        if len(known) == len(scores):
            rows.append(_compare(dataset, task, "score", videos, known, draws, seed))
        validity = [(float(a.parsed.valid), float(b.parsed.valid)) for a, b in members]
        rows.append(_compare(dataset, task, "validity", videos, validity, draws, seed))
    return rows


def _compare(
    dataset: str,
    task: str,
    quantity: str,
    videos: Sequence[str],
    pairs: Sequence[tuple[float, float]],
    draws: int,
    seed: int,
) -> Retention:
    values = np.asarray(pairs, dtype=np.float64)
    cluster = clusters(videos)
    sizes = np.bincount(cluster).astype(np.float64)
    sums = np.bincount(cluster, weights=values[:, 1] - values[:, 0])
    chosen = np.random.default_rng(seed).integers(len(sizes), size=(draws, len(sizes)))
    means = sums[chosen].sum(axis=1) / sizes[chosen].sum(axis=1)
    low, high = (float(v) for v in np.quantile(means, (0.025, 0.975)))
    verdict = "lost" if high < 0.0 else "gained" if low > 0.0 else "kept"
    first, second = (float(v) for v in values.mean(axis=0))
    return Retention(
        dataset,
        task,
        quantity,
        len(pairs),
        len(sizes),
        first,
        second,
        low,
        high,
        verdict if len(sizes) > 1 else "unsure",
    )


def retention_table(rows: Sequence[Retention], style: str = "text") -> str:
    """The rows as a table."""
    head = [
        "dataset",
        "task",
        "quantity",
        "n",
        "videos",
        "before",
        "after",
        "difference",
        "95% interval",
        "verdict",
    ]
    body = [
        [
            r.dataset,
            r.task,
            r.quantity,
            str(r.n),
            str(r.videos),
            f"{r.before:.3f}",
            f"{r.after:.3f}",
            f"{r.after - r.before:+.3f}",
            f"{r.low:+.3f} to {r.high:+.3f}",
            r.verdict,
        ]
        for r in rows
    ]
    return grid(head, body, style)

"""Did two sets of answers to the same questions score differently, row by row?

Differences are paired by record; intervals and tests take whole source videos (see
:mod:`medgrpo.evaluation.uncertainty`). With ``skip`` this is the retention check: whether training on some
tasks cost others their score or their format.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from medgrpo.errors import UserError
from medgrpo.evaluation.scores import Scores
from medgrpo.evaluation.tables import grid
from medgrpo.evaluation.uncertainty import bootstrap_intervals, holm, sign_flip_test
from medgrpo.tasks import TASKS
from medgrpo.tasks.quantities import mean

__all__ = ["ALL", "Difference", "difference_table", "paired_differences"]

ALL = "(all)"
"""In place of a dataset: all of them together."""

QUANTITIES = ("score", "judge", "validity")


@dataclass(frozen=True, slots=True)
class Difference:
    """One quantity of one (dataset, task) pair in two sets of answers.

    Attributes:
        dataset: Source dataset, or :data:`ALL`.
        task: Canonical task.
        quantity: ``score``, ``judge`` or ``validity`` (exactly the published format).
        n: Rows.
        videos: Source videos.
        before: Mean of the first set.
        after: Mean of the second set.
        low: Lower end of the 95% interval of the difference.
        high: Upper end.
        p: Of the sign-flip test, by video.
        p_holm: The same corrected for all differences of the comparison (Holm's step-down procedure).
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
    p: float
    p_holm: float
    verdict: str


def paired_differences(
    before: Scores,
    after: Scores,
    *,
    quantities: Collection[str] = QUANTITIES,
    skip: Collection[str] = (),
    pooled: bool = False,
    draws: int = 2000,
    seed: int = 0,
) -> list[Difference]:
    """Compare two sets of strict scores of the same records.

    Args:
        before: Strict scores, for example of the SFT checkpoint.
        after: Strict scores of the same records, for example after GRPO.
        quantities: Which of ``score``, ``judge`` and ``validity``; those that either set lacks are left out.
        skip: Tasks to leave out, such as those of the RL mix.
        pooled: Whether each task also gets a line over all datasets.
        draws: Bootstrap draws.
        seed: Of draws and sign flips.

    Raises:
        UserError: If the two were not scored strictly on the same records.
    """
    for scores in (before, after):
        if scores.protocol != "strict" or len(scores.names.key) != len(scores.per_record):
            raise UserError(
                "a paired comparison needs two sets of strict scores with the names of their rows"
            )
    names = before.names
    if list(names.key) != list(after.names.key):
        raise UserError("a paired comparison needs both sets scored on the same records, in the same order")
    groups: dict[tuple[str, str], list[int]] = {}
    for i, (dataset, task) in enumerate(zip(names.dataset, names.task, strict=True)):
        if task not in skip:
            groups.setdefault((dataset, task), []).append(i)
            if pooled:
                groups.setdefault((ALL, task), []).append(i)
    order = list(TASKS)
    rows = []
    for dataset, task in sorted(groups, key=lambda g: (g[0] != ALL, g[0], order.index(g[1]))):
        index = groups[dataset, task]
        videos = [names.video[i] for i in index]
        for quantity in QUANTITIES:
            pairs = _pairs(before, after, quantity, index) if quantity in quantities else None
            if pairs is not None:
                rows.append(_difference(dataset, task, quantity, videos, pairs, draws, seed))
    corrected = holm([row.p for row in rows])
    return [replace(row, p_holm=p) for row, p in zip(rows, corrected, strict=True)]


def _pairs(
    before: Scores, after: Scores, quantity: str, index: Sequence[int]
) -> list[tuple[float, float]] | None:
    """Both sides of one quantity; None if a row lacks it."""
    read: dict[str, Callable[[Scores, int], float | None]] = {
        "score": lambda scores, i: scores.per_record[i],
        "judge": lambda scores, i: scores.judged[i] if scores.judged else None,
        "validity": lambda scores, i: float(scores.names.status[i] in ("ok", "free_text")),
    }
    pairs = [(read[quantity](before, i), read[quantity](after, i)) for i in index]
    known = [(a, b) for a, b in pairs if a is not None and b is not None]
    return known if len(known) == len(pairs) else None


def _difference(
    dataset: str,
    task: str,
    quantity: str,
    videos: Sequence[str],
    pairs: Sequence[tuple[float, float]],
    draws: int,
    seed: int,
) -> Difference:
    changes = [b - a for a, b in pairs]
    first, second = (sum(side) / len(pairs) for side in zip(*pairs, strict=True))
    interval = bootstrap_intervals([mean("", changes)], videos, draws=draws, seed=seed).get("")
    low, high = interval or (second - first, second - first)
    verdict = "unsure" if interval is None else "lost" if high < 0.0 else "gained" if low > 0.0 else "kept"
    p = sign_flip_test(changes, videos, seed=seed)
    count = len(set(videos))
    return Difference(dataset, task, quantity, len(pairs), count, first, second, low, high, p, p, verdict)


def difference_table(rows: Sequence[Difference], style: str = "text") -> str:
    """The rows as a table."""
    head = [
        *("dataset", "task", "quantity", "n", "videos", "before", "after"),
        *("difference", "95% interval", "p", "p (Holm)", "verdict"),
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
            f"{r.p:.4f}",
            f"{r.p_holm:.4f}",
            r.verdict,
        ]
        for r in rows
    ]
    return grid(head, body, style)

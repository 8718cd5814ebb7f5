"""Do raters agree: clinicians with each other, and a judge with them?

Three measures of the same scores from 1 to 5, because each misses something: rank correlation (Spearman)
ignores a rater who is always a point kinder, Cohen's kappa with quadratic weights does not, and
Krippendorff's ordinal alpha takes any number of raters with gaps. Intervals resample whole videos.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import krippendorff
import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from medgrpo.evaluation.uncertainty import LEVELS, clusters
from medgrpo.tasks.agreement import quadratic_kappa

__all__ = ["LEAST", "Agreement", "agreement_of", "alpha", "kappa", "spearman"]

Array = NDArray[np.float64]

LEAST = 20
"""Items that two raters must share before a number about them is told."""

GRADES = 5


@dataclass(frozen=True, slots=True)
class Agreement:
    """One measure of how far raters agree.

    Attributes:
        name: ``spearman``, ``kappa`` or ``alpha``, and between whom.
        value: 1 is full agreement; NaN where it is not defined or too few items are shared.
        low: Of the 95% interval.
        high: Of the 95% interval.
        items: Items that at least two of the raters scored.
    """

    name: str
    value: float
    low: float
    high: float
    items: int


def spearman(ratings: Array) -> float:
    """Rank correlation of two raters, ``[2, N]``; NaN if one of them gave everything the same."""
    if ratings.shape[1] < 2 or not np.ptp(ratings, axis=1).all():
        return float("nan")
    return float(np.corrcoef(rankdata(ratings, axis=1))[0, 1])


def kappa(ratings: Array) -> float:
    """Cohen's kappa with quadratic weights of two raters, ``[2, N]``, scores rounded to 1 to 5."""
    grades = np.clip(np.rint(ratings), 1, GRADES).astype(np.intp) - 1
    table = np.zeros((GRADES, GRADES + 1))
    np.add.at(table, (grades[0], grades[1]), 1.0)
    return float(quadratic_kappa(table))


def alpha(ratings: Array) -> float:
    """Krippendorff's ordinal alpha of any number of raters, ``[R, N]``, NaN where one gave no score."""
    shared = ratings[:, np.isfinite(ratings).sum(axis=0) >= 2]
    if shared.shape[1] == 0:
        return float("nan")
    if len(np.unique(shared[np.isfinite(shared)])) < 2:
        return 1.0  # all the same: nothing disagrees, and nothing could be told apart
    return float(krippendorff.alpha(reliability_data=shared, level_of_measurement="ordinal"))


def agreement_of(
    ratings: Mapping[str, Array], videos: Sequence[Hashable], *, draws: int = 500, seed: int = 0
) -> list[Agreement]:
    """All measures between all raters.

    Args:
        ratings: Scores of each rater, ``[N]``, NaN where there is none.
        videos: Source video of each item, ``[N]``.
        draws: Resamples of videos for the intervals.
        seed: Of the resamples.

    Returns:
        Spearman and kappa of every two raters, then alpha of all; NaN below :data:`LEAST` shared items.
    """
    found = []
    for a, b in combinations(ratings, 2):
        pair = np.stack([ratings[a], ratings[b]])
        both = np.isfinite(pair[0]) & np.isfinite(pair[1])
        for name, measure in (("spearman", spearman), ("kappa", kappa)):
            chosen = [video for video, is_shared in zip(videos, both, strict=True) if is_shared]
            found.append(_measured(f"{name} {a} - {b}", measure, pair[:, both], chosen, draws, seed))
    if len(ratings) > 1:
        every = np.stack(list(ratings.values()))
        shared = np.isfinite(every).sum(axis=0) >= 2
        chosen = [video for video, is_shared in zip(videos, shared, strict=True) if is_shared]
        found.append(_measured(f"alpha {', '.join(ratings)}", alpha, every[:, shared], chosen, draws, seed))
    return found


def _measured(
    name: str,
    measure: Callable[[Array], float],
    ratings: Array,
    videos: Sequence[Hashable],
    draws: int,
    seed: int,
) -> Agreement:
    items = ratings.shape[1]
    nothing = float("nan")
    if items < LEAST:
        return Agreement(name, nothing, nothing, nothing, items)
    cluster = clusters(videos)
    members = [np.flatnonzero(cluster == number) for number in range(cluster.max() + 1)]
    generator = np.random.default_rng(seed)
    values = []
    for _ in range(draws):
        drawn = generator.integers(0, len(members), len(members))
        values.append(measure(ratings[:, np.concatenate([members[i] for i in drawn])]))
    finite = [value for value in values if np.isfinite(value)]
    low, high = np.quantile(finite, LEVELS) if len(finite) > draws // 2 else (nothing, nothing)
    return Agreement(name, measure(ratings), float(low), float(high), items)

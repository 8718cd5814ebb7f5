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

from medgrpo.evaluation.uncertainty import LEVELS, clusters
from medgrpo.tasks.agreement import quadratic_kappa

__all__ = [
    "LEAST",
    "Agreement",
    "agreement_of",
    "agreement_of_all",
    "agreement_of_two",
    "alpha",
    "kappa",
    "spearman",
]

Array = NDArray[np.float64]
Counts = NDArray[np.int64]

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
    return float(_spearman(ratings, _once(ratings))[0])


def kappa(ratings: Array) -> float:
    """Cohen's kappa with quadratic weights of two raters, ``[2, N]``, scores rounded to 1 to 5."""
    return float(_kappa(ratings, _once(ratings))[0])


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
    pairs = [{a: ratings[a], b: ratings[b]} for a, b in combinations(ratings, 2)]
    found = [one for pair in pairs for one in agreement_of_two(pair, videos, draws=draws, seed=seed)]
    return [*found, agreement_of_all(ratings, videos, draws=draws, seed=seed)] if pairs else found


def agreement_of_two(
    ratings: Mapping[str, Array], videos: Sequence[Hashable], *, draws: int = 500, seed: int = 0
) -> list[Agreement]:
    """Spearman and kappa of two raters; for the rest see :func:`agreement_of`."""
    names = " - ".join(ratings)
    return [
        _measured(f"{name} {names}", measure, ratings, videos, draws, seed)
        for name, measure in (("spearman", _spearman), ("kappa", _kappa))
    ]


def agreement_of_all(
    ratings: Mapping[str, Array], videos: Sequence[Hashable], *, draws: int = 500, seed: int = 0
) -> Agreement:
    """Alpha of two or more raters; for the rest see :func:`agreement_of`."""
    return _measured(f"alpha {', '.join(ratings)}", _alpha, ratings, videos, draws, seed)


def _measured(
    name: str,
    measure: Callable[[Array, Counts], Array],
    raters: Mapping[str, Array],
    videos: Sequence[Hashable],
    draws: int,
    seed: int,
) -> Agreement:
    ratings = np.stack(list(raters.values()))
    shared = np.isfinite(ratings).sum(axis=0) >= 2
    ratings, items = ratings[:, shared], int(shared.sum())
    nothing = float("nan")
    if items < LEAST:
        return Agreement(name, nothing, nothing, nothing, items)
    cluster = clusters([video for video, is_shared in zip(videos, shared, strict=True) if is_shared])
    count = int(cluster.max()) + 1
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1.0 / count), draws)
    values = measure(ratings, drawn[:, cluster])
    finite = values[np.isfinite(values)]
    low, high = np.quantile(finite, LEVELS) if len(finite) > draws // 2 else (nothing, nothing)
    return Agreement(name, float(measure(ratings, _once(ratings))[0]), float(low), float(high), items)


# Each takes ratings [R, N] and how often every item was drawn, [D, N], and gives [D].


def _once(ratings: Array) -> Counts:
    return np.ones((1, ratings.shape[1]), dtype=np.int64)


def _spearman(ratings: Array, drawn: Counts) -> Array:
    first, second = (_centred_ranks(scores, drawn) for scores in ratings)
    covariance = (drawn * first * second).sum(axis=1)
    spread = np.sqrt((drawn * first**2).sum(axis=1) * (drawn * second**2).sum(axis=1))
    return np.where(spread > 0.0, covariance / np.where(spread > 0.0, spread, 1.0), np.nan)


def _centred_ranks(scores: Array, drawn: Counts) -> Array:
    """Rank of each item among the drawn ones, ties at their middle, less the mean rank: ``[D, N]``."""
    _, level = np.unique(scores, return_inverse=True)
    counts = np.stack([drawn[:, level == one].sum(axis=1) for one in range(int(level.max(initial=-1)) + 1)])
    middle = counts.cumsum(axis=0) - counts / 2.0
    return (middle - counts.sum(axis=0) / 2.0)[level].T


def _kappa(ratings: Array, drawn: Counts) -> Array:
    grades = np.clip(np.rint(ratings), 1, GRADES).astype(np.intp) - 1
    cells = np.eye(GRADES * (GRADES + 1))[grades[0] * (GRADES + 1) + grades[1]]
    return quadratic_kappa((drawn @ cells).reshape(-1, GRADES, GRADES + 1))


def _alpha(ratings: Array, drawn: Counts) -> Array:
    return np.array([alpha(np.repeat(ratings, times, axis=1)) for times in drawn])

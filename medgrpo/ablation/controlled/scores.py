"""Score distributions with a known shape, and any normalizer applied to millions of their values.

Scores lie on a fine grid, so that the project's normalizers see each possible value once; arrays are then
looked up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medgrpo.rewards import MetricStatistics, Normalizer, Statistics, summarise
from medgrpo.types import PairKey

__all__ = ["NORMAL", "ScoreModel", "normal_statistics", "normal_steps", "statistics_of", "tabulated"]

Floats = NDArray[np.float64]
Steps = NDArray[np.int64]


@dataclass(frozen=True)
class ScoreModel:
    """Scores of groups: ``centre + between a + within e`` with a normal for each group and e for each answer.

    Values are cut at the metric's bounds and rounded to its steps, which makes zeros of what falls below.

    Attributes:
        metric: Name.
        low: Lower bound.
        high: Upper bound.
        step: Of the values.
        centre: Before cutting.
        between: Standard deviation of groups' means.
        within: Standard deviation in a group.
    """

    metric: str
    low: float
    high: float
    step: float
    centre: float
    between: float
    within: float

    @property
    def values(self) -> Floats:
        """Every possible value, in order."""
        steps = np.arange(round((self.high - self.low) / self.step) + 1, dtype=np.float64)
        return self.low + self.step * steps

    def steps(self, shared: Floats, own: Floats) -> Steps:
        """Scores as indices of :attr:`values`.

        Args:
            shared: ``[P, 1]`` standard normal, of each group.
            own: ``[P, G]`` standard normal.
        """
        scores = self.centre + self.between * shared + self.within * own
        inside = np.clip((scores - self.low) / self.step, 0, len(self.values) - 1)
        return np.rint(inside).astype(np.int64)


NORMAL = ScoreModel("score", -8.0, 8.0, 0.005, 0.0, 0.0, 1.0)
"""A metric measured in interquartile ranges from the median.

Its bounds are far from where scores are, and near enough that the interquartile range is no tiny part of
them: statistics would divide by something else then."""


def normal_steps(scores: Floats) -> Steps:
    """Scores of :data:`NORMAL` as indices of its values."""
    return np.rint((np.clip(scores, NORMAL.low, NORMAL.high) - NORMAL.low) / NORMAL.step).astype(np.int64)


def tabulated(normalizer: Normalizer, pair: PairKey, model: ScoreModel) -> Floats:
    """What a bound normalizer makes of every possible value of a model's metric."""
    return np.array([normalizer.normalise(float(v), pair, model.metric).value for v in model.values])


def statistics_of(model: ScoreModel, chance: np.random.Generator, answers: int = 100_000) -> MetricStatistics:
    """The statistics that a checkpoint with such scores would have."""
    steps = model.steps(chance.standard_normal((answers // 4, 1)), chance.standard_normal((answers // 4, 4)))
    return summarise(model.values[steps.ravel()], model.low, model.high)


def normal_statistics(pair: PairKey) -> Statistics:
    """A median of 0 and an interquartile range of 1 for :data:`NORMAL`: its exact quantiles."""
    from scipy.stats import norm

    grid = norm.ppf(np.linspace(0.0, 1.0, 101).clip(1e-6, 1 - 1e-6)) / (2 * norm.ppf(0.75))
    exact = MetricStatistics(
        n=1_000_000,
        p25=float(grid[25]),
        p50=0.0,
        p75=float(grid[75]),
        quantiles=tuple(float(v) for v in grid),
        mean=0.0,
        std=1.0 / (2 * float(norm.ppf(0.75))),
        zeros=0.0,
        low=NORMAL.low,
        high=NORMAL.high,
        scale=1.0,
        scale_method="iqr",
    )
    return Statistics({pair: {NORMAL.metric: exact}})

"""The metric's bounds as 0 and 1: the plainest common unit, and the baseline that the paper does not show."""

from __future__ import annotations

from typing import ClassVar

from medgrpo.rewards.normalizers.base import NormalisedValue, Normalizer
from medgrpo.types import PairKey

__all__ = ["RangeNormalizer"]


class RangeNormalizer(Normalizer):
    """``(x - low) / (high - low)`` with the bounds of the metric, whatever a dataset's own distribution.

    It ends the imbalance between a judge from 1 to 5 and an overlap from 0 to 1, not that between datasets.
    """

    name: ClassVar[str] = "range"

    def normalise(self, raw: float, pair: PairKey, metric: str) -> NormalisedValue:
        """See :meth:`Normalizer.normalise`."""
        entry = self._entry(pair, metric)
        value = (raw - entry.low) / (entry.high - entry.low)
        return NormalisedValue(value, self.name, entry.p25, entry.p50, entry.p75)

    def floor(self, pair: PairKey, metric: str, low: float) -> float:
        """0, the value of the metric's lower bound."""
        del pair, metric, low
        return 0.0

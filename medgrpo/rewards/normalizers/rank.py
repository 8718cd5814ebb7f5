"""The share of the reference distribution that a value beats."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from typing import ClassVar

from medgrpo.rewards.normalizers.base import NormalisedValue, Normalizer
from medgrpo.types import PairKey

__all__ = ["RankNormalizer"]


class RankNormalizer(Normalizer):
    """The empirical distribution function, linear between the 101 stored quantiles.

    Equal values get the middle of their ranks, so an untied median gives 0.5. Values outside of what the
    checkpoint reached are 0 or 1: past the best reference answer there is nothing left to win.
    """

    name: ClassVar[str] = "rank"

    def normalise(self, raw: float, pair: PairKey, metric: str) -> NormalisedValue:
        """See :meth:`Normalizer.normalise`."""
        entry = self._entry(pair, metric)
        value = math.nan if math.isnan(raw) else _rank(entry.quantiles, raw)
        return NormalisedValue(value, self.name, entry.p25, entry.p50, entry.p75)

    def floor(self, pair: PairKey, metric: str, low: float) -> float:
        """0, the lowest rank."""
        del pair, metric, low
        return 0.0


def _rank(quantiles: tuple[float, ...], x: float) -> float:
    steps = len(quantiles) - 1
    left, right = bisect_left(quantiles, x), bisect_right(quantiles, x)
    if right > left:
        return (left + right - 1) / (2 * steps)
    if left == 0 or left > steps:
        return 0.0 if left == 0 else 1.0
    below, above = quantiles[left - 1], quantiles[left]
    return (left - 1 + (x - below) / (above - below)) / steps

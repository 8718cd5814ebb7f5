"""Centre and scale without a bound: what remains of the paper's normalizer without its curvature."""

from __future__ import annotations

from typing import ClassVar

from medgrpo.rewards.normalizers.base import NormalisedValue, Normalizer
from medgrpo.types import PairKey

__all__ = ["RobustAffineNormalizer"]


class RobustAffineNormalizer(Normalizer):
    """``0.5 + (x - p50) / scale``: the median gives 0.5, an interquartile range is one unit.

    Unbounded: a sparse pair with a small scale can dominate a batch. Advantages divided by their group's
    standard deviation cancel it altogether.
    """

    name: ClassVar[str] = "robust_affine"

    def normalise(self, raw: float, pair: PairKey, metric: str) -> NormalisedValue:
        """See :meth:`Normalizer.normalise`."""
        entry = self._entry(pair, metric)
        value = 0.5 + (raw - entry.p50) / entry.scale
        return NormalisedValue(value, self.name, entry.p25, entry.p50, entry.p75)

    def floor(self, pair: PairKey, metric: str, low: float) -> float:
        """The value of the metric's lower bound."""
        return self.normalise(low, pair, metric).value

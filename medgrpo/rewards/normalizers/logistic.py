"""The paper's normalizer: a logistic around the median, as steep as the interquartile range is narrow."""

from __future__ import annotations

import math
from typing import ClassVar, Literal, Protocol

from medgrpo.errors import UserError
from medgrpo.rewards.normalizers.base import NormalisedValue, Normalizer
from medgrpo.types import PairKey

__all__ = ["LogisticNormalizer", "Quartiles", "logistic"]

_LIMIT = 30.0  # past this, a double cannot tell the result from 0 or 1 in a mix


class Quartiles(Protocol):
    """Where a logistic is centred, and how steep it is."""

    @property
    def p25(self) -> float:
        """First quartile."""

    @property
    def p50(self) -> float:
        """Median."""

    @property
    def p75(self) -> float:
        """Third quartile."""

    @property
    def scale(self) -> float:
        """What a difference from the median is divided by."""


class LogisticNormalizer(Normalizer):
    """``sigmoid(k (x - p50) / (p75 - p25))``: the median gives 0.5, all values lie in (0, 1).

    Where the interquartile range is tiny or the metric binary, the statistics' own scale takes its place
    (:func:`medgrpo.rewards.statistics.summarise`).

    Args:
        k: Slope. With the paper's 3, the quartiles of a symmetric distribution map to 0.18 and 0.82.
        unknown: See :class:`Normalizer`.
    """

    name: ClassVar[str] = "logistic"

    def __init__(self, k: float = 3.0, unknown: Literal["error", "pooled"] = "error") -> None:
        super().__init__(unknown)
        if not (math.isfinite(k) and k > 0):
            raise UserError(f"{type(self).__name__}: k must be positive, got {k}")
        self.k = k

    def normalise(self, raw: float, pair: PairKey, metric: str) -> NormalisedValue:
        """See :meth:`Normalizer.normalise`."""
        now = self.quartiles(pair, metric)
        value = logistic(self.k * (raw - now.p50) / now.scale)
        return NormalisedValue(value, self.name, now.p25, now.p50, now.p75, self.k)

    def quartiles(self, pair: PairKey, metric: str) -> Quartiles:
        """What a pair's metric is normalised by: here the checkpoint's, for good.

        Raises:
            UserError: If the statistics do not hold the pair or the metric.
        """
        return self._entry(pair, metric)

    def floor(self, pair: PairKey, metric: str, low: float) -> float:
        """0, the limit of the logistic."""
        del pair, metric, low
        return 0.0


def logistic(logit: float) -> float:
    """``1 / (1 + exp(-logit))`` without overflow; NaN stays NaN."""
    bounded = logit if math.isnan(logit) else min(max(logit, -_LIMIT), _LIMIT)
    return 1.0 / (1.0 + math.exp(-bounded))

"""No normalisation: the ablation."""

from __future__ import annotations

from typing import ClassVar

from medgrpo.rewards.normalizers.base import NormalisedValue, Normalizer
from medgrpo.types import PairKey

__all__ = ["IdentityNormalizer"]


class IdentityNormalizer(Normalizer):
    """The raw value in its own unit; a mix of similarity (up to 1) and judge (1 to 5) is then lopsided."""

    name: ClassVar[str] = "identity"
    needs_statistics: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()

    def normalise(self, raw: float, pair: PairKey, metric: str) -> NormalisedValue:
        """See :meth:`Normalizer.normalise`."""
        del pair, metric
        return NormalisedValue(raw, self.name)

    def floor(self, pair: PairKey, metric: str, low: float) -> float:
        """The metric's lower bound."""
        del pair, metric
        return low

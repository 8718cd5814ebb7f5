"""Raw rewards in other units: how lopsided must the scales be before they matter?"""

from __future__ import annotations

from typing import ClassVar

from medgrpo.errors import UserError
from medgrpo.rewards import IdentityNormalizer, NormalisedValue
from medgrpo.types import PairKey

__all__ = ["UnitNormalizer"]


class UnitNormalizer(IdentityNormalizer):
    """Raw values, those of captions times a factor: judges that give up to 20 or 100 points.

    Args:
        captions: What similarity and judge are multiplied with.
    """

    name: ClassVar[str] = "units"

    def __init__(self, captions: float = 1.0) -> None:
        super().__init__()
        if captions <= 0:
            raise UserError(f"UnitNormalizer: captions must be positive, got {captions}")
        self.captions = captions

    def normalise(self, raw: float, pair: PairKey, metric: str) -> NormalisedValue:
        """See :meth:`~medgrpo.rewards.Normalizer.normalise`."""
        factor = self.captions if metric.startswith(("similarity:", "judge:")) else 1.0
        return NormalisedValue(factor * raw, self.name)

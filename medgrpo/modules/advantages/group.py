"""Group-relative advantages: reward minus the group's mean, over a standard deviation or not."""

from __future__ import annotations

from typing import Literal

import numpy as np

from medgrpo.modules.advantages.base import AdvantageEstimator, GroupRewards

__all__ = ["GroupAdvantage"]


class GroupAdvantage(AdvantageEstimator):
    """The advantage of GRPO and its relatives.

    Args:
        std: ``group`` divides by each group's own standard deviation, under which any affine rescaling of a
            dataset's reward cancels; ``batch`` by that of all rewards of the round on all ranks; ``none`` by
            nothing (Dr. GRPO).
        eps: Added to the standard deviation.
    """

    def __init__(self, std: Literal["group", "batch", "none"] = "group", eps: float = 1e-4) -> None:
        if std not in ("group", "batch", "none"):
            raise ValueError(f"advantage.std: {std!r} is none of group, batch, none")
        self.std = std
        self.eps = eps

    def scale(self, rewards: GroupRewards, kept: np.ndarray, stds: np.ndarray) -> np.ndarray:
        """See :meth:`AdvantageEstimator.scale`."""
        if self.std == "none":
            return np.ones_like(stds)
        if self.std == "batch":
            return np.full_like(stds, rewards.values[kept].std(ddof=1) + self.eps)
        return stds + self.eps

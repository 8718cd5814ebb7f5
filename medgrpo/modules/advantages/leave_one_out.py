"""Leave-one-out advantages: reward minus the mean of the group's other answers."""

from __future__ import annotations

from typing import Literal

import numpy as np

from medgrpo.modules.advantages.base import GroupRewards
from medgrpo.modules.advantages.group import GroupAdvantage

__all__ = ["LeaveOneOutAdvantage"]


class LeaveOneOutAdvantage(GroupAdvantage):
    """The unbiased baseline of RLOO (arXiv 2402.14740).

    It is the distance from the group's mean, times G / (G - 1).

    Args:
        std: What that is divided by, as in :class:`GroupAdvantage`; nothing by default.
        eps: Added to the standard deviation.
    """

    def __init__(self, std: Literal["group", "batch", "none"] = "none", eps: float = 1e-4) -> None:
        super().__init__(std, eps)

    def distances(
        self, rewards: GroupRewards, active: np.ndarray, means: np.ndarray, scale: np.ndarray
    ) -> np.ndarray:
        """See :meth:`AdvantageEstimator.distances`."""
        size = rewards.values.shape[1]
        return super().distances(rewards, active, means, scale) * (size / (size - 1))

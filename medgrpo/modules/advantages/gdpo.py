"""GDPO: each reward component is normalised within its group, then they are mixed."""

from __future__ import annotations

import numpy as np

from medgrpo.modules.advantages.base import AdvantageEstimator, ComponentRewards, GroupRewards

__all__ = ["GDPOAdvantage"]


class GDPOAdvantage(AdvantageEstimator):
    """Components of different spread count by their weights alone (arXiv 2601.05242).

    Each component's group z-score, weighted and summed; the sums of the round on all ranks are then brought
    to mean 0 and standard deviation 1. A group is flat if every one of its components is.

    Args:
        eps: Added to standard deviations.
    """

    def __init__(self, eps: float = 1e-4) -> None:
        self.eps = eps

    def _parts(self, rewards: GroupRewards) -> list[ComponentRewards]:
        if rewards.components:
            return list(rewards.components.values())
        return [ComponentRewards(rewards.values, np.ones(len(rewards.values)))]

    def scale(self, rewards: GroupRewards, kept: np.ndarray, stds: np.ndarray) -> np.ndarray:
        """See :meth:`AdvantageEstimator.scale`; GDPO scales the components instead."""
        return np.ones_like(stds)

    def flat(self, rewards: GroupRewards) -> np.ndarray:
        """See :meth:`AdvantageEstimator.flat`."""
        flat: np.ndarray = np.all(np.isfinite(rewards.values), axis=1)
        for part in self._parts(rewards):
            used = part.weights > 0
            stds = np.where(used[:, None], part.values, 0.0).std(axis=1, ddof=1)
            flat = flat & np.isclose(stds, 0.0)
        return flat

    def distances(
        self, rewards: GroupRewards, active: np.ndarray, means: np.ndarray, scale: np.ndarray
    ) -> np.ndarray:
        """See :meth:`AdvantageEstimator.distances`."""
        kept: np.ndarray = np.all(np.isfinite(rewards.values), axis=1)
        total = np.zeros_like(rewards.values)
        for part in self._parts(rewards):
            used = kept & (part.weights > 0)
            values = part.values[used]
            centred = values - values.mean(axis=1, keepdims=True)
            scores = centred / (values.std(axis=1, ddof=1, keepdims=True) + self.eps)
            total[used] += part.weights[used, None] * scores
        return (total[active] - total[kept].mean()) / (total[kept].std(ddof=1) + self.eps)

"""Advantages over a moving standard deviation of each dataset and task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from medgrpo.modules.advantages.base import AdvantageEstimator, GroupRewards
from medgrpo.types import PairKey

__all__ = ["MovingStdAdvantage"]


class MovingStdAdvantage(AdvantageEstimator):
    """Reward minus the group's mean, over an exponential moving average of the pair's spread.

    As with a group's own standard deviation no dataset drowns another; unlike with it, groups that hardly
    differ are not blown up. The average is of the variances within groups, those without any included; a
    pair's first round sets it. It is part of the checkpoint.

    Args:
        decay: Share that the past keeps in a round in which the pair occurs.
        eps: Added to the standard deviation.
    """

    def __init__(self, decay: float = 0.9, eps: float = 1e-4) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"advantage.decay must be in [0, 1), got {decay}")
        self.decay = decay
        self.eps = eps
        self.variances: dict[PairKey, float] = {}

    def scale(self, rewards: GroupRewards, kept: np.ndarray, stds: np.ndarray) -> np.ndarray:
        """See :meth:`AdvantageEstimator.scale`; moves the averages."""
        for pair in sorted(set(rewards.pairs)):
            rows = kept & np.array([other == pair for other in rewards.pairs])
            if rows.any():
                variance = float(np.square(stds[rows]).mean())
                past = self.variances.get(pair, variance)
                self.variances[pair] = self.decay * past + (1.0 - self.decay) * variance
        return np.sqrt([self.variances.get(pair, 0.0) for pair in rewards.pairs]) + self.eps

    def state_dict(self) -> dict[str, Any]:
        """See :meth:`AdvantageEstimator.state_dict`."""
        return {"variances": [[*pair, variance] for pair, variance in sorted(self.variances.items())]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See :meth:`AdvantageEstimator.load_state_dict`."""
        self.variances = {
            (dataset, task): float(variance) for dataset, task, variance in state.get("variances", [])
        }

"""What an advantage estimator is, and which groups take part."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from medgrpo.types import PairKey

__all__ = ["AdvantageEstimator", "Advantages", "GroupRewards"]


@dataclass(frozen=True)
class GroupRewards:
    """The mixed rewards of one round, of all ranks.

    Attributes:
        values: ``[P, G]`` float64, one row a prompt; NaN where a reward failed.
        pairs: (dataset, task) of each prompt.
    """

    values: np.ndarray
    pairs: tuple[PairKey, ...]

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or len(self.pairs) != len(self.values):
            raise ValueError(f"rewards of shape {self.values.shape} for {len(self.pairs)} prompts")
        if self.values.shape[1] < 2:
            raise ValueError(
                "a group needs at least two answers: the advantage is the distance from their mean"
            )


@dataclass(frozen=True)
class Advantages:
    """What the loss multiplies, and why some groups add nothing.

    Attributes:
        values: ``[P, G]`` float64; 0 for groups with a reason.
        means: ``[P]`` mean reward; NaN for a failed group.
        stds: ``[P]`` unbiased standard deviation; NaN for a failed group.
        kept: ``[P]`` bool, False for a failed group: it counts in no denominator. A group of equal rewards
            stays and counts, with advantage 0.
        reasons: ``failed_reward``, ``zero_variance`` or empty, one a prompt.
    """

    values: np.ndarray
    means: np.ndarray
    stds: np.ndarray
    kept: np.ndarray
    reasons: tuple[str, ...]


class AdvantageEstimator(ABC):
    """Turns the rewards of a round into advantages."""

    @abstractmethod
    def scale(self, rewards: GroupRewards, kept: np.ndarray, stds: np.ndarray) -> np.ndarray:
        """What the distance from the group's mean is divided by.

        Args:
            rewards: Of the round.
            kept: ``[P]`` bool, groups without a failed reward.
            stds: ``[P]`` unbiased standard deviation of each group, NaN for failed ones.

        Returns:
            ``[P]`` positive numbers; those of failed groups are not used.
        """

    def __call__(self, rewards: GroupRewards) -> Advantages:
        """Estimate.

        A failed answer takes its whole group out: without it the baseline of the others would be another one.
        """
        values = rewards.values.astype(np.float64)
        kept: np.ndarray = np.all(np.isfinite(values), axis=1)
        safe = np.where(kept[:, None], values, 0.0)
        means = np.where(kept, safe.mean(axis=1), np.nan)
        stds = np.where(kept, safe.std(axis=1, ddof=1), np.nan)
        flat = kept & np.isclose(np.where(kept, stds, 1.0), 0.0)
        active = kept & ~flat
        advantages = np.zeros_like(values)
        if active.any():
            scale = self.scale(rewards, kept, stds)
            advantages[active] = (values[active] - means[active, None]) / scale[active, None]
        reasons = tuple(
            "failed_reward" if not ok else "zero_variance" if same else ""
            for ok, same in zip(kept, flat, strict=True)
        )
        return Advantages(values=advantages, means=means, stds=stds, kept=kept, reasons=reasons)

"""What an advantage estimator is, and which groups take part."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from medgrpo.types import PairKey

__all__ = ["AdvantageEstimator", "Advantages", "ComponentRewards", "GroupRewards"]


@dataclass(frozen=True)
class ComponentRewards:
    """One component of the rewards of a round.

    Attributes:
        values: ``[P, G]`` float64 normalised scores; NaN in groups that the component does not apply to.
        weights: ``[P]`` share in the group's mix; 0 where it does not apply or was left out.
    """

    values: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class GroupRewards:
    """The mixed rewards of one round, of all ranks.

    Attributes:
        values: ``[P, G]`` float64, one row a prompt; NaN where a reward failed.
        pairs: (dataset, task) of each prompt.
        components: The parts of the mix, by name.
    """

    values: np.ndarray
    pairs: tuple[PairKey, ...]
    components: Mapping[str, ComponentRewards] = field(default_factory=dict)

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
    """Turns the rewards of a round into advantages.

    By default the distance from the group's mean, divided by a scale that the subclass chooses.
    """

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

    def flat(self, rewards: GroupRewards) -> np.ndarray:
        """Which groups can teach nothing, because their answers are worth the same: ``[P]`` bool."""
        kept = np.all(np.isfinite(rewards.values), axis=1)
        stds = np.where(kept[:, None], rewards.values, 0.0).std(axis=1, ddof=1)
        return kept & np.isclose(stds, 0.0)

    def distances(
        self, rewards: GroupRewards, active: np.ndarray, means: np.ndarray, scale: np.ndarray
    ) -> np.ndarray:
        """Advantages of the groups that take part.

        Args:
            rewards: Of the round.
            active: ``[P]`` bool, groups that take part; A of them.
            means: ``[P]`` mean reward.
            scale: ``[P]`` from :meth:`scale`.

        Returns:
            ``[A, G]``.
        """
        return (rewards.values[active] - means[active, None]) / scale[active, None]

    def state_dict(self) -> dict[str, Any]:
        """What the next round's advantages depend on besides its rewards; it is kept in checkpoints."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a checkpoint, which may be another estimator's."""
        del state  # this one keeps none

    def __call__(self, rewards: GroupRewards) -> Advantages:
        """Estimate.

        A failed answer takes its whole group out: without it the baseline of the others would be another one.
        """
        values = rewards.values.astype(np.float64)
        kept: np.ndarray = np.all(np.isfinite(values), axis=1)
        safe = np.where(kept[:, None], values, 0.0)
        means = np.where(kept, safe.mean(axis=1), np.nan)
        stds = np.where(kept, safe.std(axis=1, ddof=1), np.nan)
        flat = self.flat(rewards)
        active = kept & ~flat
        advantages = np.zeros_like(values)
        if kept.any():
            scale = self.scale(rewards, kept, stds)
            if active.any():
                advantages[active] = self.distances(rewards, active, means, scale)
        reasons = tuple(
            "failed_reward" if not ok else "zero_variance" if same else ""
            for ok, same in zip(kept, flat, strict=True)
        )
        return Advantages(values=advantages, means=means, stds=stds, kept=kept, reasons=reasons)

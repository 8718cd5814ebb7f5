"""A soft penalty for answers that come close to their limit, instead of a cliff where they are cut off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from medgrpo.rewards.penalties import PENALTY
from medgrpo.types import Completion, ComponentScore, Reward

__all__ = ["SoftOverlong", "penalise_overlong", "soft_overlong_penalty"]

COMPONENT = "overlong"


@dataclass(frozen=True)
class SoftOverlong:
    """The penalty of DAPO (arXiv 2503.14476), in shares of each task's own limit.

    Attributes:
        margin: The last share of the limit over which the penalty grows from 0 to 1.
        weight: What the reward of an answer at its limit loses.
    """

    margin: float = 0.2
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.margin <= 1:
            raise ValueError(f"overlong.margin must be in (0, 1], got {self.margin}")
        if not 0 < self.weight < float("inf"):
            raise ValueError(f"overlong.weight must be above 0, got {self.weight}")


def soft_overlong_penalty(length: int, limit: int, margin: float) -> float:
    """0 up to ``(1 - margin) limit`` tokens, -1 from the limit on, linear between.

    Args:
        length: Tokens of the answer.
        limit: The longest answer allowed, in tokens.
        margin: Share of the limit.
    """
    return -min(1.0, max(0.0, (length - (1.0 - margin) * limit) / (margin * limit)))


def penalise_overlong(
    rewards: Sequence[Sequence[Reward]],
    completions: Sequence[Sequence[Completion]],
    limits: Sequence[int],
    overlong: SoftOverlong,
) -> list[list[Reward]]:
    """Add the penalty to each reward, as a component of its own; a failed reward stays failed.

    Args:
        rewards: In groups.
        completions: In groups.
        limits: The longest answer allowed in each group, in tokens.
        overlong: The penalty.
    """

    def penalised(reward: Reward, completion: Completion, limit: int) -> Reward:
        penalty = soft_overlong_penalty(len(completion.token_ids), limit, overlong.margin)
        score = ComponentScore(
            raw=penalty,
            normalised=penalty,
            weight=overlong.weight,
            metric="soft_overlong@1",
            normalizer=PENALTY,
        )
        components = {**reward.components, COMPONENT: score}
        return replace(reward, value=reward.value + overlong.weight * penalty, components=components)

    return [
        [penalised(reward, answer, limit) for reward, answer in zip(group, answers, strict=True)]
        for group, answers, limit in zip(rewards, completions, limits, strict=True)
    ]

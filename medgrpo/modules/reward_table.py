"""The rewards of a round as arrays, of one rank and of all: what advantage estimators see of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medgrpo.modules.advantages import ComponentRewards, GroupRewards
from medgrpo.types import ComponentScore, PairKey, Reward

__all__ = ["RewardTable", "join_tables", "reward_table"]

_ABSENT = ComponentScore(raw=math.nan, normalised=math.nan, weight=0.0, metric="")


@dataclass(frozen=True)
class RewardTable:
    """Rewards of P groups of G answers, small enough to be sent to every rank.

    Attributes:
        values: ``[P, G]`` float64 mixed rewards; ``[0, 0]`` where a rank has no group.
        components: By name, as in :class:`GroupRewards`.
    """

    values: np.ndarray
    components: Mapping[str, ComponentRewards]


def reward_table(rewards: Sequence[Sequence[Reward]]) -> RewardTable:
    """The rewards of groups as arrays.

    Args:
        rewards: In groups of equal size.

    Raises:
        ValueError: If the groups differ in size.
    """
    if not rewards:
        return RewardTable(np.zeros((0, 0)), {})
    names = sorted({name for group in rewards for reward in group for name in reward.components})
    values = np.array([[reward.value for reward in group] for group in rewards], dtype=np.float64)
    return RewardTable(values, {name: _component(rewards, name) for name in names})


def join_tables(tables: Sequence[RewardTable], pairs: Sequence[PairKey]) -> GroupRewards:
    """The tables of all ranks, one below the other.

    Args:
        tables: In the order of the ranks.
        pairs: (dataset, task) of each group.

    Raises:
        ValueError: If groups differ in size, or there are none.
    """
    filled = [table for table in tables if len(table.values)]
    names = sorted({name for table in filled for name in table.components})
    return GroupRewards(
        values=np.concatenate([table.values for table in filled]),
        pairs=tuple(pairs),
        components={
            name: ComponentRewards(
                values=np.concatenate([_part(table, name).values for table in filled]),
                weights=np.concatenate([_part(table, name).weights for table in filled]),
            )
            for name in names
        },
    )


def _component(rewards: Sequence[Sequence[Reward]], name: str) -> ComponentRewards:
    scores = [[reward.components.get(name, _ABSENT) for reward in group] for group in rewards]
    return ComponentRewards(
        values=np.array([[score.normalised for score in group] for group in scores], dtype=np.float64),
        weights=np.array([max(score.weight for score in group) for group in scores], dtype=np.float64),
    )


def _part(table: RewardTable, name: str) -> ComponentRewards:
    """A component of a table; absent throughout where the rank's tasks do not use it."""
    absent = ComponentRewards(np.full_like(table.values, np.nan), np.zeros(len(table.values)))
    return table.components.get(name, absent)

"""The mix of similarity and judge in one reward: the one place where scale matters under group division."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from medgrpo.ablation.controlled.scale import ADVANTAGES, NORMALIZERS
from medgrpo.ablation.controlled.scores import ScoreModel, statistics_of, tabulated
from medgrpo.ablation.intervals import mean_interval
from medgrpo.modules.advantages import ComponentRewards, GroupAdvantage, GroupRewards
from medgrpo.rewards import Statistics

__all__ = ["mix"]

PAIR = ("CoPESD", "video_summary")
SIMILARITY = ScoreModel("similarity", -1.0, 1.0, 0.002, 0.86, 0.05, 0.04)
JUDGE = ScoreModel("judge", 1.0, 5.0, 0.2, 3.3, 0.5, 0.5)
GROUP_SIZE = 8


def mix(
    groups: int, blocks: int, seed: int, related: float = 0.3, group_size: int = GROUP_SIZE
) -> dict[str, Any]:
    """Captions with equal weights for similarity and judge: which of the two does the policy follow?

    Args:
        groups: In all.
        blocks: Independent repetitions that they are spread over, the units of the intervals.
        seed: Of everything.
        related: Correlation of similarity and judge within a group, before cutting and rounding.
        group_size: Answers a group.

    Returns:
        ``rows`` for each ``normalizer`` and ``advantage``: the correlation of the mixed advantage with that
        of ``similarity`` alone and of ``judge`` alone, each over the group's standard deviation.
    """
    chance = np.random.default_rng([seed, 4])
    statistics = Statistics({PAIR: {m.metric: statistics_of(m, chance) for m in (SIMILARITY, JUDGE)}})
    bound = {name: kind().bind(statistics) for name, kind in NORMALIZERS.items()}
    tables = {
        name: {m.metric: tabulated(one, PAIR, m) for m in (SIMILARITY, JUDGE)} for name, one in bound.items()
    }
    each = max(1, groups // blocks)
    alone = GroupAdvantage("group", eps=1e-12)
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for _ in range(blocks):
        own = chance.standard_normal((2, each, group_size))
        shared = chance.standard_normal((2, each, 1))
        own[1] = related * own[0] + np.sqrt(1.0 - related**2) * own[1]
        steps = {m.metric: m.steps(shared[i], own[i]) for i, m in enumerate((SIMILARITY, JUDGE))}
        pairs = (PAIR,) * each
        weights = np.full(each, 0.5)
        scores = {
            m.metric: alone(GroupRewards(m.values[steps[m.metric]], pairs)).values.ravel()
            for m in (SIMILARITY, JUDGE)
        }
        for name, table in tables.items():
            parts = {
                metric: ComponentRewards(table[metric][own_steps], weights)
                for metric, own_steps in steps.items()
            }
            mixed = np.mean([part.values for part in parts.values()], axis=0)
            rewards = GroupRewards(mixed, pairs, parts)
            for label in ("group", "gdpo"):
                values = copy.deepcopy(ADVANTAGES[label])(rewards).values.ravel()
                pair = tuple(float(np.corrcoef(values, score)[0, 1]) for score in scores.values())
                found.setdefault((name, label), []).append((pair[0], pair[1]))
    return {
        "groups": each * blocks,
        "blocks": blocks,
        "related": related,
        "rows": [
            {
                "normalizer": name,
                "advantage": label,
                "similarity": mean_interval([pair[0] for pair in values]),
                "judge": mean_interval([pair[1] for pair in values]),
            }
            for (name, label), values in found.items()
        ],
    }

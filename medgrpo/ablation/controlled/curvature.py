"""Curvature: what a logistic still does when advantages are divided by the group's standard deviation."""

from __future__ import annotations

from typing import Any

import numpy as np

from medgrpo.ablation.controlled.scores import NORMAL, normal_statistics, normal_steps, tabulated
from medgrpo.ablation.intervals import mean_interval
from medgrpo.modules.advantages import GroupAdvantage, GroupRewards
from medgrpo.rewards import LogisticNormalizer

__all__ = ["POSITIONS", "SPREADS", "curvature"]

PAIR = ("any", "any")
POSITIONS = (-3.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0)
SPREADS = (0.1, 0.25, 0.5, 1.0)
GROUP_SIZE = 8


def curvature(
    groups: int, blocks: int, seed: int, k: float = 3.0, group_size: int = GROUP_SIZE
) -> dict[str, Any]:
    """Groups at known distances from the median, under the paper's logistic and raw.

    Args:
        groups: In all, spread over positions, spreads and blocks.
        blocks: Independent repetitions, the units of the intervals.
        seed: Of everything.
        k: Slope.
        group_size: Answers a group.

    Returns:
        ``rows`` for each ``position`` of a group's mean (in interquartile ranges from the median) and
        ``spread`` of its answers (likewise): ``correlation`` of the advantages with those of raw rewards,
        both over the group's standard deviation; ``flips``, the share of answers whose advantage changes its
        sign; ``top``, the mean advantage of the best answer over its raw one; ``size`` without division: the
        root mean square advantage over that of a group of this spread at the median, which is what distance
        costs.
    """
    table = tabulated(LogisticNormalizer(k).bind(normal_statistics(PAIR)), PAIR, NORMAL)
    each = max(1, groups // (blocks * len(POSITIONS) * len(SPREADS)))
    chance = np.random.default_rng([seed, 2])
    over_std, plain = GroupAdvantage("group", eps=1e-12), GroupAdvantage("none")
    rows = []
    for spread in SPREADS:
        found: dict[float, list[tuple[float, ...]]] = {position: [] for position in POSITIONS}
        for _ in range(blocks):
            drawn = chance.standard_normal((each, group_size))
            size: dict[float, float] = {}
            for position in POSITIONS:
                steps = normal_steps(position + spread * drawn)
                pairs = (PAIR,) * each
                raw = GroupRewards(NORMAL.values[steps], pairs)
                bent = GroupRewards(table[steps], pairs)
                a, b = over_std(bent).values, over_std(raw).values
                size[position] = float(np.sqrt(np.square(plain(bent).values).mean()))
                best = b.argmax(axis=1)[:, None]
                found[position].append(
                    (
                        float(np.corrcoef(a.ravel(), b.ravel())[0, 1]),
                        float((a * b < 0).mean()),
                        float(np.take_along_axis(a, best, 1).mean() / np.take_along_axis(b, best, 1).mean()),
                        size[position],
                    )
                )
            for position in POSITIONS:
                *rest, own = found[position][-1]
                found[position][-1] = (*rest, own / size[0.0])
        for position in POSITIONS:
            columns = np.array(found[position])
            names = ("correlation", "flips", "top", "size")
            rows.append(
                {"position": position, "spread": spread}
                | {name: mean_interval(columns[:, i]) for i, name in enumerate(names)}
            )
    return {
        "k": k,
        "groups": each * blocks * len(rows),
        "blocks": blocks,
        "group_size": group_size,
        "rows": rows,
    }

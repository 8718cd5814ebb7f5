"""Drift: what frozen percentiles do to a pair whose scores have moved, and how fast running ones follow."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgrpo.ablation.controlled.scores import NORMAL, normal_statistics, normal_steps, tabulated
from medgrpo.ablation.intervals import mean_interval
from medgrpo.modules.advantages import GroupAdvantage, GroupRewards
from medgrpo.rewards import AdaptiveLogisticNormalizer, LogisticNormalizer, Statistics
from medgrpo.types import PairKey

__all__ = ["SHIFTS", "drift"]

SHIFTS = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0)
Floats = NDArray[np.float64]

ROUNDS = 120
GROUP_SIZE = 8
STAYS, MOVES = ("stays", "any"), ("moves", "any")
_IQR_OF_STD = 1.3489795003921634
_ANSWERS = 24  # of a pair in a round
_BETWEEN = 0.5  # of the variance lies between groups


def drift(groups: int, blocks: int, seed: int, k: float = 3.0) -> dict[str, Any]:
    """Two pairs with one distribution; then the scores of one move.

    Args:
        groups: In all, spread over shifts and blocks.
        blocks: Independent repetitions, the units of the intervals.
        seed: Of everything.
        k: Slope.

    Returns:
        ``rows`` for each ``shift``, in interquartile ranges at once: ``slope``, of the frozen logistic at the
        new median over that at the old one (closed form); ``share`` of the squared advantage without division
        that the moved pair keeps, of two, frozen (``static``) and with percentiles that followed for
        :data:`ROUNDS` rounds (``adaptive``); ``correlation`` of the moved pair's advantages over the group's
        standard deviation with those of raw rewards, likewise; ``rounds`` until the adaptive median is within
        a tenth of an interquartile range of the new one (null if later than :data:`ROUNDS`).
    """
    statistics = Statistics({**normal_statistics(STAYS).entries, **normal_statistics(MOVES).entries})
    each = max(1, groups // (blocks * len(SHIFTS) * 2))
    chance = np.random.default_rng([seed, 3])
    table = tabulated(LogisticNormalizer(k).bind(statistics), STAYS, NORMAL)
    rows = []
    for shift in SHIFTS:
        measured: list[list[float]] = []
        for _ in range(blocks):
            adaptive = AdaptiveLogisticNormalizer(k, window=400, min_samples=100).bind(statistics)
            assert isinstance(adaptive, AdaptiveLogisticNormalizer)
            reached = _follow(adaptive, shift, chance)
            still, moved = _steps(chance, each, 0.0), _steps(chance, each, shift)
            followed = tabulated(adaptive, MOVES, NORMAL)
            numbers = [_compare(table, own, still, moved) for own in (table, followed)]
            measured.append([*numbers[0], *numbers[1], reached])
        columns = np.array(measured)
        bend = 1.0 / (1.0 + np.exp(-k * shift))
        rows.append(
            {
                "shift": shift,
                "slope": round(float(4.0 * bend * (1.0 - bend)), 6),
                "share": {"static": mean_interval(columns[:, 0]), "adaptive": mean_interval(columns[:, 2])},
                "correlation": {
                    "static": mean_interval(columns[:, 1]),
                    "adaptive": mean_interval(columns[:, 3]),
                },
                "rounds": mean_interval(columns[:, 4]),
            }
        )
    return {"k": k, "groups": each * blocks * len(SHIFTS) * 2, "blocks": blocks, "rows": rows}


def _steps(chance: np.random.Generator, groups: int, shift: float) -> NDArray[np.int64]:
    """Groups of a distribution whose interquartile range is 1, half of its variance within groups."""
    std = 1.0 / _IQR_OF_STD
    shared = np.sqrt(_BETWEEN) * std * chance.standard_normal((groups, 1))
    own = np.sqrt(1.0 - _BETWEEN) * std * chance.standard_normal((groups, GROUP_SIZE))
    return normal_steps(shift + shared + own)


def _follow(adaptive: AdaptiveLogisticNormalizer, shift: float, chance: np.random.Generator) -> float:
    """Show the normalizer rounds of the moved pair; the round in which its median arrived, or NaN."""
    reached = np.nan
    for index in range(ROUNDS):
        values = NORMAL.values[_steps(chance, _ANSWERS // GROUP_SIZE, shift)].ravel()
        adaptive.observe([(MOVES, NORMAL.metric, float(value)) for value in values])
        if np.isnan(reached) and abs(adaptive.quartiles(MOVES, NORMAL.metric).p50 - shift) < 0.1:
            reached = float(index + 1)
    return reached


def _compare(
    table: Floats, own_table: Floats, still: NDArray[np.int64], moved: NDArray[np.int64]
) -> tuple[float, float]:
    """Share of the moved pair without division, and correlation with raw rewards with it."""
    bent = own_table[moved]
    values = np.concatenate([table[still], bent])
    plain = np.square(
        GroupAdvantage("none")(GroupRewards(values, _named(STAYS, still) + _named(MOVES, moved))).values
    )
    share = plain[len(still) :].sum() / plain.sum()
    over_std = GroupAdvantage("group", eps=1e-12)
    advantages = [
        over_std(GroupRewards(own, _named(MOVES, moved))).values for own in (bent, NORMAL.values[moved])
    ]
    return float(share), float(np.corrcoef(advantages[0].ravel(), advantages[1].ravel())[0, 1])


def _named(pair: PairKey, groups: NDArray[np.int64]) -> tuple[PairKey, ...]:
    return (pair,) * len(groups)

"""Rewards as arrays are the rewards one by one, on one rank and on several."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medgrpo.modules.advantages import GDPOAdvantage, GroupAdvantage
from medgrpo.modules.reward_table import join_tables, reward_table
from medgrpo.types import ComponentScore, Reward

NAMES = ("metric", "similarity", "judge")
numbers = st.floats(-2.0, 2.0) | st.just(math.nan)


@st.composite
def rounds(draw: st.DrawFn) -> list[list[Reward]]:
    """Groups of one size; each has components of its own, some of them left out."""
    size = draw(st.integers(2, 4))
    groups = []
    for _ in range(draw(st.integers(1, 6))):
        names = draw(st.sets(st.sampled_from(NAMES)))
        weights = {name: draw(st.sampled_from((0.0, 0.5, 1.0))) for name in sorted(names)}
        group = []
        for _ in range(size):
            scores = {name: ComponentScore(0.0, draw(numbers), w, "m") for name, w in weights.items()}
            group.append(Reward(draw(numbers), scores, "ok"))
        groups.append(group)
    return groups


@given(rounds(), st.data())
def test_every_number_stands_at_its_place_however_ranks_share_them(
    groups: list[list[Reward]], data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(groups)), max_size=3)))
    edges = [0, *cuts, len(groups)]
    ranks = [groups[a:b] for a, b in pairwise(edges)]
    pairs = [("AVOS", str(i)) for i in range(len(groups))]
    whole = join_tables([reward_table(rank) for rank in ranks], pairs)
    assert whole.pairs == tuple(pairs)
    assert set(whole.components) == {name for group in groups for name in group[0].components}
    for p, group in enumerate(groups):
        for g, reward in enumerate(group):
            np.testing.assert_equal(whole.values[p, g], reward.value)
            for name, component in whole.components.items():
                score = reward.components.get(name)
                expected = (math.nan, 0.0) if score is None else (score.normalised, score.weight)
                np.testing.assert_equal((component.values[p, g], component.weights[p]), expected)
    for estimator in (GroupAdvantage(), GDPOAdvantage()):
        alone = estimator(join_tables([reward_table(groups)], pairs))
        np.testing.assert_array_equal(estimator(whole).values, alone.values)


def test_groups_of_different_sizes_are_refused() -> None:
    reward = Reward(0.5, {}, "ok")
    with pytest.raises(ValueError, match="inhomogeneous"):
        reward_table([[reward] * 2, [reward] * 3])
    with pytest.raises(ValueError, match="dimension"):
        join_tables([reward_table([[reward] * 2]), reward_table([[reward] * 3])], [("AVOS", "tal")] * 2)

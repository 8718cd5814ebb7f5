"""Group-relative advantages against TRL's frozen numbers and their own definition."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medgrpo.modules.advantages import GroupAdvantage, GroupRewards

ORACLE = json.loads((Path(__file__).parents[1] / "data" / "trl_oracle.json").read_text())


def _rewards(values: Any) -> GroupRewards:
    array = np.asarray(values, dtype=np.float64)
    return GroupRewards(array, tuple(("CoPESD", "stg") for _ in array))


@pytest.mark.parametrize("std", ["group", "batch", "none"])
def test_equals_trl(std: Any) -> None:
    ours = GroupAdvantage(std=std)(_rewards(ORACLE["rewards"]))
    np.testing.assert_allclose(ours.values, ORACLE["advantages"][std], atol=1e-6)
    assert ours.reasons == ("", "", "zero_variance", "")
    assert ours.kept.all()


@pytest.mark.parametrize("std", ["group", "batch", "none"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_failed_reward_takes_its_group_out_and_no_other(std: Any, bad: float) -> None:
    rows = [[0.1, 0.9, 0.4], [0.2, bad, 0.6], [0.3, 0.3, 0.7]]
    ours = GroupAdvantage(std=std)(_rewards(rows))
    alone = GroupAdvantage(std=std)(_rewards([rows[0], rows[2]]))
    assert ours.reasons == ("", "failed_reward", "")
    assert ours.kept.tolist() == [True, False, True]
    assert not ours.values[1].any()
    assert np.isnan(ours.means[1])
    assert np.isnan(ours.stds[1])
    np.testing.assert_array_equal(ours.values[[0, 2]], alone.values)


def test_all_groups_failed() -> None:
    ours = GroupAdvantage(std="batch")(_rewards([[float("nan"), 1.0]]))
    assert not ours.kept.any()
    assert not ours.values.any()


def test_equal_rewards_give_exactly_zero() -> None:
    ours = GroupAdvantage()(_rewards([[0.1 + 0.2, 0.3, 0.3]]))
    assert ours.reasons == ("zero_variance",)
    assert not ours.values.any()


@given(
    st.lists(st.lists(st.floats(-5, 5), min_size=4, max_size=4), min_size=1, max_size=6),
    st.floats(0.5, 20),
    st.floats(-3, 3),
)
def test_definition_and_affine_invariance(rows: list[list[float]], scale: float, shift: float) -> None:
    ours = GroupAdvantage(eps=1e-12)(_rewards(rows))
    moved = GroupAdvantage(eps=1e-12)(_rewards(np.asarray(rows) * scale + shift))
    for row, values, other, reason in zip(rows, ours.values, moved.values, ours.reasons, strict=True):
        deviation = statistics.stdev(row)
        if deviation < 1e-5:
            continue
        assert reason == ""
        expected = [(value - statistics.fmean(row)) / deviation for value in row]
        np.testing.assert_allclose(values, expected, atol=1e-5)
        np.testing.assert_allclose(values, other, atol=1e-5)
        assert abs(values.sum()) < 1e-8


def test_refuses_a_group_of_one_and_an_unknown_scaling() -> None:
    with pytest.raises(ValueError, match="at least two answers"):
        _rewards([[0.5], [0.7]])
    with pytest.raises(ValueError, match="prompts"):
        GroupRewards(np.zeros((2, 4)), (("a", "b"),))
    with pytest.raises(ValueError, match="none of group"):
        GroupAdvantage(std="dataset")  # type: ignore[arg-type]

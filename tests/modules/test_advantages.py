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

from medgrpo.modules.advantages import (
    AdvantageEstimator,
    ComponentRewards,
    GDPOAdvantage,
    GroupAdvantage,
    GroupRewards,
    LeaveOneOutAdvantage,
    MovingStdAdvantage,
)

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


ROWS = st.lists(st.lists(st.floats(-5, 5), min_size=4, max_size=4), min_size=1, max_size=6)


@given(ROWS)
def test_leave_one_out_is_the_distance_from_the_others(rows: list[list[float]]) -> None:
    ours = LeaveOneOutAdvantage()(_rewards(rows))
    for row, values, reason in zip(rows, ours.values, ours.reasons, strict=True):
        if reason:
            continue
        others = [[other for j, other in enumerate(row) if j != i] for i in range(len(row))]
        expected = [value - statistics.fmean(rest) for value, rest in zip(row, others, strict=True)]
        np.testing.assert_allclose(values, expected, atol=1e-9)


def _components(*parts: tuple[Any, Any]) -> GroupRewards:
    tables = {
        f"c{i}": ComponentRewards(np.asarray(values, float), np.asarray(weights, float))
        for i, (values, weights) in enumerate(parts)
    }
    mixed = sum(np.where(t.weights[:, None] > 0, t.values, 0) * t.weights[:, None] for t in tables.values())
    return GroupRewards(np.asarray(mixed), tuple(("CoPESD", "stg") for _ in mixed), tables)


def test_gdpo_equals_trl() -> None:
    first, second = ORACLE["reward_weights"]
    rewards = _components((ORACLE["rewards"], [first] * 4), (ORACLE["second_rewards"], [second] * 4))
    ours = GDPOAdvantage()(rewards)
    expected = np.array(ORACLE["advantages"]["gdpo"])
    np.testing.assert_allclose(ours.values, expected, atol=1e-6)
    assert ours.reasons == ("", "", "zero_variance", "")


def test_gdpo_brute_force_with_components_that_do_not_apply() -> None:
    nan = float("nan")
    one = [[0.1, 0.5, 0.9], [0.2, 0.2, 0.8], [0.3, nan, 0.3]]
    two = [[5.0, 1.0, 3.0], [nan, nan, nan], [1.0, 2.0, 3.0]]
    ours = GDPOAdvantage(eps=0.0)(_components((one, [0.5, 1.0, 0.5]), (two, [0.5, 0.0, 0.5])))

    def z(row: list[float]) -> list[float]:
        return [(value - statistics.fmean(row)) / statistics.stdev(row) for value in row]

    sums = [[0.5 * a + 0.5 * b for a, b in zip(z(one[0]), z(two[0]), strict=True)], z(one[1])]
    flat = [value for row in sums for value in row]
    expected = [[(v - statistics.fmean(flat)) / statistics.stdev(flat) for v in row] for row in sums]
    np.testing.assert_allclose(ours.values[:2], expected, atol=1e-12)
    assert ours.reasons == ("", "", "failed_reward")
    assert not ours.values[2].any()


def test_gdpo_hears_components_that_cancel_in_the_mix() -> None:
    ours = GDPOAdvantage()(_components(([[0.0, 0.0, 1.0]], [0.5]), ([[0.5, 1.0, 0.0]], [0.5])))
    assert ours.reasons == ("",)
    cancelling = _components(([[0.0, 1.0, 0.5]], [0.5]), ([[1.0, 0.0, 0.5]], [0.5]))
    assert not GDPOAdvantage().flat(cancelling)[0]
    assert GroupAdvantage().flat(cancelling)[0]


def test_moving_std_by_hand_and_through_a_checkpoint() -> None:
    tal, stg = ("AVOS", "tal"), ("CoPESD", "stg")
    rounds = [
        ([[0.0, 1.0], [0.0, 10.0], [5.0, 5.0]], (tal, stg, stg)),
        ([[0.0, 4.0], [2.0, 6.0], [float("nan"), 1.0]], (tal, tal, stg)),
    ]
    whole, parts = MovingStdAdvantage(decay=0.5, eps=0.0), []
    for values, pairs in rounds:
        rewards = GroupRewards(np.array(values), pairs)
        expected = whole(rewards)
        again = MovingStdAdvantage(decay=0.5, eps=0.0)
        again.load_state_dict(json.loads(json.dumps(parts[-1] if parts else {})))
        np.testing.assert_array_equal(again(rewards).values, expected.values)
        parts.append(again.state_dict())
    # Unbiased variances: tal 0.5, then 8 and 8; stg 50 and 0, then a failed group alone.
    assert whole.variances == pytest.approx({tal: 0.5 * 0.5 + 0.5 * 8, stg: 25.0})
    np.testing.assert_allclose(expected.values[:2], np.array([[-2, 2], [-2, 2]]) / np.sqrt(4.25))
    assert expected.reasons == ("", "", "failed_reward")


@given(ROWS, st.floats(0.5, 20), st.floats(-3, 3))
def test_moving_std_cancels_the_units_of_a_pair(rows: list[list[float]], scale: float, shift: float) -> None:
    ours = MovingStdAdvantage(eps=1e-12)(_rewards(rows))
    moved = MovingStdAdvantage(eps=1e-12)(_rewards(np.asarray(rows) * scale + shift))
    if np.std(rows, axis=1).min() > 1e-4:
        np.testing.assert_allclose(ours.values, moved.values, atol=1e-5)


@pytest.mark.parametrize(
    "estimator",
    [
        GroupAdvantage(),
        GroupAdvantage("batch"),
        LeaveOneOutAdvantage(),
        GDPOAdvantage(),
        MovingStdAdvantage(),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_every_estimator_survives_failures(estimator: AdvantageEstimator) -> None:
    nan = float("nan")
    for rows in ([[nan, nan]], [[nan, 1.0], [0.5, 0.5]], [[nan, 1.0], [0.5, 0.7]]):
        ours = estimator(_rewards(rows))
        assert np.isfinite(ours.values).all()
        assert ours.reasons[0] == "failed_reward"
        assert not ours.values[0].any()


def test_refuses_a_decay_that_never_moves() -> None:
    with pytest.raises(ValueError, match="decay"):
        MovingStdAdvantage(decay=1.0)

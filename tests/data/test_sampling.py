import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medgrpo.data.sampling import SamplingPolicy
from medgrpo.errors import UserError

Draw = Any
"""Hypothesis' function that draws from a strategy."""


@st.composite
def policies(draw: Draw) -> SamplingPolicy:
    low = draw(st.sampled_from([1, 2, 8, 50]))
    min_frames = 2 * draw(st.integers(1, 8))
    rates = sorted(draw(st.tuples(*[st.floats(0.05, 8)] * 3)))
    return SamplingPolicy(
        f_min=rates[0],
        f_goal=rates[1],
        f_max=rates[2],
        min_frames=min_frames,
        max_frames=min_frames + 2 * draw(st.integers(0, 100)),
        max_tokens=draw(st.integers(low, 4000)),
        frame_min_tokens=low,
        frame_max_tokens=low + draw(st.integers(0, 60)),
        factor=draw(st.sampled_from([28, 32])),
        goal_frames=draw(st.none() | st.integers(2, 100)),
        aspect_tolerance=draw(st.sampled_from([0.0, 0.02, 0.2])),
    )


@st.composite
def frame_times(draw: Draw) -> np.ndarray:
    """Constant rates, variable rates, ragged lists with repetitions, and very long clips."""
    count = draw(st.integers(1, 300))
    kind = draw(st.sampled_from(["regular", "variable", "long"]))
    if kind == "regular":
        return draw(st.floats(0, 2)) + np.arange(count) / draw(
            st.sampled_from([0.1, 0.5, 1, 2, 3, 25, 29.97, 240])
        )
    gaps = np.random.default_rng(draw(st.integers(0, 2**32))).exponential(
        0.4 if kind == "variable" else 100, count - 1
    )
    gaps[draw(st.sampled_from([count, 2, 5])) :: 7] = 0.0
    return np.concatenate(([0.0], np.cumsum(gaps)))


@settings(max_examples=120, deadline=None)
@given(policies(), frame_times(), st.integers(20, 2000), st.integers(20, 2000))
def test_plans_keep_every_promise(policy: SamplingPolicy, times: np.ndarray, height: int, width: int) -> None:
    plan = policy.plan(times, height, width)
    n, distinct = len(plan.indices), np.unique(times)
    real = n - plan.padded
    assert n % 2 == 0
    assert 2 <= n <= max(2, policy.max_frames)
    assert len(plan.times) == len(plan.true_times) == n
    assert (np.diff(times[plan.indices[:real]]) > 0).all()
    assert np.array_equal(plan.true_times, times[plan.indices])
    if plan.padded:
        assert plan.indices[-1] == plan.indices[-2]
        assert real == len(distinct)
    # The token budget holds, and no pair of frames is above its own limit.
    tokens = (plan.height // policy.factor) * (plan.width // policy.factor)
    assert plan.height % policy.factor == plan.width % policy.factor == 0
    assert tokens <= policy.frame_max_tokens
    assert n // 2 * tokens <= policy.max_tokens
    # Told times are regular from the first frame, in steps that float32 holds exactly.
    step = 1 / plan.fps_effective
    assert plan.times[0] == times[0]
    assert np.allclose(np.diff(plan.times), step, rtol=0, atol=1e-9)
    if len(distinct) > 1 and distinct[-1] - distinct[0] >= (real - 1) / 1024:
        ticks = np.diff(plan.times - plan.times[0])[0] * 1024 if times[0] == 0 else step * 1024
        assert math.isclose(ticks, round(ticks), abs_tol=1e-6)
        if step < 8192:
            assert float(np.float32(2 * round(ticks) / 1024)) == 2 * round(ticks) / 1024
        # Both ends are covered.
        assert plan.indices[0] == 0
        assert distinct[-1] - plan.times[real - 1] <= real / 1024 + 1e-6
        assert plan.times[real - 1] <= distinct[-1] + 1e-6


@settings(max_examples=80, deadline=None)
@given(frame_times(), st.integers(2, 60))
def test_each_chosen_frame_is_the_nearest_to_its_told_time(times: np.ndarray, half: int) -> None:
    plan = SamplingPolicy(min_frames=4, max_frames=2 * half, f_goal=0.5).plan(times, 480, 854)
    distinct = np.unique(times)
    if len(distinct) < 3 or len(plan.indices) - plan.padded == len(distinct):
        return
    nearest = [int(np.abs(distinct - told).argmin()) for told in plan.times]
    for k, (told, true) in enumerate(zip(plan.times, plan.true_times, strict=True)):
        crowded = nearest.count(nearest[k]) > 1 or true != distinct[nearest[k]]
        if not crowded:
            assert abs(told - true) == pytest.approx(np.abs(distinct - told).min())
    if len(set(nearest)) == len(nearest):
        brute = np.array([np.abs(distinct - told).min() for told in plan.times])
        assert np.allclose(np.abs(plan.times - plan.true_times), brute)


@pytest.mark.parametrize(
    ("count", "indices"),
    [(1, [0, 0]), (2, [0, 1]), (3, [0, 1, 2, 2]), (4, [0, 1, 2, 3]), (5, [0, 1, 2, 3, 4, 4])],
)
def test_few_frames_are_all_taken_and_odd_counts_padded(count: int, indices: list[int]) -> None:
    plan = SamplingPolicy(f_goal=2.0).plan(np.arange(count) / 2.0, 480, 854)
    assert plan.indices.tolist() == indices
    assert plan.fps_effective == (3.0 if count == 1 else 2.0)
    assert plan.residual == 0.0


def test_a_list_at_the_goal_rate_is_shown_as_it_is() -> None:
    plan = SamplingPolicy(f_goal=1.0).plan(np.arange(31.0), 480, 854)
    assert plan.indices.tolist() == [*range(31), 30]
    assert plan.padded
    assert plan.fps_effective == 1.0
    assert plan.residual == 0.0
    assert plan.times.tolist() == list(map(float, range(32)))


def test_the_rate_told_is_the_spacing_not_the_share_of_frames() -> None:
    # Four frames of a minute at its ends are 20 s apart; n / N * fps would say 15 s.
    plan = SamplingPolicy(max_frames=4).plan(np.arange(1801) / 30, 480, 854)
    assert 1 / plan.fps_effective == pytest.approx(20, abs=1 / 1024)


def test_variable_rate_is_sampled_by_time_not_by_index() -> None:
    times = np.concatenate((np.arange(100) * 0.01, 1 + np.arange(11) * 0.9))
    plan = SamplingPolicy(f_goal=1.0, max_frames=12).plan(times, 480, 854)
    assert plan.indices.tolist()[:3] == [0, 100, 101]
    assert plan.residual < 0.45


def test_durations_from_half_a_second_to_three_hours() -> None:
    policy = SamplingPolicy(goal_frames=64)
    rates = {}
    for seconds in (0.5, 20, 60, 600, 10800):
        plan = policy.plan(np.linspace(0, seconds, round(seconds * 25) + 1), 480, 854)
        assert plan.times[-1] == pytest.approx(seconds, abs=len(plan.times) / 1024 + 0.001)
        rates[seconds] = plan.fps_effective
    assert rates[0.5] > 3  # min_frames wins over f_max, and the plan says so
    assert rates[20] == pytest.approx(3, rel=0.05)
    assert rates[60] == pytest.approx(63 / 60, rel=0.01)
    assert rates[600] == pytest.approx(63 / 600, rel=0.01)
    assert rates[10800] == pytest.approx(767 / 10800, rel=0.01)  # below f_min: the frame budget wins


def test_a_kept_frame_is_among_the_chosen() -> None:
    times = np.arange(100.0)
    policy = SamplingPolicy(max_frames=8)
    for keep in range(100):
        plan = policy.plan(times, 480, 854, keep=keep)
        assert keep in plan.indices
        assert (np.diff(plan.indices) > 0).all()


def test_repeated_times_count_once() -> None:
    plan = SamplingPolicy().plan(np.array([0.0, 1.0, 1.0, 2.0, 3.0]), 480, 854)
    assert plan.indices.tolist() == [0, 1, 3, 4]


@pytest.mark.parametrize("times", [[], [0.0, 2.0, 1.0], [0.0, math.nan]])
def test_impossible_times_are_refused(times: list[float]) -> None:
    with pytest.raises(UserError, match="frame"):
        SamplingPolicy().plan(np.array(times), 480, 854)


def test_a_model_that_reads_timestamps_is_told_the_true_ones() -> None:
    times = np.array([0.0, 1.0, 2.0, 9.0, 9.5])
    plan = SamplingPolicy(timestamps="text", max_residual=0.0).plan(times, 480, 854)
    assert plan.times.tolist() == [0.0, 1.0, 2.0, 9.0, 9.5, 9.5]
    assert plan.residual == 0.0
    told = SamplingPolicy(timestamps="regular").plan(times, 480, 854)
    assert np.array_equal(told.indices, plan.indices)
    assert np.array_equal(told.true_times, plan.times)
    assert told.residual == pytest.approx(2.75, abs=0.01)


def test_ragged_lists_beyond_the_bound_are_refused() -> None:
    times = np.array([0.0, 1.0, 2.0, 9.0])
    assert SamplingPolicy().plan(times, 480, 854).residual == pytest.approx(4.0, abs=0.01)
    with pytest.raises(UserError, match="max_residual=1"):
        SamplingPolicy(max_residual=1.0).plan(times, 480, 854)


@pytest.mark.parametrize(
    "wrong",
    [
        {"f_min": 0.0},
        {"f_min": 5.0},
        {"min_frames": 3},
        {"max_frames": 2},
        {"max_tokens": 4},
        {"frame_min_tokens": 49},
        {"factor": 0},
        {"goal_frames": 1},
        {"max_residual": -1.0},
        {"aspect_tolerance": -0.01},
        {"timestamps": "words"},
    ],
)
def test_contradictory_policies_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="sampling"):
        SamplingPolicy(**wrong)

"""Quartiles that follow the policy: slowly, alike whatever the order, and kept over a restart."""

from __future__ import annotations

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medgrpo.errors import UserError
from medgrpo.rewards import AdaptiveLogisticNormalizer, LogisticNormalizer, Statistics, summarise

PAIR, OTHER = ("CoPESD", "stg"), ("AVOS", "stg")
METRIC = "m@1"
START = [i / 400 for i in range(201)]  # median 0.25, quartiles 0.125 and 0.375
BETTER = [0.5 + i / 400 for i in range(201)]
unit = st.floats(0.0, 1.0)


def bound(
    low: float = 0.0, high: float = 1.0, start: list[float] = START, **given_: object
) -> AdaptiveLogisticNormalizer:
    arguments = {"window": 200, "min_samples": 10, **given_}
    normalizer = AdaptiveLogisticNormalizer(**arguments)  # type: ignore[arg-type]
    normalizer.bind(Statistics({PAIR: {METRIC: summarise(start, low, high)}}))
    return normalizer


def see(normalizer: AdaptiveLogisticNormalizer, values: list[float]) -> None:
    normalizer.observe([(PAIR, METRIC, value) for value in values])


def value(normalizer: AdaptiveLogisticNormalizer, x: float) -> float:
    return normalizer.normalise(x, PAIR, METRIC).value


def test_starts_as_the_papers() -> None:
    frozen = LogisticNormalizer().bind(Statistics({PAIR: {METRIC: summarise(START)}}))
    for x in (0.0, 0.1, 0.25, 0.9, math.nan):
        assert str(value(bound(), x)) == str(frozen.normalise(x, PAIR, METRIC).value)
    assert bound().normalise(0.1, PAIR, METRIC).name == "adaptive_logistic"


def test_follows_no_faster_than_allowed_and_arrives() -> None:
    normalizer = bound(max_shift=0.1)
    medians = []
    for _ in range(60):
        see(normalizer, BETTER)
        used = normalizer.normalise(0.5, PAIR, METRIC)
        assert used.p25 is not None
        assert used.p50 is not None
        assert used.p75 is not None
        assert used.p25 <= used.p50 <= used.p75
        medians.append(used.p50)
    steps = [b - a for a, b in zip([0.25, *medians], medians, strict=False)]
    assert max(steps) <= 0.1 * 0.25 + 1e-9
    assert min(steps) >= 0.0
    assert medians[-1] == pytest.approx(0.75, abs=0.01)
    assert value(normalizer, medians[-1]) == 0.5


def test_too_few_samples_move_nothing_and_old_ones_are_forgotten() -> None:
    normalizer = bound(min_samples=50)
    see(normalizer, [0.9] * 49)
    assert value(normalizer, 0.25) == 0.5
    see(normalizer, [0.9, math.nan])
    assert value(normalizer, 0.25) < 0.5
    for _ in range(40):
        see(normalizer, START)
    assert value(normalizer, 0.25) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("saturated", [[0.0], [1.0], [0.0, 1.0]])
def test_a_metric_without_spread_is_centred_and_keeps_its_scale(saturated: list[float]) -> None:
    normalizer = bound()
    for _ in range(100):
        see(normalizer, saturated * 100)
    found = [value(normalizer, x) for x in (0.0, 0.5, 1.0)]
    assert found == sorted(found)
    assert all(0.0 < v < 1.0 for v in found)
    state = normalizer.state_dict()["current"][0]
    assert state[6] == pytest.approx(0.25)  # the scale


@given(st.lists(st.lists(unit, min_size=1, max_size=40), max_size=6), unit, unit)
def test_monotone_bounded_and_finite_whatever_it_has_seen(
    rounds: list[list[float]], a: float, b: float
) -> None:
    normalizer = bound()
    for values in rounds:
        see(normalizer, values)
    low, high = sorted((a, b))
    assert 0.0 <= value(normalizer, low) <= value(normalizer, high) <= 1.0
    assert value(normalizer, normalizer.normalise(a, PAIR, METRIC).p50 or 0.0) == 0.5
    assert math.isnan(value(normalizer, math.nan))


@given(st.floats(0.1, 50.0), st.floats(-20.0, 20.0), unit)
def test_invariant_under_affine_change_of_the_metric(a: float, b: float, x: float) -> None:
    plain, moved = bound(), bound(b, a + b, [a * v + b for v in START])
    for _ in range(3):
        see(plain, BETTER)
        see(moved, [a * v + b for v in BETTER])
    assert value(moved, a * x + b) == pytest.approx(value(plain, x), abs=1e-6)


def test_the_order_of_ranks_changes_nothing() -> None:
    one, two = bound(), bound()
    chance = random.Random(0)
    for _ in range(5):
        values = [chance.random() for _ in range(150)]
        see(one, values)
        see(two, chance.sample(values, len(values)))
    assert one.state_dict() == two.state_dict()


def test_a_restart_goes_on_as_if_it_had_not_been() -> None:
    whole, first, second = bound(), bound(), bound()
    see(whole, BETTER)
    see(first, BETTER)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    for normalizer in (whole, second):
        see(normalizer, START)
    assert second.state_dict() == whole.state_dict()
    assert value(second, 0.3) == value(whole, 0.3)


def test_unknown_pairs() -> None:
    with pytest.raises(UserError, match="no statistics for dataset 'AVOS'"):
        bound().normalise(0.5, OTHER, METRIC)
    pooled = bound(unknown="pooled")
    assert pooled.normalise(0.25, OTHER, METRIC).value == pytest.approx(0.5)
    with pytest.raises(UserError, match="nothing to pool"):
        pooled.normalise(0.5, OTHER, "another@1")
    with pytest.raises(UserError, match="needs statistics"):
        AdaptiveLogisticNormalizer().bind(None)


@pytest.mark.parametrize(
    "wrong", [{"k": 0.0}, {"min_samples": 1}, {"min_samples": 300, "window": 200}, {"max_shift": 0.0}]
)
def test_arguments_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        bound(**wrong)  # type: ignore[arg-type]

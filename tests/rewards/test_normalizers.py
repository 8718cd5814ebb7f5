import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medgrpo.errors import UserError
from medgrpo.rewards import (
    IdentityNormalizer,
    LogisticNormalizer,
    Normalizer,
    RangeNormalizer,
    RankNormalizer,
    RobustAffineNormalizer,
    Statistics,
    summarise,
)

PAIR = ("CoPESD", "stg")
METRIC = "m@1"
unit = st.floats(0.0, 1.0)
values = st.lists(unit, min_size=1, max_size=60)


def bound(normalizer: Normalizer, data: list[float], low: float = 0.0, high: float = 1.0) -> Normalizer:
    return normalizer.bind(Statistics({PAIR: {METRIC: summarise(data, low, high)}}))


def all_normalizers() -> list[Normalizer]:
    return [
        LogisticNormalizer(),
        RobustAffineNormalizer(),
        RankNormalizer(),
        RangeNormalizer(),
        IdentityNormalizer(),
    ]


@given(values, unit, unit)
def test_monotone_and_finite_on_any_data(data: list[float], a: float, b: float) -> None:
    low, high = sorted((a, b))
    for normalizer in all_normalizers():
        bound(normalizer, data)
        x = normalizer.normalise(low, PAIR, METRIC).value
        y = normalizer.normalise(high, PAIR, METRIC).value
        assert math.isfinite(x)
        assert math.isfinite(y)
        assert x <= y + 1e-12
        assert normalizer.floor(PAIR, METRIC, 0.0) <= x + 1e-12


@given(values, st.floats(-1e6, 1e6))
def test_logistic_and_rank_are_bounded(data: list[float], x: float) -> None:
    for normalizer in (LogisticNormalizer(), RankNormalizer()):
        assert 0.0 <= bound(normalizer, data).normalise(x, PAIR, METRIC).value <= 1.0


@given(values, st.floats(0.0, 1.0))
def test_range_maps_the_bounds_to_0_and_1(data: list[float], share: float) -> None:
    normalizer = bound(RangeNormalizer(), [1 + 4 * v for v in data], 1.0, 5.0)
    assert normalizer.normalise(1 + 4 * share, PAIR, METRIC).value == pytest.approx(share)


@given(values)
def test_the_median_is_exactly_one_half(data: list[float]) -> None:
    for normalizer in (LogisticNormalizer(), RobustAffineNormalizer()):
        median = summarise(data).p50
        assert bound(normalizer, data).normalise(median, PAIR, METRIC).value == 0.5


def test_rank_of_an_untied_median_is_one_half() -> None:
    data = list(np.linspace(0.0, 1.0, 1001))
    rank = bound(RankNormalizer(), data)
    for x in (0.0, 0.123, 0.5, 0.987, 1.0):
        assert rank.normalise(x, PAIR, METRIC).value == pytest.approx(x, abs=1e-9)


def test_logistic_at_the_quartiles_of_a_symmetric_distribution() -> None:
    data = list(np.linspace(0.1, 0.7, 401))
    logistic = bound(LogisticNormalizer(k=3.0), data)
    upper = logistic.normalise(float(np.quantile(data, 0.75)), PAIR, METRIC)
    assert upper.value == pytest.approx(1 / (1 + math.exp(-1.5)), abs=1e-9)
    assert (upper.k, upper.name) == (3.0, "logistic")
    assert (upper.p25, upper.p50, upper.p75) == pytest.approx(tuple(np.quantile(data, [0.25, 0.5, 0.75])))


@given(st.floats(0.1, 50.0), st.floats(-20.0, 20.0), unit)
def test_logistic_is_invariant_under_affine_change_of_the_metric(a: float, b: float, x: float) -> None:
    data = [0.05, 0.2, 0.4, 0.45, 0.9]
    plain = bound(LogisticNormalizer(), data).normalise(x, PAIR, METRIC).value
    moved = bound(LogisticNormalizer(), [a * v + b for v in data], b, a + b)
    assert moved.normalise(a * x + b, PAIR, METRIC).value == pytest.approx(plain, abs=1e-6)


@given(st.lists(unit, min_size=8, max_size=8), values)
def test_affine_cancels_under_group_std(group: list[float], data: list[float]) -> None:
    raw = np.array(group)
    if raw.std() < 1e-3:
        return
    affine = bound(RobustAffineNormalizer(), data)
    changed = np.array([affine.normalise(v, PAIR, METRIC).value for v in group])

    def advantage(r: np.ndarray) -> np.ndarray:
        return (r - r.mean()) / r.std(ddof=1)

    np.testing.assert_allclose(advantage(changed), advantage(raw), atol=1e-6)


def test_nan_stays_nan() -> None:
    for normalizer in all_normalizers():
        assert math.isnan(bound(normalizer, [0.1, 0.2, 0.3]).normalise(math.nan, PAIR, METRIC).value)


def test_statistics_are_required_and_slopes_checked() -> None:
    with pytest.raises(UserError, match="LogisticNormalizer needs statistics"):
        LogisticNormalizer().normalise(0.5, PAIR, METRIC)
    with pytest.raises(UserError, match="k must be positive"):
        LogisticNormalizer(k=0.0)
    assert IdentityNormalizer().bind(None).normalise(0.3, PAIR, METRIC).value == 0.3


@pytest.mark.parametrize(
    "kind", [LogisticNormalizer, RobustAffineNormalizer, RankNormalizer, RangeNormalizer]
)
def test_unknown_pairs_are_an_error_or_pooled(kind: type[Normalizer]) -> None:
    known = {
        ("AVOS", "stg"): {METRIC: summarise([i / 100 for i in range(101)])},
        ("CoPESD", "stg"): {METRIC: summarise([i / 200 for i in range(101)])},
    }
    other = ("EgoSurgery", "stg")
    with pytest.raises(UserError, match="no statistics for dataset 'EgoSurgery'"):
        kind().bind(Statistics(known)).normalise(0.3, other, METRIC)
    pooled = kind(unknown="pooled").bind(Statistics(known))
    values = [q for metrics in known.values() for q in metrics[METRIC].quantiles]
    alone = kind().bind(Statistics({other: {METRIC: summarise(values)}}))
    for raw in (0.0, 0.3, 0.9):
        assert pooled.normalise(raw, other, METRIC) == alone.normalise(raw, other, METRIC)
    with pytest.raises(UserError, match="nothing to pool"):
        pooled.normalise(0.3, other, "another@1")
    with pytest.raises(UserError, match="unknown must be error or pooled"):
        kind(unknown="ignore")  # type: ignore[arg-type]

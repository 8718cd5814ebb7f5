"""Agreement of raters against textbook numbers and scikit-learn."""

from __future__ import annotations

import math

import krippendorff
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import cohen_kappa_score

from medgrpo.evaluation.raters import LEAST, agreement_of, alpha, kappa, spearman

NAN = math.nan
SCORES = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=2, max_size=40)


@given(SCORES)
def test_kappa_is_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    ratings = np.array(pairs, dtype=np.float64).T
    if len(np.unique(ratings)) < 2:
        assert kappa(ratings) == 1.0
        return
    expected = cohen_kappa_score(*ratings.astype(int), weights="quadratic", labels=[1, 2, 3, 4, 5])
    assert kappa(ratings) == pytest.approx(expected)


@given(SCORES)
def test_rank_correlation_is_scipys(pairs: list[tuple[int, int]]) -> None:
    ratings = np.array(pairs, dtype=np.float64).T
    if np.ptp(ratings, axis=1).all():
        assert spearman(ratings) == pytest.approx(spearmanr(*ratings).statistic)
    else:
        assert math.isnan(spearman(ratings))


def test_alpha_is_krippendorffs_own_example() -> None:
    # Four observers, twelve units with gaps: "Computing Krippendorff's Alpha-Reliability", 2011.
    data = np.array(
        [
            [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
            [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
            [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
            [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
        ]
    )
    assert alpha(data) == pytest.approx(0.815, abs=5e-4)


def test_a_rater_who_is_a_point_kinder_agrees_in_rank_alone() -> None:
    strict = np.array([1.0, 2, 3, 4, 2, 3, 1, 4] * 4)
    ratings = {"a": strict, "b": strict + 1}
    found = {one.name.split()[0]: one for one in agreement_of(ratings, list(range(32)))}
    assert found["spearman"].value == pytest.approx(1.0)
    assert 0.3 < found["kappa"].value < 0.8
    assert found["kappa"].low <= found["kappa"].value <= found["kappa"].high
    assert {one.items for one in found.values()} == {32}


def test_too_few_items_have_no_number() -> None:
    scores = np.arange(LEAST - 1) % 5 + 1.0
    found = agreement_of({"a": scores, "b": scores}, list(range(len(scores))))
    assert all(math.isnan(one.value) and one.items == LEAST - 1 for one in found)
    gaps = np.where(np.arange(40) % 2 == 0, np.arange(40) % 5 + 1.0, NAN)
    [rank, *_] = agreement_of({"a": gaps, "b": np.roll(gaps, 1)}, list(range(40)))
    assert rank.items == 0


def test_whole_videos_are_resampled() -> None:
    generator = np.random.default_rng(0)
    a = generator.integers(1, 6, 60).astype(float)
    b = np.clip(a + generator.integers(-1, 2, 60), 1, 5)
    wide = agreement_of({"a": a, "b": b}, [i // 20 for i in range(60)])[0]
    narrow = agreement_of({"a": a, "b": b}, list(range(60)))[0]
    assert wide.value == narrow.value
    assert (wide.low, wide.high) != (narrow.low, narrow.high)


def test_intervals_are_those_of_resampled_videos() -> None:
    generator = np.random.default_rng(1)
    a = generator.integers(1, 6, 40).astype(float)
    b = np.clip(a + generator.integers(-1, 2, 40), 1, 5)
    video = np.arange(40) // 4
    found = agreement_of({"a": a, "b": b}, video.tolist(), draws=50, seed=3)
    expected: dict[str, list[float]] = {"spearman": [], "kappa": [], "alpha": []}
    for times in np.random.default_rng(3).multinomial(10, np.full(10, 0.1), 50):
        drawn = np.repeat(np.stack([a, b]), times[video], axis=1)
        expected["spearman"].append(spearmanr(*drawn).statistic)
        expected["kappa"].append(cohen_kappa_score(*drawn.astype(int), weights="quadratic"))
        expected["alpha"].append(krippendorff.alpha(drawn, level_of_measurement="ordinal"))
    for one in found:
        of_each = expected[one.name.split()[0]]
        assert (one.low, one.high) == pytest.approx(tuple(np.quantile(of_each, [0.025, 0.975])))


def test_constant_ratings() -> None:
    same = np.full((2, 30), 3.0)
    assert math.isnan(spearman(same))
    assert (kappa(same), alpha(same)) == (1.0, 1.0)

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from medgrpo.ablation.intervals import mean_interval

NUMBERS = st.lists(st.floats(-100, 100).map(lambda x: round(x, 3)), min_size=3, max_size=30)


@given(NUMBERS)
def test_the_interval_is_that_of_the_paired_t_test(first: list[float]) -> None:
    second = [value + (index * 7 % 5) for index, value in enumerate(first)]
    found = mean_interval(np.array(second) - np.array(first))
    expected = stats.ttest_rel(second, first)
    low, high = expected.confidence_interval(0.95)
    assert found["low"] == pytest.approx(low, abs=2e-6)
    assert found["high"] == pytest.approx(high, abs=2e-6)
    assert found["p"] == pytest.approx(expected.pvalue, rel=1e-2)


def test_a_seed_without_a_number_is_shown_and_left_out() -> None:
    found = mean_interval([1.0, np.nan, 3.0])
    assert (found["n"], found["mean"], found["values"]) == (2, 2.0, [1.0, None, 3.0])


def test_one_seed_allows_no_interval() -> None:
    assert mean_interval([0.5])["low"] is None
    assert mean_interval([np.nan])["mean"] is None


def test_seeds_that_agree_by_their_counts_are_no_certainty() -> None:
    # One more answer of sixty right in each of three seeds: equal up to the last bits of a double.
    found = mean_interval([21 / 60 - 20 / 60, 30 / 60 - 29 / 60, 42 / 60 - 41 / 60])
    assert found["mean"] == pytest.approx(1 / 60, abs=1e-6)
    assert (found["low"], found["high"], found["p"]) == (None, None, None)
    nothing = mean_interval([0.0, 0.0, 0.0])
    assert (nothing["low"], nothing["high"], nothing["p"]) == (0.0, 0.0, 1.0)

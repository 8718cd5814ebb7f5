"""Intervals and tests by source video, against numpy and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from medgrpo.evaluation.uncertainty import bootstrap_intervals, clusters, sign_flip_test, video_of
from medgrpo.tasks.quantities import mean
from tests.tasks.samples import make_sample


def test_an_operation_is_one_cluster_under_all_its_names() -> None:
    names = [
        ("VID01", "CholecT50"),
        ("video01", "Cholec80_CVS"),
        ("VID1", "CholecTrack20"),
        ("VID02", "AVOS"),
    ]
    videos = [video_of(make_sample("tal", "1-2 seconds", video=v, dataset=d)) for v, d in names]
    assert clusters(videos).tolist() == [0, 0, 0, 1]


def test_the_interval_of_a_mean_is_that_of_resampled_videos() -> None:
    generator = np.random.default_rng(0)
    values = generator.normal(size=(30, 4)) + generator.normal(size=(30, 1))
    videos = np.repeat(np.arange(30), 4).tolist()
    low, high = bootstrap_intervals([mean("m", values.ravel())], videos, draws=20_000)["m"]
    means = values.mean(axis=1)
    draws = np.random.default_rng(1).integers(30, size=(20_000, 30))
    expected = np.quantile(means[draws].mean(axis=1), (0.025, 0.975))
    assert (low, high) == (pytest.approx(expected[0], abs=0.02), pytest.approx(expected[1], abs=0.02))
    # Rows as units would claim to know more.
    narrow = bootstrap_intervals([mean("m", values.ravel())], list(range(120)), draws=20_000)["m"]
    assert narrow[1] - narrow[0] < 0.75 * (high - low)


def test_one_video_allows_no_interval() -> None:
    assert bootstrap_intervals([mean("m", [0.0, 1.0])], ["v", "v"]) == {}
    assert bootstrap_intervals([], []) == {}


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 5), st.floats(-1, 1)), min_size=1, max_size=20))
def test_the_exact_sign_flip_test_is_scipys(rows: list[tuple[int, float]]) -> None:
    videos = [v for v, _ in rows]
    differences = [round(d, 3) for _, d in rows]
    sums = np.array([sum(d for v, d in zip(videos, differences, strict=True) if v == k) for k in set(videos)])
    p = sign_flip_test(differences, videos)
    if len(sums) < 2 or not np.any(np.abs(sums) > 1e-12):
        assert p == 1.0
        return

    def total(x: np.ndarray) -> float:
        return float(np.abs(x.sum()))

    expected = stats.permutation_test(
        (sums,), total, permutation_type="samples", alternative="greater", n_resamples=np.inf
    )
    assert p == pytest.approx(expected.pvalue)


def test_many_videos_are_sampled_and_agree_with_the_exact_answer() -> None:
    sums = np.random.default_rng(2).normal(0.25, 1.0, size=16)
    patterns = ((np.arange(2**16)[:, None] >> np.arange(16)) & 1) * 2.0 - 1.0
    exact = (np.abs(patterns @ sums) >= abs(sums.sum()) - 1e-12).mean()
    assert sign_flip_test(sums.tolist(), list(range(16)), draws=50_000) == pytest.approx(exact, abs=0.01)


def test_nothing_differs() -> None:
    assert sign_flip_test([0.0] * 40, list(range(40))) == 1.0

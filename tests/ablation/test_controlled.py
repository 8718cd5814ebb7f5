"""The controlled experiments against closed forms and quadrature, and what they show."""

from collections.abc import Callable

import numpy as np
import pytest

from medgrpo.ablation.controlled import controlled_report, curvature, drift, mix, scale
from medgrpo.ablation.controlled.scale import PAIRS

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(60)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def logistic(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-3.0 * x))


def expectation(of: Callable[[np.ndarray], np.ndarray]) -> float:
    """Over a standard normal."""
    return float(WEIGHTS @ of(NODES))


@pytest.fixture(scope="module")
def scales() -> dict:
    return scale(groups=60_000, blocks=6, seed=0)


def test_raw_shares_are_ratios_of_variances_within_groups(scales: dict) -> None:
    shares = {pair: found["mean"] for pair, found in scales["shares"]["identity, none"].items()}
    # Similarity, judge and the error of rounding the judge to 0.2; halves of each are added.
    captions = 0.25 * (0.04**2 + 0.5**2 + 0.2**2 / 12)
    assert shares["CoPESD/video_summary"] / shares["CoPESD/stg"] == pytest.approx(
        captions / 0.12**2, rel=0.03
    )


def test_scale_decides_without_the_groups_deviation_and_hardly_with_it(scales: dict) -> None:
    spread = {name: found["mean"] for name, found in scales["spread"].items()}
    usable = [pair for pair in scales["pairs"] if "cvs" not in pair]

    def largest_over_smallest(name: str) -> float:
        values = [scales["shares"][name][pair]["mean"] for pair in usable]
        return max(values) / min(values)

    assert largest_over_smallest("identity, none") > 20
    assert largest_over_smallest("logistic, none") < 3
    affine = largest_over_smallest("affine, group")
    assert largest_over_smallest("identity, group") == pytest.approx(affine, rel=0.02)
    assert spread["identity, moving std"] == pytest.approx(1.0, abs=0.02)
    # One factor for all rewards of a round changes no share.
    for name in ("identity", "range", "affine", "logistic", "rank"):
        for pair in scales["pairs"]:
            alike = scales["shares"][f"{name}, none"][pair]["mean"]
            assert scales["shares"][f"{name}, batch"][pair]["mean"] == pytest.approx(alike, abs=1e-5)


def test_an_affine_normalizer_cancels_exactly_but_for_mixed_captions(scales: dict) -> None:
    cancel = scales["cancel"]["affine"]
    assert cancel["single exact"] < 1e-6
    assert cancel["single default"] > 1e-3  # the epsilon beside a tiny deviation
    assert cancel["captions correlation"]["high"] < 0.9
    assert scales["cancel"]["logistic"]["single correlation"]["high"] < 0.99


@pytest.mark.parametrize("spread", [0.25, 1.0])
def test_what_curvature_leaves_is_that_of_a_quadrature(spread: float) -> None:
    found = curvature(groups=18 * 36 * 4, blocks=2, seed=1, group_size=1024)
    for row in found["rows"]:
        if row["spread"] != spread or row["position"] not in (-2.0, 0.0, 1.0):
            continue

        def bent(e: np.ndarray, row: dict = row) -> np.ndarray:
            return logistic(row["position"] + spread * e)

        std = np.sqrt(expectation(lambda e: bent(e) ** 2) - expectation(bent) ** 2)
        expected = expectation(lambda e: e * bent(e)) / std
        assert row["correlation"]["mean"] == pytest.approx(expected, abs=0.01)
        middle = np.sqrt(expectation(lambda e: (logistic(spread * e) - 0.5) ** 2))
        assert row["size"]["mean"] == pytest.approx(std / middle, rel=0.05)


def test_far_from_the_median_order_stays_and_size_is_lost() -> None:
    rows = {(r["position"], r["spread"]): r for r in curvature(groups=36 * 400, blocks=2, seed=0)["rows"]}
    assert rows[0.0, 0.1]["correlation"]["mean"] > 0.999
    assert 0.9 < rows[2.0, 0.25]["correlation"]["mean"] < 0.97
    assert rows[2.0, 0.25]["size"]["mean"] < 0.03
    # Below the median the best answer of a group stands out more, above it less.
    assert rows[-2.0, 0.5]["top"]["mean"] > 1.2
    assert rows[2.0, 0.5]["top"]["mean"] < 0.7


def test_a_frozen_logistic_loses_a_pair_that_moved_and_a_running_one_follows() -> None:
    rows = {row["shift"]: row for row in drift(groups=12 * 4 * 2000, blocks=4, seed=0)["rows"]}

    def within(shift: float) -> float:
        """Mean variance within groups of the logistic, half of the variance between groups."""
        part = np.sqrt(0.5) / 1.3489795003921634

        def variance(a: float) -> float:
            mean = expectation(lambda e: logistic(shift + part * (a + e)))
            return expectation(lambda e: (logistic(shift + part * (a + e)) - mean) ** 2)

        return expectation(lambda a: np.array([variance(x) for x in a]))

    for shift, row in rows.items():
        expected = within(shift) / (within(0.0) + within(shift))
        assert row["share"]["static"]["mean"] == pytest.approx(expected, rel=0.03, abs=5e-4)
        assert row["share"]["adaptive"]["mean"] == pytest.approx(0.5, abs=0.06)
        step = 1e-5
        slope = (logistic(np.array(shift + step)) - logistic(np.array(shift - step))) / (2 * step) / 0.75
        assert row["slope"] == pytest.approx(slope, abs=1e-4)
    arrived = [row["rounds"]["mean"] for row in rows.values()]
    assert arrived == sorted(arrived)


def test_in_a_raw_mix_the_judge_alone_decides_and_equally_scaled_parts_share() -> None:
    found = mix(groups=2 * 300, blocks=2, seed=0, group_size=512)
    rows = {(row["normalizer"], row["advantage"]): row for row in found["rows"]}
    judge, similarity, related = np.sqrt(0.5**2 + 0.2**2 / 12), 0.04, found["related"]
    total = np.sqrt(judge**2 + similarity**2 + 2 * related * judge * similarity)
    raw = rows["identity", "group"]
    assert raw["judge"]["mean"] == pytest.approx((judge + related * similarity) / total, abs=0.01)
    assert raw["similarity"]["mean"] == pytest.approx((similarity + related * judge) / total, abs=0.02)
    for name in ("identity", "logistic", "rank"):
        even = rows[name, "gdpo"]
        assert even["judge"]["mean"] == pytest.approx(even["similarity"]["mean"], abs=0.02)
        assert even["judge"]["mean"] == pytest.approx(np.sqrt((1 + related) / 2), abs=0.04)


def test_the_report_is_the_same_again_and_another_with_another_seed() -> None:
    told: list[tuple[int, int, str]] = []
    first = controlled_report(2_000, 2, 0, lambda *args: told.append(args))
    assert told == [(i + 1, 4, name) for i, name in enumerate(("scale", "curvature", "drift", "mix"))]
    assert controlled_report(2_000, 2, 0) == first
    assert controlled_report(2_000, 2, 1) != first
    assert list(first["scale"]["shares"]["identity, none"]) == ["/".join(pair) for pair in PAIRS]

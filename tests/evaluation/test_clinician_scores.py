"""What clinicians' verdicts come to, and what a judge's scores are worth beside them."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from medgrpo.errors import UserError
from medgrpo.evaluation.clinician_scores import LOWEST, check_rubric, clinician_score
from medgrpo.evaluation.judge_bias import JudgedAnswer
from medgrpo.evaluation.judge_calibration import calibration, monotone_map
from medgrpo.evaluation.ratings import JUDGE, OVERALL, ratings_of
from medgrpo.evaluation.verdicts import Verdict
from tests.evaluation.verdict_scene import make_verdict


def one(score: float = 4.0, **more: object) -> Verdict:
    return make_verdict(score=score, **more)


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([], None),
        ([one(4), one(2), one(3)], 3.0),
        ([one(4), one(5)], 4.5),
        ([one(5, accepted=False)], LOWEST),
        ([one(5, accepted=False), one(5), one(4)], 4.0),  # a rejection is one voice
        ([one(5), one(5), one(5, unsafe=True)], LOWEST),  # a danger is not outvoted
        ([one(5), one(5, wrong_reference=True)], math.nan),
        ([one(5), one(1, unjudgeable=True)], 5.0),
        ([one(1, unjudgeable=True)], math.nan),
        ([one(scores={}, accepted=True)], None),
        ([one(scores={}, accepted=False)], LOWEST),
        ([one(scores={"action": 2.0, "context": 5.0})], 3.5),
        ([one(5, unsafe=True, wrong_reference=True)], math.nan),
    ],
)
def test_the_clinicians_number(verdicts: list[Verdict], expected: float | None) -> None:
    found = clinician_score(verdicts)
    assert found == expected or (found is not None and math.isnan(found) and math.isnan(expected or 0))


@given(st.lists(st.floats(1, 5), min_size=1, max_size=7))
def test_it_stays_within_what_was_given(scores: list[float]) -> None:
    found = clinician_score([one(score) for score in scores])
    assert found is not None
    assert min(scores) - 1e-9 <= found <= max(scores) + 1e-9


def test_another_rubric_is_refused() -> None:
    check_rubric([one(rubric=""), one()], "medgrpo-five@1", "v.csv")
    with pytest.raises(UserError, match=r"v.csv: ada judged answer .* by the rubric medgrpo-five@1"):
        check_rubric([one()], "medvidbench-best5@1", "v.csv")


def test_ratings_leave_out_what_cannot_be_compared() -> None:
    verdicts = [
        make_verdict("ada", 0, 2),
        make_verdict("ada", 1, 5, wrong_reference=True),
        make_verdict("bob", 1, scores={"action": 4.0}),
        make_verdict(JUDGE, 0, 3),
        make_verdict("eve", 7, 3),
    ]
    keys = [make_verdict(index=k).key for k in range(2)]
    found = ratings_of(verdicts, keys, OVERALL)
    assert list(found) == ["ada", "bob", "judge (reviewer)"]
    np.testing.assert_array_equal(found["ada"], [2, math.nan])
    np.testing.assert_array_equal(found["bob"], [math.nan, 4])
    np.testing.assert_array_equal(ratings_of(verdicts, keys, "context")["bob"], [math.nan, math.nan])


@given(st.lists(st.tuples(st.integers(1, 5), st.floats(1, 5)), min_size=1, max_size=40))
def test_the_map_is_scikit_learns(pairs: list[tuple[int, float]]) -> None:
    judge, clinicians = np.array(pairs, dtype=np.float64).T
    at, worth = monotone_map(judge, clinicians)
    expected = IsotonicRegression(out_of_bounds="clip").fit(judge, clinicians)
    np.testing.assert_allclose(np.interp([1, 1.5, 3, 5], at, worth), expected.predict([1, 1.5, 3, 5]))
    assert (np.diff(worth) >= 0).all()


def answers(count: int, kindness: float, model: str = "m") -> tuple[list[JudgedAnswer], list[Verdict]]:
    generator = np.random.default_rng(0)
    found, verdicts = [], []
    for index in range(count):
        truth = float(generator.integers(1, 5))
        verdict = make_verdict("ada", index, truth)
        verdicts += [verdict, replace(verdict, reviewer="bob")]
        judged = min(5.0, truth + kindness)
        found.append(
            JudgedAnswer(
                *(verdict.key, "AVOS", "video_summary", "", f"v{index % 7}", 5, judged, 0.5),
                {"action": judged},
                *(model, "medgrpo-five@1", verdict.content),
            )
        )
    return found, verdicts


def test_a_kind_judge_is_mended() -> None:
    found, verdicts = answers(60, kindness=1.0)
    report = calibration(found, verdicts)
    json.dumps(report, allow_nan=False)
    assert (report["judge"], report["reviewers"], len(report["verdicts"])) == ("m", 2, 64)
    for name in (OVERALL, "action"):
        part = report["scores"][name]
        assert (part["answers"], part["offset"], part["error"]) == (60, 1.0, 1.0)
        assert part["error_after"] == pytest.approx(0.0, abs=1e-9)
        assert (part["judge"], part["clinicians"]) == ([2, 3, 4, 5], [1, 2, 3, 4])


def test_few_answers_have_no_number_and_two_judges_are_refused() -> None:
    found, verdicts = answers(19, kindness=1.0)
    assert calibration(found, verdicts)["scores"] == {
        OVERALL: {"answers": 19},
        "action": {"answers": 19},
    }
    found[3] = replace(found[3], model="another")
    with pytest.raises(UserError, match=r"several judges: another .*choose a --run"):
        calibration(found, verdicts)

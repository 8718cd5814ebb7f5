"""Canaries: a judge that no longer tells good from bad is noticed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from medgrpo.errors import UserError
from medgrpo.rewards import (
    Canaries,
    CompositeReward,
    IdentityNormalizer,
    Judge,
    JudgeRequest,
    JudgeReward,
    LexiconJudge,
)
from medgrpo.rewards.judges.canaries import auc
from medgrpo.types import Judgement, Sample

REFERENCES = [
    "The grasper retracts the gallbladder while the hook dissects the cystic duct.",
    "Scissors cut a suture near the wound edge.",
    "The nurse disinfects the skin of the forearm in circles.",
    "A clip applier closes the cystic artery with two clips.",
]
SCORES = st.lists(st.integers(1, 5).map(float), min_size=1, max_size=8)


class Constant(Judge):
    """Gives every answer the same, and keeps what it was asked."""

    def __init__(self, score: float, status: str = "ok") -> None:
        self.rubric = LexiconJudge().rubric
        self.score = score
        self.status = status
        self.asked: list[JudgeRequest] = []

    @property
    def id(self) -> str:
        return "constant"

    def judge(self, requests: Sequence[JudgeRequest]) -> list[Judgement]:
        self.asked += requests
        scores = {"a": self.score} if self.status == "ok" else {}
        return [Judgement("constant", self.rubric.name, scores, {}, status=self.status) for _ in requests]


def requests(count: int = 4) -> list[JudgeRequest]:
    return [
        JudgeRequest("What?", REFERENCES[i % 4], "some answer", "AVOS", "video_summary") for i in range(count)
    ]


@given(SCORES, SCORES)
def test_auc_is_mann_whitneys(high: list[float], low: list[float]) -> None:
    expected = mannwhitneyu(high, low).statistic / (len(high) * len(low))
    assert auc(high, low) == pytest.approx(expected)
    assert math.isnan(auc(high, []))


def test_good_and_bad_are_chosen_from_what_is_asked() -> None:
    good, bad = Canaries(references=2).requests([*requests(8), *requests(8)])
    assert [r.candidate for r in good] == [r.reference for r in good]
    assert len({r.reference for r in good}) == 2
    assert len(bad) == 4
    assert all(r.candidate != r.reference for r in bad)
    assert {r.candidate for r in bad[:2]} <= set(REFERENCES)
    assert Canaries().requests([]) == ([], [])
    # One reference alone has no other to be confused with.
    good, bad = Canaries().requests(requests(1))
    assert (len(good), len(bad)) == (1, 2)


def test_the_lexicon_judge_tells_them_apart() -> None:
    canaries, judge = Canaries(), LexiconJudge()
    good, bad = canaries.requests(requests())
    report = canaries.report(judge.judge(good), judge.judge(bad))
    assert report.auc == 1.0
    assert report.good > 4.5
    assert report.bad < 2.5
    assert report.judged == len(good) + len(bad)


def test_a_judge_that_says_the_same_of_all_is_told(
    make_sample: Callable[..., Sample], caplog: pytest.LogCaptureFixture
) -> None:
    judge = Constant(4.0)
    component = JudgeReward({"video_summary": 1.0}, judge, Canaries())
    composite = CompositeReward({"judge": component}, IdentityNormalizer())
    samples = [make_sample("video_summary", reference, row=i) for i, reference in enumerate(REFERENCES)]
    rewards = composite.score(samples, ["an answer"] * 4)
    assert [reward.value for reward in rewards] == [4.0] * 4
    assert len(judge.asked) == 4 + 4 + 4 + 2
    assert "judge constant no longer tells good from bad" in caplog.text
    numbers = composite.diagnostics()
    assert numbers == {"judge/canary_auc": 0.5, "judge/canary_good": 4.0, "judge/canary_bad": 4.0}
    assert composite.diagnostics() == {}


def test_failed_canaries_are_no_number(make_sample: Callable[..., Sample]) -> None:
    component = JudgeReward({"video_summary": 1.0}, Constant(0.0, "timeout"), Canaries())
    composite = CompositeReward({"judge": component}, IdentityNormalizer())
    [reward] = composite.score([make_sample("video_summary", REFERENCES[0])], ["an answer"])
    assert math.isnan(reward.value)
    assert composite.diagnostics() == {}


@pytest.mark.parametrize("wrong", [{"references": 0}, {"min_auc": 0.4}, {"min_auc": np.nan}])
def test_wrong_values_are_told(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match=r"canaries\."):
        Canaries(**wrong)  # type: ignore[arg-type]

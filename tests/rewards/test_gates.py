"""Answers that are worthless by rule, and those that must not be taken for such."""

from __future__ import annotations

import pytest

from medgrpo.errors import UserError
from medgrpo.rewards import CompositeReward, IdentityNormalizer, JudgeReward
from medgrpo.rewards.judges import Gates, Judge, JudgeRequest, load_rubric
from medgrpo.tasks import Parsed
from medgrpo.types import Judgement
from tests.rollout.rollouts import make_sample

REFERENCE = "The grasper retracts the gallbladder while the hook dissects the cystic duct."


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "empty"),
        (" \n\t", "empty"),
        (": 5/5 !!", "no words"),
        ("a :::::::::::::::: 1234567890", "no text"),
        ("Hook.", "too short"),
        ("word " * 61, "61 words, more than the 60"),
    ],
)
def test_worthless_answers_and_why(answer: str, reason: str) -> None:
    assert reason in Gates().reason(REFERENCE, answer)


@pytest.mark.parametrize(
    ("reference", "answer"),
    [
        (REFERENCE, REFERENCE),
        ("Grasper", "Hook"),  # as short as what was asked for
        (REFERENCE, "抓钳牵拉胆囊，电钩分离胆囊管。"),
        (REFERENCE, "At 3.5-7.0 s the hook cuts; at 8.0 s it stops."),
        (REFERENCE * 10, "word " * 300),
    ],
)
def test_answers_that_a_judge_must_see(reference: str, answer: str) -> None:
    assert Gates().reason(reference, answer) == ""


def test_impossible_gates_are_refused() -> None:
    with pytest.raises(UserError, match="at least 1"):
        Gates(min_letters=0)
    with pytest.raises(UserError, match="min_letter_share"):
        Gates(min_letter_share=1.0)


class Recorder(Judge):
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.rubric = load_rubric("medgrpo-five@1")
        self.asked: list[JudgeRequest] = []

    @property
    def id(self) -> str:
        return "recorder"

    def judge(self, requests: list[JudgeRequest]) -> list[Judgement]:
        self.asked += requests
        names = [dimension.name for dimension in self.rubric.dimensions]
        return [Judgement("recorder", self.rubric.name, dict.fromkeys(names, 4.0), {}) for _ in requests]


def test_an_answer_without_the_form_of_its_task_is_not_judged() -> None:
    judge = Recorder()
    reward = JudgeReward({"dense_captioning": 1.0}, judge)
    sample = make_sample("dense_captioning", "AVOS", answer="0.0-1.0 seconds: cutting.")
    texts = ["nothing of the kind", "0.0-1.0 seconds: cutting."]
    scores = reward.score([sample] * 2, texts, [Parsed(None, "failed"), Parsed([], "ok")])
    assert [score.status for score in scores] == ["gated", "ok"]
    assert [score.value for score in scores] == [1.0, 4.0]
    assert [request.candidate for request in judge.asked] == [texts[1]]
    assert CompositeReward({"judge": reward}, IdentityNormalizer()).tasks == {"dense_captioning"}

"""Answers that come close to their limit, or reach it."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medgrpo.data.rollout_batch import AnswerGroup
from medgrpo.modules.overlong import SoftOverlong, penalise_overlong, soft_overlong_penalty
from medgrpo.modules.rounds import truncated_answers
from medgrpo.types import Completion, Reward


def _answer(tokens: int, finish: str = "stop") -> Completion:
    return Completion("", tuple(range(tokens)), (0.0,) * tokens, finish)


@pytest.mark.parametrize(("length", "penalty"), [(0, 0), (80, 0), (90, -0.5), (100, -1), (150, -1)])
def test_penalty_of_dapo(length: int, penalty: float) -> None:
    assert soft_overlong_penalty(length, 100, 0.2) == pytest.approx(penalty)


@given(st.integers(0, 300), st.integers(1, 200), st.floats(0.01, 1))
def test_penalty_is_bounded_and_falls(length: int, limit: int, margin: float) -> None:
    penalty = soft_overlong_penalty(length, limit, margin)
    assert -1 <= soft_overlong_penalty(length + 1, limit, margin) <= penalty <= 0


def test_penalty_is_a_component_of_the_reward() -> None:
    rewards = [[Reward(0.5, {}, "ok"), Reward(math.nan, {}, "ok")]]
    (short, failed), = penalise_overlong(
        rewards, [[_answer(9), _answer(10)]], [10], SoftOverlong(margin=0.5, weight=0.3)
    )  # fmt: skip
    assert short.value == pytest.approx(0.5 - 0.3 * 0.8)
    assert (short.components["overlong"].raw, short.components["overlong"].weight) == (
        pytest.approx(-0.8),
        0.3,
    )
    assert math.isnan(failed.value)


def test_masked_answers_lose_their_tokens_and_stay_answers() -> None:
    answers = (_answer(3), _answer(4, "length"))
    assert truncated_answers(answers) == {1}
    group = AnswerGroup(None, answers, None, True, masked=truncated_answers(answers))  # type: ignore[arg-type]
    assert (group.heard, group.tokens, len(group.completions)) == ([True, False], 3, 2)


@pytest.mark.parametrize("options", [{"margin": 0.0}, {"margin": 1.5}, {"weight": 0.0}])
def test_refuses_nonsense(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="overlong"):
        SoftOverlong(**options)

"""Penalties: what they measure, and what becomes of them in a reward."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medgrpo.errors import UserError
from medgrpo.rewards import (
    CompositeReward,
    FormatPenalty,
    IdentityNormalizer,
    LengthPenalty,
    RepetitionPenalty,
    SimilarityReward,
    leave_out,
)
from medgrpo.tasks import get_task
from medgrpo.types import Sample

MakeSample = Callable[..., Sample]
REFERENCE = "The grasper retracts the gallbladder and the hook dissects."
TEXTS = st.lists(st.sampled_from(["hook", "cuts", "the", "duct"]), max_size=30).map(" ".join)


@given(TEXTS, st.integers(1, 5))
def test_repetition_is_counted(text: str, n: int) -> None:
    words = text.split()
    seen: list[list[str]] = []
    repeats = 0
    for start in range(len(words) - n + 1):
        gram = words[start : start + n]
        repeats += gram in seen
        seen.append(gram)
    share = repeats / len(seen) if seen else 0.0
    sample = _caption()
    assert RepetitionPenalty(n=n, free=0.0).measure(sample, text) == pytest.approx(share)
    assert RepetitionPenalty(n=n, free=0.2).measure(sample, text) == pytest.approx(
        max(0, (share - 0.2) / 0.8)
    )


def _caption() -> Sample:
    from tests.rollout.rollouts import make_sample

    return make_sample("video_summary", answer=REFERENCE)


@pytest.mark.parametrize(("words", "lost"), [(0, 0.0), (18, 0.0), (27, 0.5), (36, 1.0), (99, 1.0)])
def test_length_is_measured_in_lengths_of_the_reference(words: int, lost: float) -> None:
    assert LengthPenalty(ratio=2.0).measure(_caption(), "word " * words) == pytest.approx(lost)


BOX = st.tuples(*[st.integers(1, 50)] * 4).map(lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]])


@given(st.dictionaries(st.integers(0, 99), BOX, min_size=2, max_size=8), st.data())
def test_only_the_published_form_costs_nothing(boxes: dict[int, list[int]], data: st.DataObject) -> None:
    from tests.rollout.rollouts import make_sample

    entries = [get_task("stg").write([{"time": time, "box": box}]) for time, box in sorted(boxes.items())]
    whole = " ".join(entries)
    again = " ".join([*entries, data.draw(st.sampled_from(entries))])
    cut = whole[: -data.draw(st.integers(1, len(entries[-1]) - 1))]

    def lost(text: str, task: str = "stg") -> float:
        return FormatPenalty(("stg",)).measure(make_sample(task, answer=whole), text)

    assert [lost(text) for text in (whole, again, cut, f"Here: {whole}", "")] == [0, 1, 1, 1, 1]
    assert lost(again, "tal") == 0


def test_other_tasks_lose_nothing(make_sample: MakeSample) -> None:
    sample = make_sample("tal", "1.0-2.0 seconds.")
    text = "1.0-2.0, 1.0-2.0, " * 20
    assert FormatPenalty(("stg",)).measure(sample, text) == 0.0
    assert RepetitionPenalty().measure(sample, text) == LengthPenalty().measure(sample, text) == 0.0


def test_a_reward_loses_them_after_the_mix() -> None:
    tasks = {"video_summary": 1.0}
    penalties = {"repetition": RepetitionPenalty(weight=0.5), "length": LengthPenalty(weight=0.25)}
    plain = CompositeReward({"similarity": SimilarityReward(tasks)}, IdentityNormalizer())
    priced = CompositeReward({"similarity": SimilarityReward(tasks)}, IdentityNormalizer(), None, penalties)
    sample, text = _caption(), "the hook cuts the duct and " * 8
    [before], [after] = plain.score([sample], [text]), priced.score([sample], [text])
    repetition, length = after.components["repetition"], after.components["length"]
    assert -1.0 < repetition.raw < -0.5
    assert length.raw == -1.0
    assert after.value == pytest.approx(before.value + 0.5 * repetition.raw - 0.25)
    assert (repetition.normalizer, repetition.metric) == ("penalty", "repetition@1")
    priced.observe([sample.pair], [after])  # a normalizer learns nothing from a rule
    # What is left out of a mix leaves the price as it is, and a price alone is no reward.
    assert math.isnan(leave_out(after, ["similarity"]).value)
    assert leave_out(after, []).value == pytest.approx(after.value)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: RepetitionPenalty(weight=0.0),
        lambda: RepetitionPenalty(n=0),
        lambda: RepetitionPenalty(free=1.0),
        lambda: FormatPenalty(weight=-1.0),
        lambda: LengthPenalty(ratio=0.5),
        lambda: LengthPenalty(weight=math.inf),
    ],
)
def test_wrong_values_are_told(wrong: Callable[[], object]) -> None:
    with pytest.raises(UserError, match="Penalty\\."):
        wrong()


def test_names_are_not_shared() -> None:
    with pytest.raises(UserError, match="similarity names a reward component and a penalty"):
        CompositeReward(
            {"similarity": SimilarityReward({"video_summary": 1.0})},
            penalties={"similarity": LengthPenalty()},
        )

"""Stored answers of a round: found when they are certainly those that would be sampled now, else not."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from medgrpo.errors import UserError
from medgrpo.modules.round_answers import answer_settings
from medgrpo.rewards import CompositeReward, IdentityNormalizer, Statistics, summarise
from medgrpo.rollout.store import RolloutStore
from medgrpo.rollout.stored_answers import StoredAnswers, group_id, stored_answers
from medgrpo.types import ComponentScore, Judgement, Rollout, Sample
from tests.modules.grpo_scene import VowelReward
from tests.rollout.rollouts import make_rollout, make_sample

TRUTH = [{"spans": [{"start": 1.1, "end": 3.0}]}]


@dataclass
class Asked:
    """What an encoded prompt has that stored answers are compared with."""

    sample: Sample
    ids: Any
    clip: Any


def ask(rollout: Rollout, **changes: Any) -> Asked:
    sample = replace(rollout.sample, **{k: v for k, v in changes.items() if k in ("answer", "truth", "key")})
    ids = np.array(changes.get("ids", rollout.prompt_ids))
    return Asked(sample, ids, SimpleNamespace(true_times=changes.get("times", rollout.times)))


def group(slot: int, turn: int | None = None, question: str = "What?", size: int = 3) -> list[Rollout]:
    judged = Judgement("m", "r@1", {"a": 3.0}, {"a": "so"}, latency_s=0.125, cost=0.1)
    score = ComponentScore(
        raw=1 / 3, normalised=math.nan, weight=0.1, metric="m@1", factors={"format": 1.0, "accuracy": 1 / 7}
    )
    sample = make_sample(question=question, truth=TRUTH)
    return [
        make_rollout(
            sample,
            f"answer {index}",
            index=index,
            group_id=group_id(5, slot, turn),
            value=0.1 * (index + 1) / 3,
            components={"m": score, "j": replace(score, normalised=index / 3, status="gated")},
            judgement=judged,
            parsed=[1.5, None, "x"],
        )
        for index in range(size)
    ]


@pytest.fixture
def store(tmp_path: Path) -> RolloutStore:
    return RolloutStore(tmp_path, "r", policy_hash="p", settings="s")


def test_answers_and_rewards_come_back_bit_for_bit(store: RolloutStore) -> None:
    written = {0: group(0), 2: group(2)}
    # In any order, as long as each knows its index.
    store.write(5, [*written[2][::-1], *written[0]])
    found = stored_answers(store, 5, 0)
    assert found is not None
    assert found.fit({slot: ask(rollouts[0]) for slot, rollouts in written.items()})
    for slot, rollouts in written.items():
        completions, rewards = found.take(slot, 0, ask(rollouts[0]))
        assert completions == [rollout.completion for rollout in rollouts]
        for reward, rollout in zip(rewards, rollouts, strict=True):
            assert repr(reward) == repr(rollout.reward)  # NaN equals itself in no other way


def test_a_replaced_prompt_has_its_own_answers(store: RolloutStore) -> None:
    first, second, last = group(0, 0, "First?"), group(0, 1, "Second?"), group(0, None, "Last?")
    store.write(5, [*last, *first, *second])
    found = stored_answers(store, 5, 0)
    assert found is not None
    assert found.fit({0: ask(first[0])})
    assert not found.fit({0: ask(last[0])})
    for turn, rollouts in enumerate((first, second, last)):
        completions, _ = found.take(0, turn, ask(rollouts[0]))
        assert completions == [rollout.completion for rollout in rollouts]
    with pytest.raises(UserError, match=r"\.parquet: the answers of group 000005-0000 are to another prompt"):
        found.take(0, 0, ask(last[0]))


@pytest.mark.parametrize(
    "changes",
    [{"ids": (1, 2)}, {"answer": "another"}, {"truth": []}, {"key": "k"}, {"times": (0.0, 0.25)}],
    ids=lambda changes: next(iter(changes)),
)
def test_what_is_asked_must_be_the_same(changes: dict[str, Any]) -> None:
    rollouts = group(1)
    found = StoredAnswers(5, rollouts)
    assert found.fit({1: ask(rollouts[0])})
    assert not found.fit({1: ask(rollouts[0], **changes)})
    assert not found.fit({})
    assert not found.fit({0: ask(rollouts[0]), 1: ask(rollouts[0])})


def test_other_weights_settings_ranks_and_rounds_are_not_taken(store: RolloutStore) -> None:
    store.write(5, group(0))
    assert stored_answers(store, 5, 0) is not None
    assert stored_answers(store, 4, 0) is None
    assert stored_answers(store, 5, 1) is None
    for name, value in (("policy_hash", "q"), ("settings", "t"), ("settings", "")):
        other = RolloutStore(store.root, "r", policy_hash="p", settings="s")
        setattr(other, name, value)
        assert stored_answers(other, 5, 0) is None
    # Without settings nothing is known to be the same, on either side.
    nameless = RolloutStore(store.root, "n", policy_hash="p")
    nameless.write(5, group(0))
    assert stored_answers(nameless, 5, 0) is None


def test_the_highest_attempt_counts(store: RolloutStore) -> None:
    store.write(5, group(0))
    again = RolloutStore(store.root, "r", attempt=1, policy_hash="p", settings="t")
    again.write(5, group(0, question="Another?"))
    assert stored_answers(store, 5, 0) is None
    found = stored_answers(again, 5, 0)
    assert found is not None
    assert found.fit({0: ask(group(0, question="Another?")[0])})


def test_settings_statistics_and_the_models_files_count(tmp_path: Path) -> None:
    reward = CompositeReward({"vowels": VowelReward({"tal": 1.0})}, IdentityNormalizer())
    (tmp_path / "model.safetensors").write_bytes(b"one")
    first = answer_settings("s", reward, str(tmp_path))
    assert first == answer_settings("s", reward, str(tmp_path))
    assert first != answer_settings("t", reward, str(tmp_path))
    reward.statistics = Statistics({("d", "tal"): {"vowels@1": summarise([0.0, 0.5, 1.0])}})
    second = answer_settings("s", reward, str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"another")
    assert len({first, second, answer_settings("s", reward, str(tmp_path))}) == 3
    assert answer_settings("", reward, str(tmp_path)) == ""

"""Micro-batches of a round: every group once a pass, sizes of whole steps, values in their place."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medgrpo.data.batch import PolicyBatch
from medgrpo.data.rollout_batch import AnswerGroup, RolloutLoader, StepSize, collate_groups, plan_batches
from medgrpo.types import Completion

PROMPT = SimpleNamespace(ids=np.array([8, 9]), sample=SimpleNamespace(pair=("CoPESD", "tal")))


class _Encoder:
    """Lays answers out behind a prompt of two tokens."""

    def collate_groups(self, prompts: Any, groups: Any) -> PolicyBatch:
        answers = [answer for group in groups for answer in group]
        width = 2 + max(len(answer) for answer in answers)
        mask = torch.zeros(len(answers), width, dtype=torch.bool)
        ids = torch.zeros(len(answers), width, dtype=torch.int64)
        for row, answer in enumerate(answers):
            mask[row, 2 : 2 + len(answer)] = True
            ids[row, 2 : 2 + len(answer)] = torch.tensor(answer)
        nothing = torch.zeros(0)
        return PolicyBatch(ids, mask, mask, mask, torch.zeros(len(answers)), nothing, nothing)


def _group(lengths: list[int], kept: bool = True, old: bool = True) -> AnswerGroup:
    completions = tuple(
        Completion("x", tuple(range(1, n + 1)), tuple(-0.1 * k for k in range(1, n + 1)), "stop")
        for n in lengths
    )
    values = tuple(torch.tensor([-1.0 - k for k in c.token_ids]) for c in completions)
    return AnswerGroup(PROMPT, completions, np.arange(len(lengths)), kept, values if old else None, None)


@given(st.integers(1, 12), st.integers(1, 5), st.integers(1, 3), st.integers(0, 50))
def test_every_pass_holds_every_group_once(groups: int, size: int, passes: int, seed: int) -> None:
    batches = plan_batches(groups, groups_per_batch=size, passes=passes, seed=[seed, 0])
    assert all(1 <= len(batch) <= size for batch in batches)
    flat = [group for batch in batches for group in batch]
    assert len(flat) == groups * passes
    for index in range(passes):
        assert sorted(flat[index * groups : (index + 1) * groups]) == list(range(groups))
    assert batches == plan_batches(groups, groups_per_batch=size, passes=passes, seed=[seed, 0])


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.lists(st.integers(1, 6), min_size=2, max_size=2), st.booleans()), min_size=1, max_size=7
    ),
    st.integers(1, 3),
    st.integers(1, 4),
)
def test_step_sizes_count_what_is_kept_in_their_window(
    spec: list[tuple[list[int], bool]], size: int, accumulate: int
) -> None:
    groups = [_group(lengths, kept) for lengths, kept in spec]
    batches = plan_batches(len(groups), groups_per_batch=size, passes=2, seed=[3])
    loader = RolloutLoader(_Encoder(), groups, batches, accumulate)
    steps = [batch.step for batch in loader]
    assert len(steps) == len(loader) == len(batches)
    total = 2 * sum(sum(lengths) for lengths, kept in spec if kept)
    for start in range(0, len(batches), accumulate):
        window = [spec[i] for batch in batches[start : start + accumulate] for i in batch]
        expected = StepSize(
            sequences=sum(2 for _, kept in window if kept),
            tokens=sum(sum(lengths) for lengths, kept in window if kept),
            round_tokens=total / -(-len(batches) // accumulate),
        )
        assert set(steps[start : start + accumulate]) == {expected}


def test_values_stand_at_their_tokens() -> None:
    batch = collate_groups(_Encoder(), [_group([3, 1]), _group([2, 2], kept=False)], StepSize(2, 4, 4.0))
    ids, mask = batch.policy.input_ids, batch.policy.completion_mask
    assert batch.old_logps is not None
    torch.testing.assert_close(batch.engine_logps[mask], -0.1 * ids[mask])
    torch.testing.assert_close(batch.old_logps[mask], -1.0 - ids[mask])
    assert not batch.engine_logps[~mask].any()
    assert batch.heard.tolist() == [True, True, False, False]
    assert batch.advantages.tolist() == [0.0, 1.0, 0.0, 1.0]
    assert batch.ref_logps is None
    assert batch.pairs == (("CoPESD", "tal"),) * 4
    assert [_group([3, 1]).length, _group([2, 2]).length] == [6, 6]
    assert collate_groups(_Encoder(), [_group([1], old=False)], StepSize(1, 1, 1.0)).old_logps is None


def test_a_finished_run_has_an_empty_loader() -> None:
    loader = RolloutLoader(_Encoder(), [], [], 1)
    assert len(loader) == 0
    assert list(loader) == []

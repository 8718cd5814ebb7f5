"""Micro-batches by tokens: whole groups, never over the bound, as many on every rank and in every step."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medgrpo.data import batch_size
from medgrpo.data.batch_size import BatchSize, first_fit, split_to
from medgrpo.data.rollout_batch import plan_round

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=12)


@given(LENGTHS, st.integers(1, 80))
def test_first_fit_keeps_groups_whole_and_within_the_bound(lengths: list[int], tokens: int) -> None:
    batches = first_fit(range(len(lengths)), lengths, tokens)
    assert sorted(group for batch in batches for group in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or sum(lengths[group] for group in batch) <= tokens
    # No two of them could share one.
    sums = sorted(sum(lengths[group] for group in batch) for batch in batches)
    assert len(sums) < 2 or sums[0] + sums[1] > tokens


@given(LENGTHS, st.integers(1, 80), st.integers(0, 12))
def test_splitting_makes_no_micro_batch_longer(lengths: list[int], tokens: int, more: int) -> None:
    batches = first_fit(range(len(lengths)), lengths, tokens)
    count = min(len(batches) + more, len(lengths))
    parts = split_to(batches, lengths, count)
    assert len(parts) == count
    assert sorted(group for part in parts for group in part) == list(range(len(lengths)))
    assert all(any(set(part) <= set(batch) for batch in batches) for part in parts)


@given(st.data(), st.integers(1, 4), st.integers(1, 3), st.integers(5, 90))
def test_ranks_agree_on_every_step(data: st.DataObject, each: int, accumulate: int, tokens: int) -> None:
    groups = data.draw(st.integers(1, 9))
    ranks = [data.draw(st.lists(st.integers(1, 60), min_size=groups, max_size=groups)) for _ in range(2)]
    size = BatchSize(each, tokens)
    plans = [plan_round(groups, size, accumulate, passes=2, seed=[rank]) for rank in range(2)]
    assert plans[0].accumulate == each * accumulate

    needs: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch_size, "gather_objects", lambda value: needs.append(value) or [value])
        for plan, lengths in zip(plans, ranks, strict=True):
            plan.fitted(size, lengths)
        patch.setattr(batch_size, "gather_objects", lambda _: needs)
        fitted = [plan.fitted(size, lengths) for plan, lengths in zip(plans, ranks, strict=True)]

    assert len(fitted[0].batches) == len(fitted[1].batches)
    assert fitted[0].accumulate == fitted[1].accumulate
    for plan, new, lengths in zip(plans, fitted, ranks, strict=True):
        assert new.single_step == plan.single_step
        assert _steps(new) == _steps(plan)
        for batch in new.batches:
            assert len(batch) == 1 or sum(lengths[group] for group in batch) <= tokens


def _steps(plan: Any) -> list[list[int]]:
    """What each optimizer step holds."""
    return [
        sorted(group for batch in plan.batches[start : start + plan.accumulate] for group in batch)
        for start in range(0, len(plan.batches), plan.accumulate)
    ]


def test_counted_in_groups_they_follow_each_other() -> None:
    assert BatchSize(2).batches([9, 9, 9]) == [[0, 1], [2]]
    assert BatchSize(2, tokens=30).batches([9, 30, 9]) == [[1], [0, 2]]

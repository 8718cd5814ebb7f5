"""The batch sampler: every row once an epoch, clips together, exact resume, any number of ranks."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medgrpo.data.sampler import ClipBatchSampler
from medgrpo.errors import UserError

CLIPS = st.lists(st.integers(0, 12), min_size=12, max_size=60)


def _sampler(clips: list[int], **options: int) -> ClipBatchSampler:
    defaults = {"clips_per_batch": 2, "rows_per_clip": 3, "seed": 5}
    return ClipBatchSampler(clips, **(defaults | options))


@given(clips=CLIPS, epoch=st.integers(0, 3))
def test_rows_come_at_most_once_and_only_the_tail_is_left_out(clips: list[int], epoch: int) -> None:
    sampler = _sampler(clips)
    sampler.set_epoch(epoch)
    batches = list(sampler)
    rows = Counter(row for batch in batches for row in batch.rows)
    assert len(batches) == len(sampler)
    assert max(rows.values()) == 1
    units = sum(-(-count // 3) for count in Counter(clips).values())
    assert len(sampler) == units // 2
    for batch in batches:
        per_clip = Counter(clips[row] for row in batch.rows)
        assert sum(-(-count // 3) for count in per_clip.values()) <= 2


@given(clips=CLIPS, skip=st.integers(0, 4))
def test_resuming_yields_the_rest_of_the_same_epoch(clips: list[int], skip: int) -> None:
    assert list(_sampler(clips, skip=skip)) == list(_sampler(clips))[skip:]


@given(clips=CLIPS)
def test_two_ranks_split_what_one_process_with_twice_the_batch_would_take(clips: list[int]) -> None:
    try:
        together = list(_sampler(clips, clips_per_batch=4))
    except ValueError:
        return
    ranks = [list(_sampler(clips, rank=rank, world_size=2)) for rank in (0, 1)]
    assert [a.rows + b.rows for a, b in zip(*ranks, strict=True)] == [batch.rows for batch in together]


def test_epochs_differ_and_repeat() -> None:
    clips = list(range(40))
    first, second = _sampler(clips), _sampler(clips)
    second.set_epoch(1)
    assert list(first) != list(second)
    second.set_epoch(0)
    assert list(first) == list(second)


def test_too_few_clips_are_refused() -> None:
    with pytest.raises(UserError, match=r"too few.*data\.init_args\.clips_per_batch"):
        _sampler([1, 1], clips_per_batch=2)


@given(clips=CLIPS, epoch=st.integers(0, 3), spare=st.integers(1, 20))
def test_spare_rows_are_of_other_clips_that_follow(clips: list[int], epoch: int, spare: int) -> None:
    plain, sampler = _sampler(clips), _sampler(clips, spare_clips=spare)
    plain.set_epoch(epoch)
    sampler.set_epoch(epoch)
    batches = list(sampler)
    assert [batch.rows for batch in batches] == [batch.rows for batch in plain]
    assert not any(batch.spare for batch in plain)
    for batch, following in pairwise(batches):
        own = {clips[row] for row in batch.rows}
        named = [clips[unit[0]] for unit in batch.spare]
        assert len(named) == len(set(named)) == min(spare, len(set(clips) - own))
        assert all(len({clips[row] for row in unit}) == 1 for unit in batch.spare)
        new = [clip for clip in dict.fromkeys(clips[row] for row in following.rows) if clip not in own]
        assert named[: len(new)] == new[:spare]

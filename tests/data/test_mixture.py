"""Mixture weights and the epochs they make."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medgrpo.data.mixture import row_weights
from medgrpo.data.sampler import ClipBatchSampler
from medgrpo.errors import UserError

PAIRS = [("a", "tal")] * 80 + [("a", "stg")] * 15 + [("b", "tal")] * 5


def test_temperature_goes_from_sizes_to_equality() -> None:
    assert row_weights(PAIRS).tolist() == pytest.approx([1.0] * 100)
    equal = row_weights(PAIRS, math.inf)
    for pair in set(PAIRS):
        members = [w for w, p in zip(equal, PAIRS, strict=True) if p == pair]
        assert sum(members) == pytest.approx(100 / 3)
    square = row_weights(PAIRS, 2.0)
    assert square[0] * 80 / (square[-1] * 5) == pytest.approx(math.sqrt(80 / 5))


def test_explicit_weights_take_the_most_specific_name() -> None:
    weights = row_weights(PAIRS, weights={"tal": 2.0, "b/tal": 0.0})
    assert weights[-1] == 0.0
    assert weights[0] == pytest.approx(2.0 * weights[80])


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), min_size=1, max_size=40),
    st.floats(1.0, 50.0),
)
def test_an_epoch_stays_as_long_as_the_file(pairs: list[tuple[str, str]], temperature: float) -> None:
    assert row_weights(pairs, temperature).sum() == pytest.approx(len(pairs))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.5}, "at least 1"),
        ({"temperature": math.nan}, "at least 1"),
        ({"weights": {"c": 1.0}}, "fits no row"),
        ({"weights": {"a": -1.0}}, "0 or more"),
        ({"weights": {"a": 0.0, "b": 0.0}}, "no row to train on"),
    ],
)
def test_mistakes(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        row_weights(PAIRS, **options)


def _epoch(sampler: ClipBatchSampler, epoch: int) -> list[list[int]]:
    sampler.set_epoch(epoch)
    return [batch.rows for batch in sampler]


def test_epochs_hold_rows_as_often_as_they_weigh() -> None:
    clips = [k // 2 for k in range(100)]
    weights = row_weights(PAIRS, math.inf)
    sampler = ClipBatchSampler(clips, clips_per_batch=2, rows_per_clip=3, seed=1, weights=weights)
    seen: Counter[int] = Counter()
    for epoch in range(60):
        rows = [row for batch in _epoch(sampler, epoch) for row in batch]
        seen.update(rows)
    rates = np.array([seen[k] for k in range(100)]) / 60
    assert rates[:80].mean() == pytest.approx(weights[0], rel=0.15)
    assert rates[95:].mean() == pytest.approx(weights[-1], rel=0.15)


def test_ranks_share_a_weighted_epoch_and_a_resumed_one_continues() -> None:
    clips = [k // 2 for k in range(100)]
    weights = row_weights(PAIRS, 3.0)

    def sampler(rank: int, world: int, skip: int = 0) -> ClipBatchSampler:
        options = {"rank": rank, "world_size": world, "skip": skip}
        return ClipBatchSampler(clips, clips_per_batch=2, rows_per_clip=3, seed=1, weights=weights, **options)

    both = [_epoch(sampler(rank, 2), 4) for rank in range(2)]
    alone = _epoch(sampler(0, 1), 4)
    assert [batch for pair in zip(*both, strict=True) for batch in pair] == alone[: 2 * len(both[0])]
    assert len(both[0]) == len(both[1]) == len(sampler(0, 2))
    assert _epoch(sampler(0, 1, skip=7), 4) == alone[7:]

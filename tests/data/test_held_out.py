"""Which held-out rows are asked: as many of every pair as the others, spread over the file, ranks apart."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from medgrpo.data.held_out import HeldOutLoader, spread_rows

PAIRS = st.lists(st.sampled_from([("a", "tal"), ("a", "stg"), ("b", "tal"), ("c", "cvs")]), max_size=40)


@given(PAIRS, st.integers(1, 50))
def test_pairs_share_the_rows(pairs: list[tuple[str, str]], count: int) -> None:
    chosen = spread_rows(pairs, count)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(count, len(pairs))
    there, taken = Counter(pairs), Counter(pairs[row] for row in chosen)
    most = max(taken.values(), default=0)
    assert all(taken[pair] == there[pair] or taken[pair] >= most - 1 for pair in there)


def test_rows_of_a_pair_are_spread_over_the_file() -> None:
    assert spread_rows([("a", "tal")] * 100, 4) == [0, 25, 50, 75]


@given(st.integers(0, 20), st.integers(1, 4), st.integers(1, 3))
def test_ranks_ask_every_row_once(count: int, batch: int, world: int) -> None:
    rows: Any = SimpleNamespace(prompt=lambda row: None if row == 3 else row)
    loaders = [
        HeldOutLoader(rows, list(range(count)), batch=batch, rank=rank, world_size=world)
        for rank in range(world)
    ]
    asked = [prompt for loader in loaders for part in loader for prompt in part.prompts]
    assert sorted(map(str, asked)) == sorted(str(row) for row in range(count) if row != 3)
    assert all(len(list(loader)) == len(loader) for loader in loaders)

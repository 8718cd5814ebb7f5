"""Prompts of a round follow from (seed, round) and are balanced over pairs."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medgrpo.data.prompts import choose_prompts, choose_rows, derive_seed

PAIRS = st.lists(
    st.tuples(st.sampled_from(["AVOS", "CoPESD", "NurViD"]), st.sampled_from(["tal", "stg"])),
    min_size=1,
    max_size=30,
)


@settings(deadline=None)
@given(PAIRS, st.integers(1, 9), st.integers(0, 5), st.integers(0, 99))
def test_pairs_get_equal_shares_in_a_round_and_over_rounds(
    pairs: list[tuple[str, str]], count: int, rounds: int, seed: int
) -> None:
    total: Counter[tuple[str, str]] = Counter(dict.fromkeys(pairs, 0))
    for index in range(rounds + 1):
        chosen = choose_prompts(pairs, count, seed=seed, round_index=index)
        assert len(chosen) == count
        here = Counter(dict.fromkeys(pairs, 0)) + Counter()
        here.update(pairs[row] for row in chosen)
        shares = [here[pair] for pair in set(pairs)]
        assert max(shares) - min(shares) <= 1
        total.update(pairs[row] for row in chosen)
    assert max(total.values()) - min(total.values()) <= 1
    assert chosen == choose_prompts(pairs, count, seed=seed, round_index=rounds)


@settings(deadline=None)
@given(PAIRS, st.integers(1, 5), st.integers(0, 99))
def test_no_prompt_repeats_before_its_pair_is_used_up(
    pairs: list[tuple[str, str]], count: int, seed: int
) -> None:
    seen: Counter[int] = Counter()
    for index in range(12):
        seen.update(choose_prompts(pairs, count, seed=seed, round_index=index))
    for pair in set(pairs):
        uses = [seen[row] for row, other in enumerate(pairs) if other == pair]
        assert max(uses) - min(uses) <= 1


def test_other_seeds_and_rounds_ask_other_prompts() -> None:
    pairs = [("AVOS", "tal")] * 40
    first = choose_prompts(pairs, 8, seed=0, round_index=0)
    assert first != choose_prompts(pairs, 8, seed=1, round_index=0)
    assert not set(first) & set(choose_prompts(pairs, 8, seed=0, round_index=1))


@given(st.integers(1, 12), st.integers(1, 5), st.integers(0, 99))
def test_replayed_rows_go_round_evenly(total: int, count: int, seed: int) -> None:
    seen = Counter(
        row for draw in range(3 * total) for row in choose_rows(total, count, seed=seed, draw=draw)
    )
    assert [seen[row] for row in range(total)] == [3 * count] * total


def test_nothing_to_choose_from() -> None:
    with pytest.raises(ValueError, match="no row"):
        choose_prompts([], 1, seed=0, round_index=0)
    with pytest.raises(ValueError, match="no row"):
        choose_rows(0, 1, seed=0, draw=0)


def test_derived_seeds_depend_on_every_part() -> None:
    seeds = {derive_seed(a, b, c) for a in range(4) for b in range(4) for c in range(4)}
    assert len(seeds) == 64
    assert derive_seed(1, 2) != derive_seed(2, 1)

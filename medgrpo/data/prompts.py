"""Which prompts a round asks, as a pure function of (seed, round): no state to save, none to lose.

Every (dataset, task) pair gets the same number of prompts whatever its size, so that a large dataset does not
drown a small one. Slots are numbered through all rounds; a slot's pair and its place in that pair's shuffled
order follow from its number, so no prompt repeats before its pair has been used up.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from medgrpo.types import PairKey

__all__ = ["choose_prompts", "choose_rows", "derive_seed"]


def derive_seed(*parts: int) -> int:
    """A 32-bit seed that depends on every part and on their order."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


def choose_prompts(pairs: Sequence[PairKey], count: int, *, seed: int, round_index: int) -> list[int]:
    """Choose the rows of one round.

    Args:
        pairs: (dataset, task) of every row.
        count: Prompts in a round, all ranks together.
        seed: Of the run.
        round_index: From 0.

    Returns:
        ``count`` row indices; pairs differ by at most one prompt in a round, and over all rounds.

    Raises:
        ValueError: If there are no rows.
    """
    rows: dict[PairKey, list[int]] = {}
    for row, pair in enumerate(pairs):
        rows.setdefault(pair, []).append(row)
    if not rows:
        raise ValueError("there is no row to choose prompts from")
    names = sorted(rows)
    turn = np.random.default_rng([seed, 0]).permutation(len(names))
    chosen = []
    for slot in range(round_index * count, (round_index + 1) * count):
        position = int(turn[slot % len(names)])
        members = rows[names[position]]
        lap, place = divmod(slot // len(names), len(members))
        chosen.append(members[int(_order((seed, 1, position, lap), len(members))[place])])
    return chosen


def choose_rows(total: int, count: int, *, seed: int, draw: int) -> list[int]:
    """The ``draw``-th run of ``count`` rows through an endless sequence of shuffles of ``range(total)``.

    Raises:
        ValueError: If there are no rows.
    """
    if total < 1:
        raise ValueError("there is no row to choose from")
    chosen = []
    for slot in range(draw * count, (draw + 1) * count):
        lap, place = divmod(slot, total)
        chosen.append(int(_order((seed, 2, lap), total)[place]))
    return chosen


@lru_cache(maxsize=128)
def _order(entropy: tuple[int, ...], size: int) -> NDArray[np.int64]:
    """A shuffle of ``range(size)``: a lap takes many slots from it, and half a million rows take a while."""
    return np.random.default_rng(list(entropy)).permutation(size)

"""Other prompts for groups whose answers are all worth the same (dynamic sampling), within a bound.

Which prompt comes next follows from (seed, round, slot, attempt) alone, so a restarted run asks the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from medgrpo.data.encode import EncodedPrompt
from medgrpo.types import PairKey

__all__ = ["Refill", "choose_refill"]


@dataclass(frozen=True)
class Refill:
    """How flat groups of a round are replaced.

    Attributes:
        attempts: Most replacements of one slot in a round; after them its flat group stays.
        prompt: The prompt of a slot's attempt, both from 0; None where there is none left.
    """

    attempts: int
    prompt: Callable[[int, int], EncodedPrompt | None]


def choose_refill(
    pairs: Sequence[PairKey], rows: Sequence[int], slot: int, attempt: int, *, seed: int, round_index: int
) -> int | None:
    """Choose the row that replaces the prompt of a slot.

    The row is of the same (dataset, task), so the mix stays as it is, and none of the round's own. It is not
    taken out of later rounds.

    Args:
        pairs: (dataset, task) of every row.
        rows: The round's own rows, one a slot.
        slot: Whose prompt is replaced.
        attempt: From 0; another row each time.
        seed: Of the run.
        round_index: From 0.

    Returns:
        A row index, or None if the pair has no further row.
    """
    own: Collection[int] = set(rows)
    others = [row for row, pair in enumerate(pairs) if pair == pairs[rows[slot]] and row not in own]
    if attempt >= len(others):
        return None
    order = np.random.default_rng([seed, 3, round_index, slot]).permutation(len(others))
    return others[int(order[attempt])]

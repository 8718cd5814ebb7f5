"""The prompts of a round, and others for clips that are set aside or answers that are all worth the same.

Which prompt comes next follows from (seed, round, slot, attempt) alone, so a restarted run asks the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from medgrpo.data.encode import EncodedPrompt
from medgrpo.data.lazy_records import pairs_of
from medgrpo.data.prompts import choose_prompts
from medgrpo.data.readable import ReadableRows
from medgrpo.errors import UserError
from medgrpo.types import PairKey

__all__ = ["Refill", "RoundPrompts", "choose_refill"]


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


class RoundPrompts:
    """The prompts of a round: of each slot the first, then its replacements, all with their own frames.

    A row that is set aside makes room for the next one of its slot's order.

    Args:
        rows: Prompts with reference answers.
        count: Slots, all ranks together.
        seed: Of the run.
        round_index: From 0.

    Attributes:
        passed: Rows of each slot that were set aside.
    """

    def __init__(self, rows: ReadableRows, count: int, *, seed: int, round_index: int) -> None:
        self.rows = rows
        self.seed = seed
        self.round_index = round_index
        self._pairs = pairs_of(rows.samples)
        self._chosen = choose_prompts(self._pairs, count, seed=seed, round_index=round_index)
        self.passed: Counter[int] = Counter()

    def first(self, slot: int) -> EncodedPrompt:
        """The prompt that a slot begins with.

        Raises:
            UserError: If no row of its (dataset, task) has frames that can be read.
        """
        prompt = self._next(slot, 0)
        if prompt is None:
            dataset, task = self._pairs[self._chosen[slot]]
            raise UserError(
                f"{self.rows.records}: round {self.round_index} has no further prompt of ({dataset}, {task}) "
                f"whose frames can be read; {self.rows.bad_clips.report} lists the others"
            )
        return prompt

    def another(self, slot: int, attempt: int) -> EncodedPrompt | None:
        """The replacement of a slot's attempt, asked for in turn from 0; None if there is none left."""
        return self._next(slot, attempt + 1)

    def _next(self, slot: int, turn: int) -> EncodedPrompt | None:
        while (row := self._row(slot, turn + self.passed[slot])) is not None:
            prompt = self.rows.prompt(row)
            if prompt is not None:
                return prompt
            self.passed[slot] += 1
        return None

    def _row(self, slot: int, place: int) -> int | None:
        """The row at a place in a slot's order."""
        if place == 0:
            return self._chosen[slot]
        return choose_refill(
            self._pairs, self._chosen, slot, place - 1, seed=self.seed, round_index=self.round_index
        )

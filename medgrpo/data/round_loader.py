"""The prompts of rounds, decoded and encoded in worker processes while the round before is trained on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch.utils.data import Dataset

from medgrpo.data.clip_loader import ClipLoader
from medgrpo.data.encode import EncodedPrompt
from medgrpo.data.readable import ReadableRows
from medgrpo.data.refill import RoundPrompts

__all__ = ["RoundLoader"]


class RoundLoader:
    """Encodes the prompts of one rank, round after round.

    Args:
        rows: Prompts with reference answers.
        count: Prompts of a round, all ranks together.
        seed: Of the run.
        rank: This process.
        world_size: All processes.
        num_workers: Processes that decode and encode; 0 does it in this one, when a round begins.
        prefetch_factor: Prompts of the next round that each worker makes ahead, at most.
    """

    def __init__(
        self,
        rows: ReadableRows,
        count: int,
        *,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        num_workers: int = 0,
        prefetch_factor: int = 2,
    ) -> None:
        self.rows = rows
        self.count = count
        self.seed = seed
        self._slots = _Slots(range(rank, count, world_size))
        self._workers: ClipLoader | None = None
        if num_workers:
            self._workers = ClipLoader(
                _FirstPrompts(rows, count, seed),
                self._slots,
                num_workers=num_workers,
                prefetch_factor=prefetch_factor,
            )
        self._ahead: tuple[int, Iterator[Any]] | None = None

    def load(self, round_index: int) -> tuple[RoundPrompts, dict[int, EncodedPrompt]]:
        """The prompts that a round begins with, by slot, and where their replacements come from.

        Raises:
            UserError: If frames cannot be read and may not be set aside, or a prompt is too long.
        """
        asked = RoundPrompts(self.rows, self.count, seed=self.seed, round_index=round_index)
        if self._workers is None:
            return asked, {slot: asked.first(slot) for slot in self._slots.slots}
        prompts = {}
        for slot, (prompt, passed) in zip(self._slots.slots, self._outcomes(round_index), strict=True):
            prompts[slot] = prompt
            asked.passed[slot] = passed
        return asked, prompts

    def prefetch(self, round_index: int) -> None:
        """Let the workers begin with a round."""
        if self._workers is not None:
            self._slots.round_index = round_index
            self._ahead = (round_index, self._workers.ahead())

    def _outcomes(self, round_index: int) -> Iterator[Any]:
        if self._ahead is None or self._ahead[0] != round_index:
            self.prefetch(round_index)
        assert self._ahead is not None
        outcomes, self._ahead = self._ahead[1], None
        return outcomes


class _Slots:
    """Asks for each slot of this rank in the round that is loaded."""

    def __init__(self, slots: range) -> None:
        self.slots = slots
        self.round_index = 0

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return ((self.round_index, slot) for slot in self.slots)

    def __len__(self) -> int:
        return len(self.slots)


class _FirstPrompts(Dataset[tuple[EncodedPrompt, int]]):
    """The first prompt of (round, slot), and how many rows were set aside before it."""

    def __init__(self, rows: ReadableRows, count: int, seed: int) -> None:
        self.rows = rows
        self.count = count
        self.seed = seed
        self._asked: RoundPrompts | None = None

    def __getitem__(self, index: tuple[int, int]) -> tuple[EncodedPrompt, int]:
        round_index, slot = index
        if self._asked is None or self._asked.round_index != round_index:
            self._asked = RoundPrompts(self.rows, self.count, seed=self.seed, round_index=round_index)
        return self._asked.first(slot), self._asked.passed[slot]

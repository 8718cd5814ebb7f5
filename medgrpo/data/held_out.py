"""Held-out questions that the policy is asked again and again while it is in training."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import torch

from medgrpo.data.encode import EncodedPrompt
from medgrpo.data.readable import ReadableRows
from medgrpo.types import PairKey

__all__ = ["HeldOutLoader", "PromptBatch", "spread_rows"]


@dataclass(frozen=True, eq=False)
class PromptBatch:
    """Questions for a rollout engine, which moves what it needs to its device.

    Attributes:
        prompts: Encoded; none if no frames of theirs could be read.
    """

    prompts: tuple[EncodedPrompt, ...]

    def to(self, device: torch.device | str) -> Self:
        """The same batch: Lightning asks for it on the device of the weights."""
        return self


def spread_rows(pairs: Sequence[PairKey], count: int) -> list[int]:
    """Choose rows so that every (dataset, task) has as many as the others, as far as it has them.

    Args:
        pairs: (dataset, task) of every row.
        count: Rows wanted; fewer if there are fewer.

    Returns:
        Row indices in order, those of a pair evenly spread over the file.
    """
    rows: dict[PairKey, list[int]] = defaultdict(list)
    for row, pair in enumerate(pairs):
        rows[pair].append(row)
    chosen: list[int] = []
    # The smallest pairs first: what they cannot fill is shared by the rest.
    waiting = sorted(rows, key=lambda pair: (len(rows[pair]), pair))
    for index, pair in enumerate(waiting):
        share = (count - len(chosen)) // (len(waiting) - index)
        taken = min(share, len(rows[pair]))
        chosen += [rows[pair][k * len(rows[pair]) // taken] for k in range(taken)]
    return sorted(chosen)


class HeldOutLoader:
    """Batches of questions in order, strided over the ranks and encoded when asked for.

    Args:
        rows: Questions with reference answers.
        positions: Which of them are asked.
        batch: Questions in a batch.
        rank: This process.
        world_size: All processes.
    """

    def __init__(
        self, rows: ReadableRows, positions: Sequence[int], *, batch: int, rank: int, world_size: int
    ) -> None:
        own = positions[rank::world_size]
        self.rows = rows
        self.batches = [own[start : start + batch] for start in range(0, len(own), batch)]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[PromptBatch]:
        return map(self._encode, self.batches)

    # Lightning validates in inference mode, and a clip may be shared with the round in training.
    @torch.inference_mode(False)
    def _encode(self, positions: Sequence[int]) -> PromptBatch:
        return PromptBatch(tuple(p for p in map(self.rows.prompt, positions) if p is not None))

"""Which rows a training batch holds, as a pure function of (seed, epoch): exact on any number of ranks.

Rows that ask about the same clip travel together, so a batch decodes and encodes each of its clips once.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

__all__ = ["ClipBatchSampler"]


class ClipBatchSampler(Sampler[list[int]]):
    """Batches of clips with their questions.

    Every epoch shuffles the clips and, within a clip, its questions. Ranks take batches in turn; the tail
    that does not fill one batch for every rank is left to the next epoch's shuffle.

    Args:
        clips: The clip of each row.
        clips_per_batch: Clips in a batch.
        rows_per_clip: At most so many questions of a clip in one batch; the others form further units.
        seed: Order of all epochs.
        rank: This process.
        world_size: All processes.
        skip: Batches of the current epoch that an interrupted run has already taken.

    Raises:
        ValueError: If there are fewer clips than one batch for every rank.
    """

    def __init__(
        self,
        clips: Sequence[Hashable],
        *,
        clips_per_batch: int,
        rows_per_clip: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        skip: int = 0,
    ) -> None:
        groups: dict[Hashable, list[int]] = {}
        for row, clip in enumerate(clips):
            groups.setdefault(clip, []).append(row)
        self.groups = list(groups.values())
        self.clips_per_batch = clips_per_batch
        self.rows_per_clip = rows_per_clip
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.skip = skip
        self.epoch = 0
        units = sum(-(-len(rows) // rows_per_clip) for rows in self.groups)
        self.batches = units // (clips_per_batch * world_size)
        if self.batches == 0:
            raise ValueError(
                f"{units} clips are too few for {world_size} rank(s) with batches of {clips_per_batch} clips"
            )

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Lightning calls it."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[int]]:
        generator = np.random.default_rng([self.seed, self.epoch])
        units: list[list[int]] = []
        for rows in self.groups:
            shuffled = generator.permutation(rows).tolist()
            units += [
                shuffled[i : i + self.rows_per_clip] for i in range(0, len(shuffled), self.rows_per_clip)
            ]
        order = generator.permutation(len(units))
        skip, self.skip = self.skip, 0
        for batch in range(skip, self.batches):
            first = (batch * self.world_size + self.rank) * self.clips_per_batch
            yield [row for unit in order[first : first + self.clips_per_batch] for row in units[unit]]

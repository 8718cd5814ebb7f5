"""Which rows a training batch holds, as a pure function of (seed, epoch): exact on any number of ranks.

Rows that ask about the same clip travel together, so a batch decodes and encodes each of its clips once.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from medgrpo.errors import UserError

__all__ = ["BatchRows", "ClipBatchSampler"]


@dataclass(frozen=True)
class BatchRows:
    """What a batch is made of.

    Attributes:
        rows: Its rows, those of a clip together.
        spare: Rows to take, one clip at a time, should none of its own have readable frames: those of the
            clips that follow in the epoch.
    """

    rows: list[int]
    spare: list[list[int]]


class ClipBatchSampler(Sampler[BatchRows]):
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
        weights: How often each row is expected in an epoch, with mean 1, see
            :func:`medgrpo.data.mixture.row_weights`; None is once. A row of weight 2.3 comes twice, and with
            a chance of 0.3 once more.
        spare_clips: Other clips to name with each batch, for one that turns out to be unreadable.

    Raises:
        UserError: If there are fewer clips than one batch for every rank.
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
        weights: Sequence[float] | NDArray[np.float64] | None = None,
        spare_clips: int = 0,
    ) -> None:
        groups: dict[Hashable, list[int]] = {}
        for row, clip in enumerate(clips):
            groups.setdefault(clip, []).append(row)
        self.clips = clips
        self.spare_clips = spare_clips
        self.groups = list(groups.values())
        self.clips_per_batch = clips_per_batch
        self.rows_per_clip = rows_per_clip
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.skip = skip
        self.epoch = 0
        self.weights = None if weights is None else np.asarray(weights, dtype=np.float64)
        units = len(self._units(np.random.default_rng([seed, 0])))
        self.batches = units // (clips_per_batch * world_size)
        if self.batches == 0:
            raise UserError(
                f"{units} clips are too few for {world_size} rank(s) with batches of {clips_per_batch}; give "
                "more records or lower data.init_args.clips_per_batch"
            )

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Lightning calls it."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[BatchRows]:
        generator = np.random.default_rng([self.seed, self.epoch])
        units = self._units(generator)
        order = generator.permutation(len(units))
        needed = self.batches * self.world_size * self.clips_per_batch
        order = np.resize(order, max(needed, len(order)))  # weights: a short epoch begins again
        skip, self.skip = self.skip, 0
        for batch in range(skip, self.batches):
            first = (batch * self.world_size + self.rank) * self.clips_per_batch
            after = first + self.clips_per_batch
            rows = [row for unit in order[first:after] for row in units[unit]]
            following = chain(order[after:], order[:first])
            yield BatchRows(rows, self._spare(rows, (units[unit] for unit in following)))

    def _spare(self, rows: list[int], following: Iterator[list[int]]) -> list[list[int]]:
        """The first units of other clips, one a clip."""
        spare: dict[Hashable, list[int]] = {}
        own = {self.clips[row] for row in rows}
        while len(spare) < self.spare_clips and (unit := next(following, None)) is not None:
            clip = self.clips[unit[0]]
            if clip not in own:
                spare.setdefault(clip, unit)
        return list(spare.values())

    def _units(self, generator: np.random.Generator) -> list[list[int]]:
        """The clips of an epoch, each with up to ``rows_per_clip`` of its questions."""
        units: list[list[int]] = []
        for rows in self.groups:
            shuffled = generator.permutation(self._repeated(rows, generator)).tolist()
            units += [
                shuffled[i : i + self.rows_per_clip] for i in range(0, len(shuffled), self.rows_per_clip)
            ]
        return units

    def _repeated(self, rows: list[int], generator: np.random.Generator) -> Sequence[int] | NDArray[np.int64]:
        """A clip's rows as often as they weigh."""
        if self.weights is None:
            return rows
        weights = self.weights[rows]
        return np.repeat(rows, np.floor(weights + generator.random(len(rows))).astype(np.int64))

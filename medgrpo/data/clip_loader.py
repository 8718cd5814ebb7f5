"""A loader of whole batches whose workers say what is wrong as if it had happened in the main process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from medgrpo.errors import UserError

__all__ = ["ClipLoader"]


class ClipLoader(DataLoader[Any]):
    """Batches in the order of a sampler.

    A sampler and not a batch sampler, because Lightning tells the epoch to the former only.

    Args:
        batches: Makes a whole batch of what the sampler yields.
        sampler: What to make batches of.
        num_workers: Processes that make them.
        prefetch_factor: Batches that each of them makes ahead, at most.
    """

    def __init__(
        self, batches: Dataset[Any], sampler: Iterable[Any], *, num_workers: int, prefetch_factor: int
    ) -> None:
        super().__init__(
            _Outcomes(batches),
            batch_size=None,
            sampler=sampler,
            collate_fn=_same,
            num_workers=num_workers,
            prefetch_factor=prefetch_factor if num_workers else None,
            persistent_workers=num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # seeds workers, which draw nothing; the run's own is left alone
        )

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Yield the batches; the sampler is asked at the first: a resumed Lightning tells it the epoch late.

        Raises:
            UserError: What a batch raised, in its turn.
        """
        yield from self.ahead()

    def ahead(self) -> Iterator[Any]:
        """The same, with the workers beginning at once."""
        return _raising(super().__iter__())


def _raising(outcomes: Iterator[Any]) -> Iterator[Any]:
    for outcome in outcomes:
        if isinstance(outcome, UserError):
            raise outcome
        yield outcome


class _Outcomes(Dataset[Any]):
    """Hands errors over as values: torch makes new ones of the text of their traceback."""

    def __init__(self, batches: Dataset[Any]) -> None:
        self.batches = batches

    def __getitem__(self, index: Any) -> Any:
        try:
            return self.batches[index]
        except UserError as error:
            return error


def _same(batch: Any) -> Any:
    return batch

"""Plain objects of all ranks on all ranks."""

from __future__ import annotations

from typing import TypeVar

import torch.distributed

__all__ = ["gather_objects", "process_rank"]

T = TypeVar("T")


def _distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def process_rank() -> int:
    """This process's rank; 0 in a single process."""
    return torch.distributed.get_rank() if _distributed() else 0


def gather_objects(value: T) -> list[T]:
    """Every rank's value, in the order of the ranks; ``[value]`` in a single process.

    All ranks must call it, and as often.
    """
    if not _distributed():
        return [value]
    values: list[T | None] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(values, value)
    return values  # type: ignore[return-value]

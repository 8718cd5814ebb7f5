"""A hash of a model's weights that is computed where the weights are.

A cryptographic hash wants every byte on the CPU, once: minutes a round for a 7B model that is trained whole.
Here each tensor becomes one number by two levels of weighted sums over its bits, in integers that wrap
around, whose result depends on neither the device nor the order of additions; only these numbers are moved.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache

import numpy as np
import torch
from torch.nn.functional import pad

__all__ = ["weights_hash"]

ROW = 2**15
"""Words of four bytes that are summed at a time; what that takes stays in a processor's cache."""

ROWS_ON_ACCELERATOR = 256
"""Rows summed together elsewhere than on a CPU, where starting a kernel costs more than its memory."""


@torch.no_grad()
def weights_hash(weights: Iterable[tuple[str, torch.Tensor]]) -> str:
    """Sixteen hexadecimal digits that name weights: equal on every device, other for any change.

    A change of one word always changes the sum. Changes of several cancel with a chance of 2^-32 where all
    are of sign bits alone, and of less otherwise (the multilinear hash: words of 32 bits, factors of 64).

    Args:
        weights: Tensors of any type by name, in an order that is the caller's to keep.
    """
    # No weight is kept: they may be put together one at a time from pieces on several devices.
    named = [(f"{name} {w.dtype} {tuple(w.shape)}", _tensor_hash(w)) for name, w in weights]
    digest = hashlib.sha256()
    for (name, _), number in zip(named, _fetched([number for _, number in named]), strict=True):
        digest.update(f"{name} {number}\n".encode())
    return digest.hexdigest()[:16]


def _fetched(numbers: list[torch.Tensor]) -> list[int]:
    """Numbers from wherever they are, with one transfer a device."""
    groups: dict[torch.device, list[int]] = {}
    for index, number in enumerate(numbers):
        groups.setdefault(number.device, []).append(index)
    values = [0] * len(numbers)
    for indices in groups.values():
        for index, value in zip(indices, torch.stack([numbers[i] for i in indices]).tolist(), strict=True):
            values[index] = value
    return values


def _tensor_hash(weight: torch.Tensor) -> torch.Tensor:
    """One int64 of a tensor's bits, on its device."""
    words = _words(weight.detach())
    while len(words) > ROW:
        words = _row_sums(words).view(torch.int32)
    return _weighted_sum(words)


def _words(weight: torch.Tensor) -> torch.Tensor:
    """The bits of a tensor as int32, ``[words]``; zeros fill the last one."""
    flat = weight.reshape(-1)
    missing = -flat.nbytes % 4 // flat.itemsize
    if missing or flat.storage_offset() * flat.itemsize % 4:
        flat = pad(flat, (0, missing)).clone()
    return flat.view(torch.int32)


def _row_sums(words: torch.Tensor) -> torch.Tensor:
    """Weighted sums of consecutive rows, int64 ``[rows]``."""
    whole = len(words) // ROW
    rows = words[: whole * ROW].view(whole, ROW)
    step = 1 if words.device.type == "cpu" else ROWS_ON_ACCELERATOR
    sums = [_weighted_sum(rows[start : start + step]) for start in range(0, whole, step)]
    if len(words) > whole * ROW:
        sums.append(_weighted_sum(words[whole * ROW :])[None])
    return torch.cat(sums)


def _weighted_sum(words: torch.Tensor) -> torch.Tensor:
    """Sum over the last axis, each word times the factor of its place, int64."""
    return (words * _factors(words.device)[: words.shape[-1]]).sum(-1)


@cache
def _factors(device: torch.device) -> torch.Tensor:
    """Odd random factors, the same for ever."""
    raw = np.random.PCG64(0).random_raw(ROW) | np.uint64(1)
    return torch.from_numpy(raw.view(np.int64)).to(device)

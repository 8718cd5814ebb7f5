"""Attention over packed groups by FlexAttention: one block-sparse kernel, no keys repeated for answers.

:func:`medgrpo.modules.shared_prefix.grouped_attention` copies the prompt's keys and values once an answer,
and its mask keeps a GPU's flash kernels out. Here the packed sequence stays one, blocks of it in which no
token attends to another are skipped, and heads share keys and values as the model does. On a GPU kernel and
mask are compiled, so that nothing of the length squared is made; elsewhere PyTorch's dense form computes the
same, forward only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import Any

import torch
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from medgrpo.data.packed_batch import GroupLengths
from medgrpo.errors import UserError

__all__ = ["flex_grouped_attention"]


def flex_grouped_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    groups: Sequence[GroupLengths],
    *,
    scale: float,
    dropout: float = 0.0,
) -> torch.Tensor:
    """Attention of packed groups; arguments and result as those of ``grouped_attention``.

    Raises:
        UserError: If this device cannot train with it.
        ValueError: If attention weights are to be dropped, which the kernel cannot.
    """
    if dropout:
        raise ValueError("policy.group_attention: flex has no dropout of attention weights; use sdpa")
    compiled = query.is_cuda
    mask = _block_mask(tuple(groups), query.device, compiled)
    out: Any = _compiled(flex_attention) if compiled else flex_attention
    # Left to choose, PyTorch decodes fewer than 128 tokens by a kernel that does not compile for this mask.
    options: Any = {"BACKEND": "TRITON"} if compiled else None
    shared = query.shape[1] != key.shape[1]
    try:
        seen: torch.Tensor = out(
            query, key, value, block_mask=mask, scale=scale, enable_gqa=shared, kernel_options=options
        )
    except NotImplementedError as error:
        raise UserError(f"policy.group_attention: flex cannot be used here, use sdpa: {error}") from error
    return seen.transpose(1, 2)


@cache
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiled once for all lengths: every micro-batch has another one."""
    compiled: Callable[..., Any] = torch.compile(function, dynamic=True)
    return compiled


@lru_cache(maxsize=4)
def _block_mask(groups: tuple[GroupLengths, ...], device: torch.device, compiled: bool) -> BlockMask:
    """The same for every layer of a forward, and its recomputation."""
    lengths = [length for group in groups for length in (group.prompt, *group.answers)]
    owners = [owner for owner, group in enumerate(groups) for _ in range(1 + len(group.answers))]
    parts = [part for group in groups for part in range(1 + len(group.answers))]
    repeats = torch.tensor(lengths)
    owner = torch.tensor(owners).repeat_interleave(repeats).to(device)
    part = torch.tensor(parts).repeat_interleave(repeats).to(device)

    def attends(_: Any, __: Any, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        """To what stands before it in its own part, and in the prompt (part 0) of its group."""
        own = (part[key] == 0) | (part[key] == part[query])
        return (owner[key] == owner[query]) & own & (key <= query)

    make = _compiled(create_block_mask) if compiled else create_block_mask
    total = sum(lengths)
    mask: BlockMask = make(attends, None, None, total, total, device=device)
    return mask

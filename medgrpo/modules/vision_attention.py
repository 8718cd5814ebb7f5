"""Attention of the vision tower: all windows of one length in one call of the kernel.

A tower attends within chunks: windows, or whole frames in layers of full attention. Without flash attention
transformers calls the kernel for one chunk after the other, 20,000 times for a long clip at 7B, and a GPU
waits for the calls. Here the chunks of one length are a batch ``[chunks, heads, length, d]``. A chunk at the
border of a frame is smaller, so there are a few lengths in a clip, whatever its size.

Registered with transformers under a name of its own, so that projections and rotary embedding are the
model's code.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

__all__ = ["chunked_attention", "use_batched_windows"]

_NAME = "medgrpo_flash_chunks"
"""With ``flash``, the word by which transformers hands over the bounds of all chunks in one call."""


def use_batched_windows(model: Any) -> None:
    """Let a Qwen-VL model's vision tower attend in all windows of one length at once.

    A tower with another attention than PyTorch's (``sdpa``) is left alone: the kernels of flash attention
    take all chunks in one call themselves.

    Args:
        model: As loaded.
    """
    from transformers import AttentionInterface

    config = model.model.visual.config
    if config._attn_implementation == "sdpa":
        AttentionInterface.register(_NAME, _attention)
        config._attn_implementation = _NAME


def _attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: None,
    *,
    cu_seq_lens_q: torch.Tensor,
    scaling: float,
    dropout: float = 0.0,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """What transformers calls, with ``[1, heads, N, d]``."""
    q, k, v = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
    return chunked_attention(q, k, v, cu_seq_lens_q, scale=scaling, dropout=dropout)[None], None


def chunked_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    bounds: torch.Tensor,
    *,
    scale: float,
    dropout: float = 0.0,
) -> torch.Tensor:
    """Attention within chunks that follow each other.

    Args:
        query: ``[N, heads, d]``.
        key: As ``query``.
        value: As ``query``.
        bounds: ``[chunks + 1]`` ascending from 0 to N. Layers should share the tensor: it is read once.
        scale: Of the scores.
        dropout: Of the attention weights.

    Returns:
        ``[N, heads, d]``.
    """
    layout = _layout(bounds)
    rows = [query, key, value]
    if layout.order is not None:
        rows = [_Reordered.apply(tensor, layout.order, layout.back) for tensor in rows]
    parts = []
    for kind in zip(*(tensor.split(layout.sizes) for tensor in rows), layout.lengths, strict=True):
        *chunks, length = kind
        q, k, v = (tensor.unflatten(0, (-1, length)).transpose(1, 2) for tensor in chunks)
        seen = scaled_dot_product_attention(q, k, v, dropout_p=dropout, scale=scale)
        parts.append(seen.transpose(1, 2).flatten(0, 1))
    out = torch.cat(parts)
    return out if layout.back is None else _Reordered.apply(out, layout.back, layout.order)


@dataclass(frozen=True)
class _Layout:
    """Chunks by length.

    Attributes:
        lengths: The distinct ones, in the order of their first chunks.
        sizes: Rows of all chunks of each length.
        order: ``[N]``, the rows of chunks of one length side by side; None if they are so already.
        back: ``[N]``, its inverse.
    """

    lengths: list[int]
    sizes: list[int]
    order: torch.Tensor | None
    back: torch.Tensor | None


@lru_cache(maxsize=4)
def _layout(bounds: torch.Tensor) -> _Layout:
    """The same for every layer of a forward, and its recomputation: the key is the tensor, not its values.

    Reading the bounds makes a GPU's host wait, which must not happen in every layer.
    """
    starts: dict[int, list[int]] = {}
    for start, end in pairwise(bounds.tolist()):
        starts.setdefault(end - start, []).append(start)
    kinds = [
        (torch.tensor(places)[:, None] + torch.arange(length)).flatten() for length, places in starts.items()
    ]
    order = torch.cat(kinds)
    sizes = [len(kind) for kind in kinds]
    if torch.equal(order, torch.arange(len(order))):
        return _Layout(list(starts), sizes, None, None)
    return _Layout(list(starts), sizes, order.to(bounds.device), order.argsort().to(bounds.device))


class _Reordered(torch.autograd.Function):
    """Rows in another order.

    The gradient of plain indexing adds rows up one by one, since some might have been taken twice.
    """

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, order: torch.Tensor, back: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(order, back)
        return rows.index_select(0, order)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        order, back = ctx.saved_tensors
        return _Reordered.apply(gradients[0], back, order), None, None

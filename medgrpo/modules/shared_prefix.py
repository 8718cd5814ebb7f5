"""Attention over packed groups: each answer attends to its prompt and to itself, the prompt runs once.

Registered with transformers under a name of its own, so that all else of a layer (projections, rotary
embedding, MLP, DeepStack, gradient checkpointing) is the model's own code. The prompt is causal; the G
answers are a batch ``[G, C]`` against the prompt's keys and values, repeated, and their own. The largest mask
is ``[C, P + C]``, whatever G is, and gradients flow through both parts.

The idea for text is PrefixGrouper's (arXiv 2506.05433). Its package takes the prompt as one contiguous prefix
with ordinary positions; here positions are M-RoPE's, a video is encoded once a group, and groups of different
lengths are packed without padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import torch
from torch.nn.functional import scaled_dot_product_attention

from medgrpo.data.packed_batch import GroupLengths
from medgrpo.errors import UserError
from medgrpo.modules.flex_groups import flex_grouped_attention

__all__ = ["ATTENTION_PREFIX", "GroupAttention", "grouped_attention", "use_grouped_attention"]

ATTENTION_PREFIX = "medgrpo_"
"""Before the names of the groups' kernel and of the implementation that rows without groups keep."""


GroupAttention = Literal["sdpa", "flex"]
"""``sdpa``: PyTorch's own, the answers as rows against their prompt. ``flex``: one block-sparse kernel."""


def use_grouped_attention(model: Any, kernel: GroupAttention = "sdpa") -> None:
    """Let a model's language layers understand ``groups=`` and ``decoding=`` beside what they do already.

    With ``groups`` they attend within packed groups, with ``decoding`` (a
    :class:`medgrpo.rollout.decoding.DecodingState`) each row's one token attends as that says.

    Args:
        model: A Qwen-VL model, as loaded with some attention implementation.
        kernel: Of packed groups.

    Raises:
        UserError: If that is ``eager``, which transformers keeps in each model's own file.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    config = model.config.text_config
    base = config._attn_implementation
    if base.startswith(ATTENTION_PREFIX):
        return
    if base not in ALL_ATTENTION_FUNCTIONS:
        raise UserError(f"policy.attention: {base} has no function of its own in transformers; use sdpa")
    ordinary = ALL_ATTENTION_FUNCTIONS[base]
    grouped = flex_grouped_attention if kernel == "flex" else grouped_attention
    name = f"{ATTENTION_PREFIX}{kernel}_{base}"

    def attention(
        module: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        *,
        groups: Sequence[GroupLengths] | None = None,
        decoding: Any = None,
        **options: Any,
    ) -> tuple[torch.Tensor, None]:
        if decoding is not None:
            return decoding.attend(module.layer_idx, query, key, value, options["scaling"]), None
        if groups is None:
            result: tuple[torch.Tensor, None] = ordinary(module, query, key, value, attention_mask, **options)
            return result
        return grouped(
            query, key, value, groups, scale=options["scaling"], dropout=options.get("dropout", 0.0)
        ), None

    AttentionInterface.register(name, attention)
    AttentionMaskInterface.register(name, ALL_MASK_ATTENTION_FUNCTIONS[base])
    config._attn_implementation = name


def grouped_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    groups: Sequence[GroupLengths],
    *,
    scale: float,
    dropout: float = 0.0,
) -> torch.Tensor:
    """Attention of packed groups.

    Args:
        query: ``[1, heads, N, d]``.
        key: ``[1, key-value heads, N, d]``.
        value: As ``key``.
        groups: Lengths, N tokens in all.
        scale: Of the scores.
        dropout: Of the attention weights.

    Returns:
        ``[1, N, heads, d]``.
    """
    repeats = query.shape[1] // key.shape[1]
    out = []
    start = 0
    for group in groups:
        span = slice(start, start + group.total)
        # Heads are repeated as transformers does: kernels with a mask take no fewer of keys than of queries.
        own = [query[0, :, span]]
        own += [tensor[0, :, span].repeat_interleave(repeats, dim=0) for tensor in (key, value)]
        whole = [tensor[None, :, : group.prompt] for tensor in own]
        q, k, v = whole
        seen = scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True, scale=scale)
        out.append(seen[0].transpose(0, 1))
        layout = _layout(group, query.device)
        q, k, v = (tensor[:, layout.rows].transpose(0, 1) for tensor in own)  # [G, heads, C, d]
        k, v = (
            torch.cat((prompt.expand(len(q), -1, -1, -1), answers), dim=2)
            for prompt, answers in zip(whole[1:], (k, v), strict=True)
        )
        seen = scaled_dot_product_attention(q, k, v, attn_mask=layout.mask, dropout_p=dropout, scale=scale)
        out.append(seen.transpose(1, 2).flatten(0, 1)[layout.real])
        start += group.total
    return torch.cat(out)[None]


@dataclass(frozen=True)
class _Layout:
    """The answers of a group as rows.

    Attributes:
        rows: ``[G, C]``, where in the group each token is. What pads a short answer is its own last token,
            again: behind all that are real, none of them sees it.
        real: Of the ``G * C`` tokens those that are no padding.
        mask: ``[C, P + C]``, True where a token attends.
    """

    rows: torch.Tensor
    real: torch.Tensor
    mask: torch.Tensor


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # kept for training too, if made while something is only scored
def _layout(group: GroupLengths, device: torch.device) -> _Layout:
    """The same for every layer of a forward, and its recomputation."""
    lengths = torch.tensor(group.answers)
    longest = max(group.answers)
    steps = torch.arange(longest)
    rows = (group.prompt + lengths.cumsum(0) - lengths)[:, None] + torch.minimum(steps, lengths[:, None] - 1)
    real = (steps < lengths[:, None]).flatten().nonzero().squeeze(-1)
    mask = torch.ones(longest, group.prompt + longest, dtype=torch.bool).tril(group.prompt)
    return _Layout(rows.to(device), real.to(device), mask.to(device))

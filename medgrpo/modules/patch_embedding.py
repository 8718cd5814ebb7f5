"""The patch embedding of the vision tower as the matrix product that it is.

transformers writes it as a Conv3d whose kernel and stride are a whole patch, over a batch of single patches.
Convolution kernels are made for large pictures: on a CPU this one layer takes longer than a block of the
tower. The weights stay where they are, so checkpoints and gradients are the same.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from torch.nn.functional import linear

__all__ = ["use_linear_patch_embedding"]


def use_linear_patch_embedding(model: Any) -> None:
    """Let a Qwen-VL model embed its patches by one matrix product.

    Args:
        model: As loaded.
    """
    embedding = model.model.visual.patch_embed
    embedding.forward = MethodType(_embed, embedding)


def _embed(embedding: Any, patches: torch.Tensor) -> torch.Tensor:
    """Embeddings ``[patches, D]`` of flat patches."""
    weight, bias = embedding.proj.weight, embedding.proj.bias
    return linear(patches.flatten(1).to(weight.dtype), weight.flatten(1), bias)

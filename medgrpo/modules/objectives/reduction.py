"""How the losses of tokens become the loss of an optimizer step."""

from __future__ import annotations

import torch

from medgrpo.modules.objectives.inputs import Denominators
from medgrpo.modules.objectives.objective import Reduction

__all__ = ["masked_mean", "reduce_loss"]


def masked_mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean over True positions of ``mask``, both ``[B, L]``; 0 where there is none."""
    return torch.where(mask, values, 0.0).sum() / mask.sum().clamp(min=1)


def reduce_loss(
    losses: torch.Tensor, mask: torch.Tensor, reduction: Reduction, denominators: Denominators
) -> torch.Tensor:
    """This micro-batch's share of the loss of its optimizer step.

    Shares of all micro-batches on all ranks are to be added, not averaged.

    Args:
        losses: ``[B, L]``, 0 outside the mask.
        mask: ``[B, L]`` bool.
        reduction: See :class:`medgrpo.modules.objectives.Objective`.
        denominators: Of the whole step.

    Returns:
        A scalar.
    """
    if reduction == "grpo":
        lengths = mask.sum(1).clamp(min=1)
        return (losses.sum(1) / lengths).sum() / max(denominators.sequences, 1)
    if reduction == "bnpo":
        return losses.sum() / max(denominators.tokens, 1)
    if reduction == "dapo":
        return losses.sum() / max(denominators.round_tokens, 1.0)
    return losses.sum() / max(denominators.sequences * denominators.max_length, 1)

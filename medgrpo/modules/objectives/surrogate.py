"""What a token adds to the loss: the clipped surrogate of PPO, or the weighted log-probability of CISPO."""

from __future__ import annotations

from typing import NamedTuple

import torch

from medgrpo.modules.objectives.inputs import LossInputs
from medgrpo.modules.objectives.objective import Objective
from medgrpo.modules.objectives.ratio import policy_ratio

__all__ = ["ClipFlags", "cispo_surrogate", "clip_flags", "clipped_surrogate", "surrogate_losses"]


class ClipFlags(NamedTuple):
    """Bool tensors, ``[B, L]`` for token ratios and ``[B, 1]`` for sequence ratios; read them under the mask.

    Attributes:
        low: The lower bound stops the gradient, which needs a negative advantage.
        high: The upper bound stops it, which needs a positive advantage; with CISPO: caps the weight.
        dual: The dual clip stops it, which needs a negative advantage.
    """

    low: torch.Tensor
    high: torch.Tensor
    dual: torch.Tensor


def clipped_surrogate(inputs: LossInputs, objective: Objective) -> torch.Tensor:
    """Clipped surrogate, negated.

    Returns:
        ``[B, L]`` losses ``-min(r A, clip(r, 1 - eps_low, 1 + eps_high) A)``, 0 outside the mask; with a dual
        clip c, r is ``min(r, c)`` in the first term.
    """
    ratio = policy_ratio(inputs, objective.ratio)
    clipped = ratio.clamp(1.0 - objective.eps_low, 1.0 + objective.eps_high)
    if objective.dual_clip is not None:
        ratio = ratio.clamp(max=objective.dual_clip)
    advantages = inputs.advantages.unsqueeze(1)
    return torch.where(inputs.mask, -torch.min(ratio * advantages, clipped * advantages), 0.0)


def cispo_surrogate(inputs: LossInputs, objective: Objective) -> torch.Tensor:
    """Log-probability weighted with the capped ratio, negated.

    Returns:
        ``[B, L]`` losses ``-sg(min(r, ratio_cap)) A log p``, 0 outside the mask; sg stops the gradient.
    """
    weight = policy_ratio(inputs, objective.ratio).clamp(max=objective.ratio_cap).detach()
    return torch.where(inputs.mask, -weight * inputs.advantages.unsqueeze(1) * inputs.logps, 0.0)


def surrogate_losses(inputs: LossInputs, objective: Objective) -> torch.Tensor:
    """The objective's surrogate, ``[B, L]``, corrected by the importance weights where there are some."""
    surrogate = clipped_surrogate if objective.surrogate == "clip" else cispo_surrogate
    losses = surrogate(inputs, objective)
    if inputs.importance is None:
        return losses
    return torch.where(inputs.mask, losses * inputs.importance, 0.0)


@torch.no_grad()
def clip_flags(inputs: LossInputs, objective: Objective) -> ClipFlags:
    """Where the bounds of the objective's surrogate act."""
    ratio = policy_ratio(inputs, objective.ratio)
    gain = inputs.advantages.unsqueeze(1) > 0
    loss = inputs.advantages.unsqueeze(1) < 0
    nowhere = torch.zeros_like(ratio, dtype=torch.bool)
    if objective.surrogate == "cispo":
        return ClipFlags(low=nowhere, high=(ratio > objective.ratio_cap) & gain, dual=nowhere)
    return ClipFlags(
        low=(ratio < 1.0 - objective.eps_low) & loss,
        high=(ratio > 1.0 + objective.eps_high) & gain,
        dual=nowhere if objective.dual_clip is None else (ratio > objective.dual_clip) & loss,
    )

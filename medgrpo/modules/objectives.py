"""The policy objective as pure functions: clipped surrogate, reductions, KL and what they report.

Nothing here knows a model or a trainer. Denominators come from the caller, who sees the whole optimizer step
on all ranks: a mean of micro-batch means is another objective than the one written in the papers.
Formulas as in TRL 1.16 (``GRPOTrainer._compute_loss``), against which the tests compare losses and gradients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

__all__ = [
    "Denominators",
    "LossInputs",
    "Objective",
    "ObjectiveStatistics",
    "clipped_surrogate",
    "k3_divergence",
    "masked_mean",
    "policy_loss",
    "reduce_loss",
]

Reduction = Literal["grpo", "dapo", "dr_grpo", "bnpo"]


@dataclass(frozen=True)
class Objective:
    """What is optimised.

    Attributes:
        reduction: How per-token losses become one number. ``grpo``: mean over an answer's tokens, then over
            answers. ``bnpo``: mean over the tokens of the optimizer step. ``dapo``: sum over tokens, divided
            by the tokens of an average step of the round. ``dr_grpo``: sum over tokens, divided by answers
            times the longest answer allowed.
        eps_low: The ratio is clipped at ``1 - eps_low`` from below.
        eps_high: The ratio is clipped at ``1 + eps_high`` from above.
        kl_weight: Weight of the k3 divergence from the initial policy; 0 needs no reference policy.
    """

    reduction: Reduction = "grpo"
    eps_low: float = 0.2
    eps_high: float = 0.3
    kl_weight: float = 0.0

    def __post_init__(self) -> None:
        if self.reduction not in ("grpo", "dapo", "dr_grpo", "bnpo"):
            raise ValueError(f"objective.reduction: {self.reduction!r} is none of grpo, dapo, dr_grpo, bnpo")
        if not (0 <= self.eps_low < 1 and self.eps_high >= 0):
            raise ValueError(
                f"objective: eps_low must be in [0, 1) and eps_high at least 0, "
                f"got {self.eps_low} and {self.eps_high}"
            )
        if self.kl_weight < 0:
            raise ValueError(f"objective.kl_weight must be at least 0, got {self.kl_weight}")


@dataclass(frozen=True)
class LossInputs:
    """B answers, padded to length L.

    Attributes:
        logps: ``[B, L]`` log-probabilities under the policy in training, with gradient.
        old_logps: ``[B, L]`` under the policy that sampled.
        advantages: ``[B]``.
        mask: ``[B, L]`` bool, True at answer tokens that take part; whatever stands elsewhere is never read.
        ref_logps: ``[B, L]`` under the reference policy; only needed with a KL term.
    """

    logps: torch.Tensor
    old_logps: torch.Tensor
    advantages: torch.Tensor
    mask: torch.Tensor
    ref_logps: torch.Tensor | None = None


@dataclass(frozen=True)
class Denominators:
    """Sizes of the whole optimizer step: all its micro-batches on all ranks.

    Attributes:
        sequences: Answers that take part.
        tokens: Their tokens.
        round_tokens: Tokens of the whole rollout round divided by its optimizer steps.
        max_length: The longest answer allowed, in tokens.
    """

    sequences: int
    tokens: int
    round_tokens: float
    max_length: int


@dataclass(frozen=True)
class ObjectiveStatistics:
    """Detached scalars, means over the tokens that take part.

    Attributes:
        clip_low: Share of tokens whose gradient the lower bound stops (negative advantage).
        clip_high: Share of tokens whose gradient the upper bound stops (positive advantage).
        ratio: Mean probability ratio.
        old_kl: k3 estimate of the divergence from the policy that sampled, nats a token.
        ref_kl: The same from the reference policy; 0 without one.
    """

    clip_low: torch.Tensor
    clip_high: torch.Tensor
    ratio: torch.Tensor
    old_kl: torch.Tensor
    ref_kl: torch.Tensor


def masked_mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean over True positions of ``mask``, both ``[B, L]``; 0 where there is none."""
    return torch.where(mask, values, 0.0).sum() / mask.sum().clamp(min=1)


def _log_ratio(inputs: LossInputs) -> torch.Tensor:
    # Chosen before exp: garbage outside the mask would become inf, and 0 * inf is NaN in the gradient.
    # For the same reason it is bounded where tokens do take part, far beyond any ratio that means something.
    return torch.where(inputs.mask, inputs.logps - inputs.old_logps, 0.0).clamp(-20.0, 20.0)


def clipped_surrogate(inputs: LossInputs, objective: Objective) -> torch.Tensor:
    """Token-level clipped surrogate, negated.

    Returns:
        ``[B, L]`` losses ``-min(r A, clip(r, 1 - eps_low, 1 + eps_high) A)``, 0 outside the mask.
    """
    ratio = _log_ratio(inputs).exp()
    clipped = ratio.clamp(1.0 - objective.eps_low, 1.0 + objective.eps_high)
    advantages = inputs.advantages.unsqueeze(1)
    return torch.where(inputs.mask, -torch.min(ratio * advantages, clipped * advantages), 0.0)


def k3_divergence(logps: torch.Tensor, other: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Schulman's k3 estimate of KL(policy || other) from tokens of the policy, nats.

    Args:
        logps: ``[B, L]`` under the policy.
        other: ``[B, L]`` under the other one.
        mask: ``[B, L]`` bool.

    Returns:
        ``[B, L]``, non-negative, 0 outside the mask.
    """
    difference = torch.where(mask, other - logps, 0.0)
    return difference.exp() - difference - 1.0


def reduce_loss(
    losses: torch.Tensor, mask: torch.Tensor, reduction: Reduction, denominators: Denominators
) -> torch.Tensor:
    """This micro-batch's share of the loss of its optimizer step.

    Shares of all micro-batches on all ranks are to be added, not averaged.

    Args:
        losses: ``[B, L]``, 0 outside the mask.
        mask: ``[B, L]`` bool.
        reduction: See :class:`Objective`.
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


def policy_loss(
    inputs: LossInputs, objective: Objective, denominators: Denominators
) -> tuple[torch.Tensor, ObjectiveStatistics]:
    """The loss of a micro-batch and its statistics.

    Args:
        inputs: Its answers.
        objective: What is optimised.
        denominators: Of the whole optimizer step.

    Returns:
        This micro-batch's share (see :func:`reduce_loss`), and statistics of this micro-batch.

    Raises:
        ValueError: If a KL term is asked for without reference log-probabilities.
    """
    losses = clipped_surrogate(inputs, objective)
    ref_kl = torch.zeros((), device=losses.device)
    if objective.kl_weight > 0:
        if inputs.ref_logps is None:
            raise ValueError("a KL term needs the reference policy's log-probabilities")
        divergence = k3_divergence(inputs.logps, inputs.ref_logps, inputs.mask)
        losses = losses + objective.kl_weight * divergence
        ref_kl = masked_mean(divergence.detach(), inputs.mask)
    loss = reduce_loss(losses, inputs.mask, objective.reduction, denominators)
    with torch.no_grad():
        ratio = _log_ratio(inputs).exp()
        advantages = inputs.advantages.unsqueeze(1)
        low = (ratio < 1.0 - objective.eps_low) & (advantages < 0)
        high = (ratio > 1.0 + objective.eps_high) & (advantages > 0)
        statistics = ObjectiveStatistics(
            clip_low=masked_mean(low.float(), inputs.mask),
            clip_high=masked_mean(high.float(), inputs.mask),
            ratio=masked_mean(ratio, inputs.mask),
            old_kl=masked_mean(k3_divergence(inputs.old_logps, inputs.logps, inputs.mask), inputs.mask),
            ref_kl=ref_kl,
        )
    return loss, statistics

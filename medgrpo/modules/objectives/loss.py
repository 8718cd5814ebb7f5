"""The loss of a micro-batch: surrogate, divergence and entropy bonus, and what they report."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from medgrpo.modules.objectives.divergence import divergence, k3_divergence
from medgrpo.modules.objectives.inputs import Denominators, LossInputs
from medgrpo.modules.objectives.objective import Objective
from medgrpo.modules.objectives.ratio import policy_ratio
from medgrpo.modules.objectives.reduction import masked_mean, reduce_loss
from medgrpo.modules.objectives.surrogate import clip_flags, surrogate_losses

__all__ = ["ObjectiveStatistics", "policy_loss"]


@dataclass(frozen=True)
class ObjectiveStatistics:
    """Detached scalars, means over the tokens that take part.

    With sequence ratios the first four are means over the answers that have such tokens.

    Attributes:
        clip_low: Share whose gradient the lower bound stops (negative advantage).
        clip_high: Share whose gradient the upper bound stops (positive advantage); for CISPO the share whose
            ratio is capped.
        clip_dual: Share whose gradient the dual clip stops (negative advantage); 0 without one.
        ratio: Mean probability ratio.
        old_kl: k3 estimate of the divergence from the policy that sampled, nats a token.
        ref_kl: The objective's estimate of that from the reference policy; 0 without one.
    """

    clip_low: torch.Tensor
    clip_high: torch.Tensor
    clip_dual: torch.Tensor
    ratio: torch.Tensor
    old_kl: torch.Tensor
    ref_kl: torch.Tensor


@torch.no_grad()
def _statistics(inputs: LossInputs, objective: Objective, ref_kl: torch.Tensor) -> ObjectiveStatistics:
    ratio = policy_ratio(inputs, objective.ratio)
    flags = clip_flags(inputs, objective)
    where = inputs.mask if objective.ratio == "token" else inputs.mask.any(1, keepdim=True)
    return ObjectiveStatistics(
        clip_low=masked_mean(flags.low.float(), where),
        clip_high=masked_mean(flags.high.float(), where),
        clip_dual=masked_mean(flags.dual.float(), where),
        ratio=masked_mean(ratio, where),
        old_kl=masked_mean(k3_divergence(inputs.old_logps, inputs.logps, inputs.mask), inputs.mask),
        ref_kl=ref_kl,
    )


def policy_loss(
    inputs: LossInputs, objective: Objective, denominators: Denominators
) -> tuple[torch.Tensor, ObjectiveStatistics]:
    """The loss of a micro-batch and its statistics.

    Args:
        inputs: Its answers.
        objective: What is optimised.
        denominators: Of the whole optimizer step.

    Returns:
        This micro-batch's share (see :func:`medgrpo.modules.objectives.reduce_loss`), and statistics of this
        micro-batch.

    Raises:
        ValueError: If a KL term is asked for without reference log-probabilities, or an entropy bonus without
            the entropy.
    """
    losses = surrogate_losses(inputs, objective)
    ref_kl = torch.zeros((), device=losses.device)
    if objective.kl_weight > 0:
        if inputs.ref_logps is None:
            raise ValueError("a KL term needs the reference policy's log-probabilities")
        distance = divergence(inputs.logps, inputs.ref_logps, inputs.mask, objective.kl_estimator)
        if objective.kl_importance:
            distance = distance * policy_ratio(inputs, objective.ratio)
        losses = losses + objective.kl_weight * distance
        ref_kl = masked_mean(distance.detach(), inputs.mask)
    loss = reduce_loss(losses, inputs.mask, objective.reduction, denominators)
    if objective.entropy_weight > 0:
        if inputs.entropy is None:
            raise ValueError("an entropy bonus needs the entropy of the policy in training")
        total = torch.where(inputs.mask, inputs.entropy, 0.0).sum()
        loss = loss - objective.entropy_weight * total / max(denominators.tokens, 1)
    return loss, _statistics(inputs, objective, ref_kl)

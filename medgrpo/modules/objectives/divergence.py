"""Schulman's estimates of the divergence between two policies from the tokens that one of them sampled."""

from __future__ import annotations

import torch

from medgrpo.modules.objectives.objective import KLEstimator

__all__ = ["divergence", "k1_divergence", "k2_divergence", "k3_divergence"]


def k1_divergence(logps: torch.Tensor, other: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The log-ratio: unbiased for KL(policy || other), of either sign.

    Its own gradient is 0 on average; as a term of a loss it needs the importance weight of
    :class:`medgrpo.modules.objectives.Objective`.

    Args:
        logps: ``[B, L]`` under the policy.
        other: ``[B, L]`` under the other one.
        mask: ``[B, L]`` bool.

    Returns:
        ``[B, L]`` nats, 0 outside the mask.
    """
    return torch.where(mask, logps - other, 0.0)


def k2_divergence(logps: torch.Tensor, other: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Half the squared log-ratio: biased, its gradient is that of KL(policy || other) on average.

    Arguments and result as in :func:`k1_divergence`; never negative.
    """
    return 0.5 * torch.where(mask, logps - other, 0.0).square()


def k3_divergence(logps: torch.Tensor, other: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Unbiased for KL(policy || other) and never negative.

    Arguments and result as in :func:`k1_divergence`.
    """
    difference = torch.where(mask, other - logps, 0.0)
    return difference.exp() - difference - 1.0


def divergence(
    logps: torch.Tensor, other: torch.Tensor, mask: torch.Tensor, estimator: KLEstimator
) -> torch.Tensor:
    """The estimate of that name, see :func:`k1_divergence`."""
    estimators = {"k1": k1_divergence, "k2": k2_divergence, "k3": k3_divergence}
    return estimators[estimator](logps, other, mask)

"""How much likelier the policy in training finds an answer than the policy that sampled it."""

from __future__ import annotations

import torch

from medgrpo.modules.objectives.inputs import LossInputs
from medgrpo.modules.objectives.objective import RatioLevel

__all__ = ["policy_ratio", "sequence_ratio", "token_ratio"]

# Far beyond any log-ratio that means something.
_BOUND = 20.0


def _log_ratio(inputs: LossInputs) -> torch.Tensor:
    # Chosen before exp: garbage outside the mask would become inf, and 0 * inf is NaN in the gradient.
    # For the same reason it is bounded where tokens do take part.
    return torch.where(inputs.mask, inputs.logps - inputs.old_logps, 0.0)


def token_ratio(inputs: LossInputs) -> torch.Tensor:
    """Probability ratio of each token, ``[B, L]``, 1 outside the mask."""
    return _log_ratio(inputs).clamp(-_BOUND, _BOUND).exp()


def sequence_ratio(inputs: LossInputs) -> torch.Tensor:
    """Geometric mean of the ratios of an answer's tokens, ``[B, 1]``, 1 for an answer without tokens."""
    lengths = inputs.mask.sum(1, keepdim=True).clamp(min=1)
    return (_log_ratio(inputs).sum(1, keepdim=True) / lengths).clamp(-_BOUND, _BOUND).exp()


def policy_ratio(inputs: LossInputs, level: RatioLevel) -> torch.Tensor:
    """The ratio at a level: ``[B, L]`` for tokens, ``[B, 1]`` for sequences."""
    return token_ratio(inputs) if level == "token" else sequence_ratio(inputs)

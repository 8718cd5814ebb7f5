"""What a loss is computed from: the answers of a micro-batch, and the sizes of its optimizer step."""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["Denominators", "LossInputs"]


@dataclass(frozen=True)
class LossInputs:
    """B answers, padded to length L.

    Attributes:
        logps: ``[B, L]`` log-probabilities under the policy in training, with gradient.
        old_logps: ``[B, L]`` under the policy that sampled.
        advantages: ``[B]``.
        mask: ``[B, L]`` bool, True at answer tokens that take part; whatever stands elsewhere is never read.
        ref_logps: ``[B, L]`` under the reference policy; only needed with a KL term.
        entropy: ``[B, L]`` of the distributions that the tokens were drawn from, nats, with gradient; only
            needed with an entropy bonus.
        importance: ``[B, L]`` or ``[B, 1]`` weights that correct for a rollout engine whose probabilities
            are not the trainer's; None for none.
    """

    logps: torch.Tensor
    old_logps: torch.Tensor
    advantages: torch.Tensor
    mask: torch.Tensor
    ref_logps: torch.Tensor | None = None
    entropy: torch.Tensor | None = None
    importance: torch.Tensor | None = None


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

"""Weights that correct for a rollout engine whose probabilities are not quite the trainer's.

Another kernel, another precision or merged adapters make the engine's distribution differ a little from the
one in training. Answers are then weighed by ``rho = p_trainer / p_engine``, bounded: the variance of a
product over hundreds of tokens is too large to be of use. Formulas as in TRL 1.16.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch

__all__ = ["EngineCorrection", "correction_weights"]

Level = Literal["token", "sequence"]
Bound = Literal["truncate", "mask"]


@dataclass(frozen=True)
class EngineCorrection:
    """How answers are weighed by the mismatch of engine and trainer.

    Attributes:
        level: One weight a ``token``, or one for the ``sequence``, the product of its tokens' weights.
        bound: Weights outside the bounds are moved to the nearer one (``truncate``), or become 0, which takes
            the token or the answer out of the loss (``mask``).
        high: Largest weight.
        low: Smallest weight; None for no bound.
    """

    level: Level = "token"
    bound: Bound = "truncate"
    high: float = 3.0
    low: float | None = None

    def __post_init__(self) -> None:
        for name, choices in (("level", Level), ("bound", Bound)):
            value, allowed = getattr(self, name), get_args(choices)
            if value not in allowed:
                raise ValueError(f"correction.{name}: {value!r} is none of {', '.join(allowed)}")
        if not 0 < self.high < float("inf"):
            raise ValueError(f"correction.high must be above 0, got {self.high}")
        if self.low is not None and not 0 <= self.low < self.high:
            raise ValueError(f"correction.low must be in [0, high), got {self.low} with high={self.high}")


@torch.no_grad()
def correction_weights(
    logps: torch.Tensor, engine_logps: torch.Tensor, mask: torch.Tensor, correction: EngineCorrection
) -> torch.Tensor:
    """The weights of a micro-batch.

    Args:
        logps: ``[B, L]`` under the trainer, with the weights that sampled.
        engine_logps: ``[B, L]`` as the engine reported them.
        mask: ``[B, L]`` bool, True at answer tokens.
        correction: How they are computed and bounded.

    Returns:
        ``[B, L]`` for tokens (1 outside the mask), ``[B, 1]`` for sequences; no gradient.
    """
    difference = torch.where(mask, logps - engine_logps, 0.0)
    if correction.level == "sequence":
        difference = difference.sum(1, keepdim=True)
    weights = difference.exp()
    low = 0.0 if correction.low is None else correction.low
    if correction.bound == "truncate":
        return weights.clamp(low, correction.high)
    return torch.where((weights >= low) & (weights <= correction.high), weights, 0.0)

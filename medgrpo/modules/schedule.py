"""Learning-rate schedules as pure functions of the optimizer step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

__all__ = ["Schedule"]


@dataclass(frozen=True)
class Schedule:
    """Linear warm-up, then constant or cosine.

    Attributes:
        warmup: Steps until the full rate.
        total: Steps of the whole run; the cosine ends there. Taken from the config, because asking the
            trainer for it would start a rollout before the model is wrapped.
        decay: ``none`` or ``cosine``.
        final: Factor at the end of the cosine.
    """

    warmup: int = 0
    total: int = 1000
    decay: Literal["none", "cosine"] = "none"
    final: float = 0.0

    def __call__(self, step: int) -> float:
        """Factor on the learning rate at an optimizer step, counted from 0."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        if self.decay == "none":
            return 1.0
        progress = min(1.0, (step - self.warmup) / max(1, self.total - self.warmup))
        return self.final + (1.0 - self.final) * 0.5 * (1.0 + math.cos(math.pi * progress))

"""What a rollout engine is: prompts in, n answers each out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from medgrpo.types import Completion

__all__ = ["RolloutEngine"]


class RolloutEngine(ABC):
    """Samples answers from the current policy.

    Attributes:
        needs_whole_weights: It forwards the training weights themselves, which must be whole on each rank.
    """

    needs_whole_weights: ClassVar[bool] = False

    @abstractmethod
    def bind(self, policy: Any, encoder: Any) -> None:
        """Take the policy to sample from and the encoder that made the prompts."""

    @abstractmethod
    def generate(
        self,
        prompts: Sequence[Any],
        *,
        n: int,
        max_new_tokens: Sequence[int] | int,
        temperature: float,
        seeds: Sequence[int],
        progress: Callable[[int], object] | None = None,
    ) -> list[list[Completion]]:
        """Sample ``n`` answers for each prompt.

        Args:
            prompts: ``EncodedPrompt`` objects of the bound encoder.
            n: Answers a prompt.
            max_new_tokens: Limit for all, or one a prompt.
            temperature: 0 is greedy.
            seeds: One a prompt, from 0 to 2**64 - 1; with the same policy they give the same answers.
            progress: Called with the number of prompts finished.

        Returns:
            ``n`` completions for each prompt, in order.
        """

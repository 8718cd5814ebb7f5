"""What a rollout engine is: prompts in, n answers each out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from medgrpo.types import Completion

if TYPE_CHECKING:
    from medgrpo.data.encode import EncodedPrompt

__all__ = ["RolloutEngine"]


class RolloutEngine(Protocol):
    """Samples answers from the current policy."""

    def bind(self, policy: Any, encoder: Any) -> None:
        """Take the policy to sample from and the encoder that made the prompts."""

    def generate(
        self,
        prompts: Sequence[EncodedPrompt],
        *,
        n: int,
        max_new_tokens: Sequence[int] | int,
        temperature: float,
        seed: int,
        progress: Callable[[int], object] | None = None,
    ) -> list[list[Completion]]:
        """Sample ``n`` answers for each prompt.

        Args:
            prompts: Encoded by the bound encoder.
            n: Answers a prompt.
            max_new_tokens: Limit for all, or one a prompt.
            temperature: 0 is greedy.
            seed: The same seed, policy and prompts give the same answers.
            progress: Called with the number of prompts finished.

        Returns:
            ``n`` completions for each prompt, in order.
        """
        ...

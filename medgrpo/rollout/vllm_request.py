"""What is asked of vLLM and what comes back, the same in this process and over HTTP; pure, without vLLM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from medgrpo.errors import UserError
from medgrpo.types import Completion

__all__ = ["check_request", "completion", "sampling_options"]

TEMPERATURES = (0.01, 2.0)
"""vLLM raises lower temperatures to the first, with a warning alone, and refuses those above the second."""


def check_request(
    engine: str, prompts: Sequence[Any], limits: Sequence[int], temperature: float, max_model_len: int
) -> None:
    """Refuse what vLLM would bend or reject.

    Args:
        engine: Its name, for messages.
        prompts: ``EncodedPrompt`` objects.
        limits: Longest answer to each, in tokens.
        temperature: 0 is greedy.
        max_model_len: Longest prompt with its answer.

    Raises:
        UserError: If vLLM cannot sample at the temperature, or a prompt with its answer is too long.
    """
    low, high = TEMPERATURES
    if temperature != 0 and not low <= temperature <= high:
        raise UserError(f"{engine}: the temperature is {temperature}; vLLM samples at 0 and {low} to {high}")
    for prompt, limit in zip(prompts, limits, strict=True):
        if len(prompt.ids) + limit > max_model_len:
            raise UserError(
                f"row {prompt.sample.row} ({prompt.sample.id}): {len(prompt.ids)} prompt tokens and an "
                f"answer of up to {limit} are more than max_model_len={max_model_len} of {engine}"
            )


def sampling_options(policy: Any, encoder: Any, n: int, limit: int, temperature: float) -> dict[str, Any]:
    """What an engine must know to sample from the policy's own distribution.

    Args:
        policy: Its banned ids are banned.
        encoder: Its end token ends answers.
        n: Answers.
        limit: Longest answer in tokens.
        temperature: 0 is greedy.
    """
    return {
        "n": n,
        "max_tokens": limit,
        "temperature": temperature,
        "stop_token_ids": [encoder.eos_token_id],
        "banned_ids": policy.banned_ids,
    }


def completion(encoder: Any, ids: Sequence[int], logps: Sequence[float]) -> Completion:
    """An answer from its tokens and their log-probabilities."""
    ended = ids[-1] == encoder.eos_token_id
    return Completion(encoder.decode(ids), tuple(ids), tuple(logps), "stop" if ended else "length")

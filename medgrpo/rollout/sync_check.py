"""Whether an engine answers from the trainer's weights: its log-probabilities against the trainer's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from medgrpo.errors import UserError
from medgrpo.types import Completion

__all__ = ["check_sync", "tolerance"]


def tolerance(policy: Any, engine_dtype: str) -> float:
    """The largest mean difference of log-probabilities that rounding explains, at temperature 1.

    float32 on a CPU agrees within 1e-5. Kernels of an accelerator may multiply float32 as TF32, with eleven
    bits of precision. bfloat16 has eight: trainer and engine differ by some hundredths of a nat, in which a
    lost hand-over hides until the weights have moved on for some rounds.

    Args:
        policy: The policy in training, under the precision it is trained with.
        engine_dtype: Of the engine's weights.
    """
    device = policy.device.type
    if "bfloat16" in (policy.dtype_name, engine_dtype) or torch.is_autocast_enabled(device):
        return 0.1
    return 1e-4 if device == "cpu" else 1e-2


@torch.no_grad()
def check_sync(
    policy: Any,
    encoder: Any,
    prompts: Sequence[Any],
    groups: Sequence[Sequence[Completion]],
    *,
    engine: str,
    temperature: float,
    limit: float,
) -> None:
    """End the run if answers did not come from the weights in training.

    The group that is cheapest to forward stands for all: weights are handed over whole.

    Args:
        policy: The policy in training, under the precision it is trained with.
        encoder: That made the prompts.
        prompts: One a group.
        groups: The answers, with the engine's log-probabilities.
        engine: Its name, for the message.
        temperature: At which the answers were sampled; 0 is greedy.
        limit: Largest mean difference a token at temperature 1, see :func:`tolerance`.

    Raises:
        UserError: If the trainer gives the answers other log-probabilities than the engine did.
    """
    chosen = min(range(len(prompts)), key=lambda index: len(prompts[index].ids))
    prompt, answers = prompts[chosen], groups[chosen]
    scale = temperature if temperature > 0 else 1.0
    batch = encoder.collate_groups([prompt], [[answer.token_ids for answer in answers]]).to(policy.device)
    training = policy.training
    policy.eval()
    try:
        ours = policy.logps(batch, scale)[batch.completion_mask].float().cpu()
    finally:
        policy.train(training)
    theirs = torch.tensor([logp for answer in answers for logp in answer.logps])
    # A low temperature stretches logits, and what they are rounded by.
    difference = float((ours - theirs).abs().mean()) * min(scale, 1.0)
    if not difference <= limit:
        raise UserError(
            f"{engine}: after the weights were handed over, its log-probabilities of the answers to row "
            f"{prompt.sample.row} ({prompt.sample.id}) differ from the trainer's by {difference:.2g} a "
            f"token, more than sync_tolerance={limit:g}: they came from other weights than those in training"
        )

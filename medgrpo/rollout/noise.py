"""The chance in sampling, as a pure function of (seed of the prompt, answer, token).

An answer then does not depend on which prompts are decoded beside it, in what order, or by which rank.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

__all__ = ["choose_tokens", "joint_seed", "uniforms"]


def uniforms(seeds: Sequence[int], n: int, tokens: int) -> torch.Tensor:
    """Numbers in [0, 1), one for each token of each answer.

    Args:
        seeds: One a prompt.
        n: Answers a prompt.
        tokens: Of an answer; the first ones do not depend on how many are asked for.

    Returns:
        ``[len(seeds) * n, tokens]`` float64.
    """
    # Philox is keyed: streams of different keys are independent, and none has to be skipped through.
    keys = (np.array([seed, answer], dtype=np.uint64) for seed in seeds for answer in range(n))
    numbers = [np.random.Generator(np.random.Philox(key=key)).random(tokens) for key in keys]
    return torch.from_numpy(np.array(numbers).reshape(len(seeds) * n, tokens))


def joint_seed(seeds: Sequence[int]) -> int:
    """One 32-bit seed from those of several prompts, for an engine that draws for all of them together."""
    return int(np.random.SeedSequence(list(seeds)).generate_state(1)[0])


def choose_tokens(logps: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """Sample by inverting the distribution function.

    Args:
        logps: ``[R, V]``, -inf for ids that are banned.
        uniform: ``[R]`` float64 in [0, 1).

    Returns:
        ``[R]`` ids, never a banned one.
    """
    # In float64: over a vocabulary of 150,000 single precision would move the edges of rare ids.
    edges = logps.double().exp().cumsum(-1)
    total = edges[:, -1]
    below = torch.nextafter(total, torch.zeros_like(total))
    target = torch.minimum(uniform * total, below)
    return torch.searchsorted(edges, target[:, None], right=True).squeeze(-1)

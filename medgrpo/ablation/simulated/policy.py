"""The simulated policy: one small network for all pairs, and as many of them side by side as there are seeds.

Every seed has its own weights; they are stacked, so that one tensor operation serves all seeds, and nothing
of one reaches another. An answer is up to three tokens: a format, a place and, in captions, a manner, drawn
from three categorical distributions. Pairs share all weights but a row of the first layer each, so they
compete for capacity and what is trained on some changes the others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from medgrpo.ablation.simulated.world import FEATURES, FORMATS, MANNERS, PLACES

__all__ = ["TOKENS", "Policies", "Questions", "sample", "token_logps"]

TOKENS = (len(FORMATS), PLACES, MANNERS)
"""Choices of the three tokens of an answer."""

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Questions:
    """Questions of S seeds, P each; all seeds are asked about the same pairs.

    Attributes:
        pair: ``[P]`` index of each question's pair.
        features: ``[S, P, FEATURES]``.
    """

    pair: Indices
    features: Floats


class Policies(torch.nn.Module):
    """The networks of S seeds.

    Args:
        seeds: Of the initial weights.
        pairs: How many there are.
        hidden: Units of each of the two hidden layers.
    """

    def __init__(self, seeds: Sequence[int], pairs: int, hidden: int) -> None:
        super().__init__()
        sizes = (pairs + FEATURES, hidden, hidden, sum(TOKENS))
        chances = [np.random.default_rng([seed, 2]) for seed in seeds]
        layers = []
        for inputs, outputs in pairwise(sizes):
            drawn = np.stack([chance.standard_normal((inputs, outputs)) for chance in chances])
            layers.append(torch.from_numpy(drawn / math.sqrt(inputs)).float())
        self.weights = torch.nn.ParameterList(layers)
        self.biases = torch.nn.ParameterList(torch.zeros(len(seeds), 1, size) for size in sizes[1:])
        self.pairs = pairs

    def forward(self, questions: Questions) -> list[torch.Tensor]:
        """Log-probabilities of each token's choices, three of ``[S, P, choices]``."""
        features = torch.from_numpy(questions.features).float()
        named = torch.nn.functional.one_hot(torch.from_numpy(questions.pair), self.pairs).float()
        x = torch.cat([named.expand(len(features), -1, -1), features], dim=2)
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, x if layer == 0 else torch.tanh(x), weight)
        return [part.log_softmax(dim=2) for part in x.split(TOKENS, dim=2)]


def token_logps(logps: Sequence[torch.Tensor], tokens: torch.Tensor) -> torch.Tensor:
    """Log-probabilities of answers' tokens, ``[S, P, G, 3]``.

    Args:
        logps: From :class:`Policies`.
        tokens: ``[S, P, G, 3]``.
    """
    return torch.stack([part.gather(2, tokens[..., i]) for i, part in enumerate(logps)], dim=3)


def sample(logps: Sequence[torch.Tensor], uniform: Floats) -> torch.Tensor:
    """Draw tokens at temperature 1 by inverting the distribution functions.

    Args:
        logps: From :class:`Policies`.
        uniform: ``[S, P, G, 3]`` in [0, 1).

    Returns:
        ``[S, P, G, 3]``.
    """
    drawn = torch.from_numpy(uniform).float()
    columns = []
    for i, part in enumerate(logps):
        reached = part.exp().cumsum(dim=2)
        inside = drawn[..., i].contiguous() * reached[..., -1:]  # rounding leaves the last a little off 1
        columns.append(torch.searchsorted(reached, inside, right=True).clamp(max=part.shape[2] - 1))
    return torch.stack(columns, dim=3)

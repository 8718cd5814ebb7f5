"""Who drives the policy gradient: the part of the squared advantage that each (dataset, task) has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medgrpo.types import PairKey

__all__ = ["shares", "spread"]


def shares(advantages: NDArray[np.float64], pairs: Sequence[PairKey]) -> dict[PairKey, float]:
    """The part of the squared advantage that each pair has, as if all had as many groups.

    Args:
        advantages: ``[P, G]``.
        pairs: P of them.
    """
    squares: dict[PairKey, list[float]] = defaultdict(list)
    for pair, group in zip(pairs, advantages, strict=True):
        squares[pair].append(float((group**2).mean()))
    means = {pair: float(np.mean(values)) for pair, values in sorted(squares.items())}
    total = sum(means.values())
    return {pair: value / total if total else 0.0 for pair, value in means.items()}


def spread(values: Sequence[float]) -> float:
    """The largest over the smallest; infinite where one is 0."""
    least = min(values)
    return max(values) / least if least > 0 else float("inf")

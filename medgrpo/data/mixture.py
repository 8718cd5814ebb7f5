"""How often each row is trained on: (dataset, task) pairs differ in size by orders of magnitude.

A pair of n rows gets a share proportional to ``n ** (1 / temperature)``: 1 keeps the sizes, infinity makes
all pairs equal, which is the usual temperature sampling of multi-task training. Explicit weights multiply a
pair's share.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from medgrpo.errors import UserError
from medgrpo.types import PairKey

__all__ = ["row_weights"]


def row_weights(
    pairs: Sequence[PairKey], temperature: float = 1.0, weights: Mapping[str, float] | None = None
) -> NDArray[np.float64]:
    """How often each row is expected in an epoch.

    Args:
        pairs: (dataset, task) of every row, ``[N]``.
        temperature: From 1 (as many rows as there are) to infinity (pairs are equal).
        weights: ``dataset/task``, ``dataset`` or ``task`` to a factor; the most specific one counts, pairs
            that none names have 1, and 0 leaves a pair out.

    Returns:
        float64 ``[N]`` with mean 1, so that an epoch stays as long as the file.

    Raises:
        UserError: If the temperature is below 1, a factor is negative or not finite, a name fits no pair, or
            nothing is left.
    """
    if not temperature >= 1.0:
        raise UserError(f"mixture temperature must be at least 1, got {temperature}")
    factors = dict(weights or {})
    counts = Counter(pairs)
    known = {name for dataset, task in counts for name in (f"{dataset}/{task}", dataset, task)}
    for name, factor in factors.items():
        if name not in known:
            raise UserError(f"mixture weight {name!r} fits no row; known are: {', '.join(sorted(known))}")
        if not (factor >= 0.0 and math.isfinite(factor)):
            raise UserError(f"mixture weight {name!r} must be 0 or more, got {factor}")
    shares = {}
    for (dataset, task), count in counts.items():
        named = (factors.get(name) for name in (f"{dataset}/{task}", dataset, task))
        factor = next((value for value in named if value is not None), 1.0)
        shares[dataset, task] = factor * count ** (1.0 / temperature)
    total = sum(shares.values())
    if counts and total == 0.0:
        raise UserError("the mixture weights leave no row to train on")
    return np.array([shares[pair] / total * len(pairs) / counts[pair] for pair in pairs])

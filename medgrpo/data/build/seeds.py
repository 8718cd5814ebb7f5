"""Chances of a build: each follows from the seed and from what it is about, not from what came before it."""

from __future__ import annotations

import hashlib

import numpy as np

__all__ = ["generator_of"]


def generator_of(seed: int, *about: str | int | float) -> np.random.Generator:
    """A generator of random numbers for one thing.

    Args:
        seed: Of the build.
        about: What names the thing, e.g. source, video and purpose.
    """
    text = "|".join([str(seed), *map(str, about)])
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big"))

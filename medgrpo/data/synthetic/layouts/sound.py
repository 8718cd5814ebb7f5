"""A voice that says nothing: sound with the rhythm of speech, for films that are explained."""

from __future__ import annotations

import numpy as np

from medgrpo.data.synthetic.layouts.film import SOUND_RATE

__all__ = ["murmur"]


def murmur(duration: float, seed: int) -> np.ndarray:
    """Sentences of vowels with pauses between them.

    Args:
        duration: Seconds.
        seed: Of pitch and rhythm.

    Returns:
        Samples at :data:`SOUND_RATE`, -1..1, float32 ``[S]``.
    """
    generator = np.random.default_rng([seed, 23])
    time = np.arange(round(duration * SOUND_RATE)) / SOUND_RATE
    pitch = generator.uniform(110, 200)
    voice = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 6))
    syllables = np.clip(np.sin(2 * np.pi * generator.uniform(3.5, 4.5) * time), 0, None)
    sentences = (time % generator.uniform(4, 6)) > 1.2
    return (0.3 * voice * syllables * sentences).astype(np.float32)

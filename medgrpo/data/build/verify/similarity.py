"""How alike the texts of two writers are: the cosine of their sentence embeddings.

Dense captions are compared event by event and averaged: their times and labels are the same in both and
would hide what differs. The numbers depend on the encoder, whose name goes with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from medgrpo.data.build.items import Draft, WrittenText

__all__ = ["Encoder", "Histogram", "parts_of", "similarities"]

BINS = 80
"""Of a histogram, over -1..1."""


class Encoder(Protocol):
    """What :class:`medgrpo.services.encoder.SentenceEncoder` offers."""

    @property
    def id(self) -> str:
        """Name that numbers are tied to."""
        ...

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors, ``[N, D]``."""
        ...


def parts_of(draft: Draft, written: WrittenText) -> tuple[str, ...]:
    """What of a text is compared, part by part."""
    return written.captions if draft.task == "dense_captioning" else (written.text,)


def similarities(encoder: Encoder, pairs: Sequence[tuple[Sequence[str], Sequence[str]]]) -> list[float]:
    """Mean cosine of the parts of two texts.

    Args:
        encoder: Embeds all parts in one call.
        pairs: The parts of each two texts, as many on either side.

    Returns:
        -1..1 each, to four decimals, so that the last digits of a machine decide nothing.
    """
    texts = sorted({part for pair in pairs for side in pair for part in side})
    if not texts:
        return [0.0 for _ in pairs]
    row = {text: k for k, text in enumerate(texts)}
    vectors = encoder.encode(texts).astype(np.float64)
    found = []
    for left, right in pairs:
        a, b = (vectors[[row[part] for part in side]] for side in (left, right))
        cosines = (a * b).sum(axis=1) if len(a) else np.zeros(1)
        found.append(round(float(np.clip(cosines.mean(), -1.0, 1.0)), 4))
    return found


@dataclass
class Histogram:
    """Counts of similarities in equal bins over -1..1, and enough for their mean.

    Attributes:
        counts: Of each bin.
        total: Sum of the values.
    """

    counts: list[int]
    total: float = 0.0

    @classmethod
    def empty(cls) -> Histogram:
        """Without a value."""
        return cls([0] * BINS)

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[min(BINS - 1, max(0, int((value + 1.0) / 2.0 * BINS)))] += 1
        self.total += value

    @property
    def n(self) -> int:
        """How many values."""
        return sum(self.counts)

    def table(self) -> Mapping[str, object]:
        """Ready for JSON: count, mean, and bins from their lower edge on."""
        width = 2.0 / BINS
        bins = [[round(k * width - 1.0, 4), count] for k, count in enumerate(self.counts) if count]
        return {"n": self.n, "mean": round(self.total / self.n, 4) if self.n else None, "bins": bins}

"""Semantic similarity to the reference as a reward."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medgrpo.rewards.component import MetricSpec, RawScore, RewardComponent, reference_of, wordless
from medgrpo.services.encoder import SentenceEncoder
from medgrpo.tasks import Parsed
from medgrpo.types import Sample

__all__ = ["SimilarityReward"]


class SimilarityReward(RewardComponent):
    """Cosine of sentence embeddings, from -1 to 1 as it is; an answer without a letter gets 0.

    Blind to what clinicians care about: "the tool grasps tissue" is close to "the grasper dissects the cystic
    duct". The judge is there for that.

    Args:
        tasks: Canonical task to weight.
        encoder: Embeds the texts; the packaged all-MiniLM-L6-v2 by default.
    """

    def __init__(self, tasks: dict[str, float], encoder: SentenceEncoder | None = None) -> None:
        super().__init__(tasks)
        self.encoder = encoder or SentenceEncoder()

    def metric(self, task: str) -> MetricSpec:
        """Cosine under this encoder, the same for all tasks."""
        del task
        return MetricSpec(f"similarity:{self.encoder.id}@1", -1.0, 1.0)

    def score(
        self, samples: Sequence[Sample], texts: Sequence[str], parsed: Sequence[Parsed]
    ) -> list[RawScore]:
        """See :meth:`RewardComponent.score`."""
        del parsed
        references = [reference_of(sample) for sample in samples]
        kept = [i for i, text in enumerate(texts) if not wordless(text)]
        scores = [RawScore(0.0, "gated")] * len(texts)
        if not kept:
            return scores
        vectors = self.encoder.encode(
            [texts[i].strip() for i in kept] + [references[i].strip() for i in kept]
        )
        cosines = np.einsum("nd,nd->n", vectors[: len(kept)], vectors[len(kept) :], dtype=np.float64)
        for i, cosine in zip(kept, np.clip(cosines, -1.0, 1.0), strict=True):
            scores[i] = RawScore(float(cosine))
        return scores

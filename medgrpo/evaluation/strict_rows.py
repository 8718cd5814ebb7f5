"""One row under the strict protocol, and what scores captions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medgrpo.errors import UserError
from medgrpo.evaluation.official.captions import CaptionJudge, CaptionPair, Encoder
from medgrpo.tasks import Parsed
from medgrpo.types import Sample

__all__ = ["CaptionScorer", "ScoredRow", "caption_scorer"]

CaptionScorer = Callable[[Sequence[Sample], Sequence[str]], Sequence[Mapping[str, float]]]
"""For each free-text answer its scores: ``similarity`` in [0, 1] and, with a judge, ``judge`` in 1..5."""


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """A sample with what the model answered and how it scored.

    Attributes:
        sample: The question.
        parsed: The answer as read.
        truth: The reference structure.
        score: The strict metric in [0, 1]; for captions the similarity, None if it was not computed.
        extra: Further scores of the row, such as ``judge``.
    """

    sample: Sample
    parsed: Parsed
    truth: Any
    score: float | None
    extra: Mapping[str, float]


def caption_scorer(encoder: Encoder, judge: CaptionJudge | None = None) -> CaptionScorer:
    """Similarity by sentence embeddings and, if given, a judge; an empty answer has the minimum of both.

    Args:
        encoder: Sentence embeddings.
        judge: Scores pairs of reference and answer.

    Returns:
        A scorer, which raises a ``UserError`` if a judge call fails: a failed judgement is not a score.
    """

    def score(samples: Sequence[Sample], texts: Sequence[str]) -> list[dict[str, float]]:
        references = [sample.answer or "" for sample in samples]
        cosines = (encoder.encode(references) * encoder.encode(list(texts))).sum(axis=1)
        scores = [
            {"similarity": min(1.0, max(0.0, float(c))) if text.strip() else 0.0}
            for c, text in zip(cosines, texts, strict=True)
        ]
        if judge is None:
            return scores
        asked = [i for i, text in enumerate(texts) if text.strip()]
        pairs = [
            CaptionPair(s.question, s.answer or "", texts[i], s.dataset, s.qa_type)
            for i, s in ((i, samples[i]) for i in asked)
        ]
        judged = dict(zip(asked, judge(pairs), strict=True))
        for i, entry in enumerate(scores):
            given = judged.get(i) if i in judged else {"empty": 1.0}
            if not given:
                raise UserError(
                    f"row {samples[i].row} ({samples[i].id}): "
                    "the judge gave no score, and strict scoring needs all of them"
                )
            entry["judge"] = sum(given.values()) / len(given)
        return scores

    return score

"""VS_llm and RC_llm as the leaderboard computes them, and the judged pairs that DVC_llm shares.

A judge gives each (reference, answer) pair five scores of 1 to 5. Pairs with an empty side and failed
calls are left out; the column is the mean over aspects of the mean over pairs. Where every call fails,
the official column silently becomes the sentence encoder's cosine, on another scale; so it does here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from medgrpo.evaluation.official.rows import OfficialRow, TaskResult
from medgrpo.types import Sample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["CaptionJudge", "CaptionPair", "Encoder", "JudgedPairs", "score"]


class Encoder(Protocol):
    """Sentence embeddings, see :class:`medgrpo.services.encoder.SentenceEncoder`."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Normalised embeddings, shape ``[len(texts), D]``."""


@dataclass(frozen=True, slots=True)
class CaptionPair:
    """What a judge compares."""

    question: str
    reference: str
    candidate: str
    dataset: str
    task: str

    @classmethod
    def of(cls, row: OfficialRow, reference: str, candidate: str) -> CaptionPair:
        """A pair of a row's question."""
        return cls(row.question, reference, candidate, row.source, row.qa_type)

    @classmethod
    def of_sample(cls, sample: Sample, reference: str, candidate: str) -> CaptionPair:
        """A pair of a sample's question."""
        return cls(sample.question, reference, candidate, sample.dataset, sample.qa_type)


CaptionJudge = Callable[[Sequence[CaptionPair]], Sequence[Mapping[str, float] | None]]
"""Scores of 1 to 5 by aspect for each pair, None for a failed call."""


class JudgedPairs:
    """Judge results by pair: each distinct pair is judged once."""

    def __init__(self, judge: CaptionJudge, pairs: Sequence[CaptionPair]) -> None:
        distinct = list(dict.fromkeys(pairs))
        self._scores = dict(zip(distinct, judge(distinct), strict=True)) if distinct else {}

    @property
    def counts(self) -> tuple[int, int]:
        """Distinct pairs, and those whose call failed."""
        return len(self._scores), sum(scores is None for scores in self._scores.values())

    def of(self, pair: CaptionPair) -> Mapping[str, float] | None:
        """Scores of one pair, None if its call failed."""
        return self._scores[pair]

    def mean(self, pairs: Sequence[CaptionPair]) -> float | None:
        """Mean over aspects of the mean over successful pairs; None if none succeeded."""
        given = [scores for pair in pairs if (scores := self._scores[pair]) is not None]
        if not given:
            return None
        aspects = [sum(scores[aspect] for scores in given) / len(given) for aspect in given[0]]
        return sum(aspects) / len(aspects)


def score(
    rows: Sequence[OfficialRow], column: str, judged: JudgedPairs | None, encoder: Encoder | None
) -> TaskResult:
    """A caption column; None without a judge."""
    pairs = [
        CaptionPair.of(r, r.reference, r.prediction) if r.reference and r.prediction else None for r in rows
    ]
    if judged is None or not rows:
        return TaskResult([None] * len(rows), {column: None})
    values: list[float | None] = []
    for pair in pairs:
        scores = judged.of(pair) if pair is not None else None
        values.append(sum(scores.values()) / len(scores) if scores else None)
    given = [pair for pair in pairs if pair is not None]
    mean = judged.mean(given)
    if mean is None and given and encoder is not None:
        left, right = (
            encoder.encode([p.reference for p in given]),
            encoder.encode([p.candidate for p in given]),
        )
        mean = float((left * right).sum(axis=1).mean())
    return TaskResult(values, {column: mean if mean is not None else 0.0})

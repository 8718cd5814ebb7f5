"""A judge's opinion as a reward."""

from __future__ import annotations

import math
from collections.abc import Sequence

from medgrpo.rewards.component import MetricSpec, RawScore, RewardComponent, reference_of
from medgrpo.rewards.judges.base import Judge, JudgeRequest
from medgrpo.rewards.judges.lexicon import LexiconJudge
from medgrpo.tasks import Parsed
from medgrpo.types import Sample

__all__ = ["JudgeReward"]


class JudgeReward(RewardComponent):
    """Mean over a rubric's dimensions, from 1 to 5; NaN with the judge's status where it failed.

    A judgement with a score outside 1 to 5 is a failed one, with status ``schema``.

    Args:
        tasks: Canonical task to weight.
        judge: Who judges; the offline lexicon judge by default.
    """

    def __init__(self, tasks: dict[str, float], judge: Judge | None = None) -> None:
        super().__init__(tasks)
        self.judge = judge or LexiconJudge()

    def metric(self, task: str) -> MetricSpec:
        """The mean score under this judge and rubric, the same for all tasks."""
        del task
        return MetricSpec(f"judge:{self.judge.id}:{self.judge.rubric.name}", 1.0, 5.0)

    def score(
        self, samples: Sequence[Sample], texts: Sequence[str], parsed: Sequence[Parsed]
    ) -> list[RawScore]:
        """See :meth:`RewardComponent.score`."""
        del parsed
        requests = [
            JudgeRequest(s.question, reference_of(s), text, s.dataset, s.task)
            for s, text in zip(samples, texts, strict=True)
        ]
        scores = []
        for judgement in self.judge.judge(requests):
            in_range = all(1.0 <= score <= 5.0 for score in judgement.scores.values())
            usable = judgement.status in ("ok", "gated") and math.isfinite(judgement.mean) and in_range
            status = judgement.status if usable or judgement.status not in ("ok", "gated") else "schema"
            scores.append(RawScore(judgement.mean if usable else math.nan, status, judgement=judgement))
        return scores

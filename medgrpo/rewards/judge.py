"""A judge's opinion as a reward."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

from medgrpo.rewards.component import MetricSpec, RawScore, RewardComponent, reference_of
from medgrpo.rewards.judges.base import Judge, JudgeRequest
from medgrpo.rewards.judges.canaries import Canaries, CanaryReport
from medgrpo.rewards.judges.gates import gated
from medgrpo.rewards.judges.lexicon import LexiconJudge
from medgrpo.tasks import Parsed
from medgrpo.types import Judgement, Sample

__all__ = ["JudgeReward"]

_log = logging.getLogger(__name__)


class JudgeReward(RewardComponent):
    """Mean over a rubric's dimensions, from 1 to 5; NaN with the judge's status where it failed.

    A judgement with a score outside 1 to 5 is a failed one, with status ``schema``. An answer without the
    form that its task asks for gets the lowest score unasked.

    Args:
        tasks: Canonical task to weight.
        judge: Who judges; the offline lexicon judge by default.
        canaries: Answers of known worth that are judged along; None sends none.
    """

    def __init__(
        self, tasks: dict[str, float], judge: Judge | None = None, canaries: Canaries | None = None
    ) -> None:
        super().__init__(tasks)
        self.judge = judge or LexiconJudge()
        self.canaries = canaries
        self._reports: list[CanaryReport] = []

    def metric(self, task: str) -> MetricSpec:
        """The mean score under this judge and rubric, the same for all tasks."""
        del task
        return MetricSpec(f"judge:{self.judge.id}:{self.judge.rubric.name}", 1.0, 5.0)

    def score(
        self, samples: Sequence[Sample], texts: Sequence[str], parsed: Sequence[Parsed]
    ) -> list[RawScore]:
        """See :meth:`RewardComponent.score`."""
        asked = [i for i, found in enumerate(parsed) if found.status != "failed"]
        requests = [
            JudgeRequest(samples[i].question, reference, texts[i], samples[i].dataset, samples[i].task)
            for i, reference in ((i, reference_of(samples[i])) for i in asked)
        ]
        answered = self.judge.judge(requests) if self.canaries is None else self._judge_with(requests)
        formless = gated(self.judge.id, self.judge.rubric, "The answer has not the form that was asked for.")
        judgements = [formless] * len(samples)
        for i, judgement in zip(asked, answered, strict=True):
            judgements[i] = judgement
        scores = []
        for judgement in judgements:
            in_range = all(1.0 <= score <= 5.0 for score in judgement.scores.values())
            usable = judgement.status in ("ok", "gated") and math.isfinite(judgement.mean) and in_range
            status = judgement.status if usable or judgement.status not in ("ok", "gated") else "schema"
            scores.append(RawScore(judgement.mean if usable else math.nan, status, judgement=judgement))
        return scores

    def diagnostics(self) -> dict[str, float]:
        """``canary_auc``, ``canary_good``, ``canary_bad`` since the last call, where canaries were sent."""
        reports, self._reports = self._reports, []
        numbers = {
            "canary_auc": [report.auc for report in reports],
            "canary_good": [report.good for report in reports],
            "canary_bad": [report.bad for report in reports],
        }
        finite = {name: [v for v in values if math.isfinite(v)] for name, values in numbers.items()}
        return {name: math.fsum(values) / len(values) for name, values in finite.items() if values}

    def _judge_with(self, requests: list[JudgeRequest]) -> list[Judgement]:
        """Judge requests and canaries in one call, and look at the latter."""
        assert self.canaries is not None
        good, bad = self.canaries.requests(requests)
        judgements = self.judge.judge([*requests, *good, *bad])
        own, rest = judgements[: len(requests)], judgements[len(requests) :]
        report = self.canaries.report(rest[: len(good)], rest[len(good) :])
        self._reports.append(report)
        if report.auc < self.canaries.min_auc:
            _log.warning(
                "judge %s no longer tells good from bad: references score %.2f and worthless answers %.2f "
                "(AUC %.2f, below %.2f)",
                *(self.judge.id, report.good, report.bad, report.auc, self.canaries.min_auc),
            )
        return own

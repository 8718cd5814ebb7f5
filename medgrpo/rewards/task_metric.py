"""The task's own strict metric as a reward."""

from __future__ import annotations

from collections.abc import Sequence

from medgrpo.errors import UserError
from medgrpo.rewards.component import MetricSpec, RawScore, RewardComponent
from medgrpo.tasks import Parsed, get_task
from medgrpo.types import Sample

__all__ = ["TaskMetricReward"]


class TaskMetricReward(RewardComponent):
    """IoU-like, exact or ordinal accuracy, whatever the task defines.

    For localisation tasks the normalised accuracy is multiplied by the validity of the format: 0 for an
    answer without a structure, 1 for the published format and for one that the parser could repair (the
    repair is kept in the parse status).

    Args:
        tasks: Canonical task to weight.
    """

    def __init__(self, tasks: dict[str, float]) -> None:
        super().__init__(tasks)
        for task in tasks:
            if get_task(task).metric is None:
                raise UserError(
                    f"TaskMetricReward.tasks: {task} answers are free text and have no metric; "
                    "use SimilarityReward or JudgeReward"
                )

    def metric(self, task: str) -> MetricSpec:
        """The task's metric."""
        definition = get_task(task)
        if definition.metric is None:
            raise UserError(f"{task} has no metric")
        return MetricSpec(definition.metric, *definition.metric_range)

    def score(
        self, samples: Sequence[Sample], texts: Sequence[str], parsed: Sequence[Parsed]
    ) -> list[RawScore]:
        """See :meth:`RewardComponent.score`."""
        del texts
        scores = []
        for sample, found in zip(samples, parsed, strict=True):
            task = get_task(sample.task)
            validity = float(found.status != "failed") if task.localisation else None
            scores.append(RawScore(float(task.score(found, sample)), format=validity))
        return scores

"""What every reward component offers: raw values of a metric, for the tasks that it is routed to."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medgrpo.errors import UserError
from medgrpo.tasks import TASKS, Parsed
from medgrpo.types import Judgement, PairKey, Sample

__all__ = ["MetricSpec", "RawScore", "RewardComponent", "reference_of", "wordless"]


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """A metric and its bounds.

    Attributes:
        name: Versioned; statistics are tied to it.
        low: Lower bound.
        high: Upper bound.
    """

    name: str
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class RawScore:
    """What a component makes of one answer.

    Attributes:
        value: In the metric's unit; NaN if it could not be had.
        status: ``ok``, ``gated`` (worthless by rule, with a value) or why there is no value.
        format: Format validity, 0 or 1, that multiplies the normalised value; None where it does not.
        judgement: What a judge said.
    """

    value: float
    status: str = "ok"
    format: float | None = None
    judgement: Judgement | None = None


class RewardComponent(ABC):
    """One part of a reward.

    Args:
        tasks: Canonical task to weight in that task's mix. A task that is not named does not use the
            component; weights are shares among the components of a task, 0.5 and 0.5 equal 1 and 1.
    """

    def __init__(self, tasks: dict[str, float]) -> None:
        for task, weight in tasks.items():
            if task not in TASKS:
                raise UserError(
                    f"{type(self).__name__}.tasks: unknown task {task!r}; known are: {', '.join(TASKS)}"
                )
            if not (math.isfinite(weight) and weight > 0):
                raise UserError(
                    f"{type(self).__name__}.tasks: the weight of {task} must be positive, got {weight}; "
                    "leave the task out to switch the component off"
                )
        self.tasks = dict(tasks)

    @abstractmethod
    def metric(self, task: str) -> MetricSpec:
        """The metric that scores a task."""

    @abstractmethod
    def score(
        self, samples: Sequence[Sample], texts: Sequence[str], parsed: Sequence[Parsed]
    ) -> list[RawScore]:
        """Score answers.

        Args:
            samples: The question of each answer, all of tasks in :attr:`tasks`.
            texts: The answers.
            parsed: What the tasks' parsers found in them.

        Raises:
            UserError: If a sample has no reference.
        """

    def observe(self, scores: Sequence[tuple[PairKey, float]]) -> None:
        """See a round's raw values, those of all ranks, after they were scored; most components do not care.

        Args:
            scores: (dataset, task) and finite raw value of each answer.
        """
        del scores

    def diagnostics(self) -> dict[str, float]:
        """What the component noticed about itself since the last call, for the logs of a round."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """What later scores depend on; empty for most components."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with a state."""
        del state


def reference_of(sample: Sample) -> str:
    """The reference answer.

    Raises:
        UserError: If there is none.
    """
    if sample.answer is None or not sample.answer.strip():
        raise UserError(f"row {sample.row} ({sample.id}): no reference answer to compare an answer with")
    return sample.answer


def wordless(text: str) -> bool:
    """Whether a text holds no letter, so that no comparison can be deserved."""
    return not any(c.isalpha() for c in text)

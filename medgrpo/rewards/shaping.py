"""Rewards for localisation that is hard and sparse: a signal before the first hit.

Where hardly any answer meets the truth, IoU is 0 for whole groups and no normalizer can make an advantage of
that. :class:`ClosenessReward` tells near misses from far ones; :class:`TighteningReward` asks for a low IoU
at first and for more as the policy improves.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from typing import Any

from medgrpo.errors import UserError
from medgrpo.rewards.component import MetricSpec, RawScore, RewardComponent
from medgrpo.tasks import Parsed, get_task
from medgrpo.tasks.closeness import Closeness, GeneralisedIoU
from medgrpo.types import PairKey, Sample

__all__ = ["ClosenessReward", "TighteningReward"]


def _localised(component: RewardComponent) -> None:
    for task in component.tasks:
        if not get_task(task).localisation:
            raise UserError(
                f"{type(component).__name__}.tasks: {task} answers hold no times or boxes to be near to"
            )


class ClosenessReward(RewardComponent):
    """How near the answered spans or boxes are to the true ones, hit or not.

    Beside the task's metric it shapes, alone it replaces it. An answer without a structure is worth nothing:
    the normalised value is multiplied by the validity of the format, as for the task's metric.

    Args:
        tasks: Canonical localisation task to weight.
        measure: Generalised IoU by default.

    Raises:
        UserError: If a task is no localisation task.
    """

    def __init__(self, tasks: dict[str, float], measure: Closeness | None = None) -> None:
        super().__init__(tasks)
        _localised(self)
        self.measure = measure if measure is not None else GeneralisedIoU()

    def metric(self, task: str) -> MetricSpec:
        """The measure over a task's extents."""
        return MetricSpec(f"{task}_{self.measure.name}@1", 0.0, 1.0)

    def score(
        self, samples: Sequence[Sample], texts: Sequence[str], parsed: Sequence[Parsed]
    ) -> list[RawScore]:
        """See :meth:`RewardComponent.score`."""
        del texts
        scores = []
        for sample, found in zip(samples, parsed, strict=True):
            task = get_task(sample.task)
            truth = task.truth(sample)
            if truth is None:
                raise UserError(
                    f"row {sample.row} ({sample.id}): no ground truth to score a {task.name} answer"
                )
            if found.status == "failed":
                scores.append(RawScore(0.0, format=0.0))
            else:
                scores.append(RawScore(task.closeness(found.value, truth, sample, self.measure), format=1.0))
        return scores


class TighteningReward(RewardComponent):
    """1 for an answer whose task metric reaches a threshold that rises with the policy, 0 below it.

    After MedLoc-R1 (arXiv 2603.28120): each (dataset, task) begins at the first level; when its last
    ``window`` answers are there and at least the share ``ready`` of them reached the level, the next level
    holds and the window begins anew. The level never falls. The statistics that ``baseline`` measures are
    those of the first level.

    Args:
        tasks: Canonical localisation task to weight.
        levels: Thresholds on the task's metric, rising, in (0, 1].
        window: Answers of a (dataset, task), all ranks together, that are looked back on.
        ready: Share of them that must have reached the level.

    Raises:
        UserError: If a task is no localisation task or a number is out of range.
    """

    def __init__(
        self,
        tasks: dict[str, float],
        levels: tuple[float, ...] = (0.1, 0.3, 0.5, 0.7),
        window: int = 256,
        ready: float = 0.5,
    ) -> None:
        super().__init__(tasks)
        _localised(self)
        if not levels or list(levels) != sorted(set(levels)) or levels[0] <= 0.0 or levels[-1] > 1.0:
            raise UserError(f"TighteningReward.levels must rise within (0, 1], got {list(levels)}")
        if window < 1:
            raise UserError(f"TighteningReward.window must be at least 1, got {window}")
        if not 0.0 < ready <= 1.0:
            raise UserError(f"TighteningReward.ready must be in (0, 1], got {ready}")
        self.levels = tuple(levels)
        self.window = window
        self.ready = ready
        self._level: dict[PairKey, int] = defaultdict(int)
        self._recent: dict[PairKey, deque[float]] = defaultdict(lambda: deque(maxlen=window))

    def metric(self, task: str) -> MetricSpec:
        """Whether the task's metric reaches the level of the moment."""
        return MetricSpec(f"{get_task(task).metric}_reached", 0.0, 1.0)

    def threshold(self, pair: PairKey) -> float:
        """The level that holds for a (dataset, task)."""
        return self.levels[self._level.get(pair, 0)]

    def score(
        self, samples: Sequence[Sample], texts: Sequence[str], parsed: Sequence[Parsed]
    ) -> list[RawScore]:
        """See :meth:`RewardComponent.score`."""
        del texts
        return [
            RawScore(
                float(get_task(sample.task).score(found, sample) >= self.threshold(sample.pair)),
                format=float(found.status != "failed"),
            )
            for sample, found in zip(samples, parsed, strict=True)
        ]

    def observe(self, scores: Sequence[tuple[PairKey, float]]) -> None:
        """Look back on a round's answers, and tighten where they are good enough."""
        for pair, reached in scores:
            self._recent[pair].append(reached)
        for pair in dict.fromkeys(pair for pair, _ in scores):
            recent = self._recent[pair]
            last = self._level[pair] == len(self.levels) - 1
            if not last and len(recent) == self.window and sum(recent) >= self.ready * self.window:
                self._level[pair] += 1
                recent.clear()

    def state_dict(self) -> dict[str, Any]:
        """Levels and windows, by pair."""
        return {
            "levels": dict(self._level),
            "recent": {pair: list(values) for pair, values in self._recent.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with them."""
        self._level.clear()
        self._level.update(state["levels"])
        self._recent.clear()
        for pair, values in state["recent"].items():
            self._recent[pair].extend(values)

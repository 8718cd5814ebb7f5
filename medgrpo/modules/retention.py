"""What the policy still knows: greedy answers to held-out rows of all tasks, against those of the start."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from medgrpo.data.distributed import gather_objects
from medgrpo.rollout.metrics import finite_mean, pair_prefix, tag
from medgrpo.types import PairKey

__all__ = ["Retention"]


class Retention:
    """Gathers the raw metrics of one look at the held-out rows, and compares them with the first look.

    Attributes:
        start: Numbers of the policy that training began with; empty if it was not asked about all rows.
    """

    def __init__(self) -> None:
        self.start: dict[str, float] = {}
        self._answers: list[tuple[PairKey, dict[str, float]]] = []

    def add(self, pairs: Sequence[PairKey], metrics: Sequence[Mapping[str, float]]) -> None:
        """Take answers.

        Args:
            pairs: (dataset, task) of each.
            metrics: Of each, raw value by metric; NaN where it failed.
        """
        self._answers += zip(pairs, map(dict, metrics), strict=True)

    def close(self, ranges: Mapping[str, tuple[float, float]]) -> dict[str, float]:
        """Numbers over the answers of all ranks, which all call it, then forget them.

        Args:
            ranges: Bounds of every metric.

        Returns:
            ``val/<dataset>/<task>/<metric>`` and ``.../failed_share``; ``val/score``, the mean over pairs of
            the mean over their metrics, each from 0 at its lower to 1 at its upper bound; and, where the
            start is known, ``..._change`` of the metrics and the score since then.
        """
        answers = [answer for rank in gather_objects(self._answers) for answer in rank]
        self._answers = []
        values: dict[PairKey, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for pair, metrics in answers:
            for metric, value in metrics.items():
                values[pair][metric].append(value)
        numbers: dict[str, float] = {}
        scores = []
        for pair, by_metric in sorted(values.items()):
            prefix = pair_prefix(pair, "val")
            failed = [not math.isfinite(value) for every in by_metric.values() for value in every]
            means = {metric: finite_mean(every) for metric, every in by_metric.items()}
            numbers |= {f"{prefix}/{tag(metric)}": mean for metric, mean in means.items()}
            numbers[f"{prefix}/failed_share"] = sum(failed) / len(failed)
            scores.append(finite_mean([_scaled(mean, *ranges[metric]) for metric, mean in means.items()]))
        numbers["val/score"] = finite_mean(scores)
        changes = {
            f"{name}_change": value - self.start[name]
            for name, value in numbers.items()
            if name in self.start and not name.endswith("/failed_share")
        }
        return numbers | changes


def _scaled(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low)

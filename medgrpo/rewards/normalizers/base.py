"""What every normalizer offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from medgrpo.errors import UserError
from medgrpo.rewards.statistics import MetricStatistics, Statistics
from medgrpo.types import PairKey

__all__ = ["NormalisedValue", "Normalizer", "Observation"]

Observation = tuple[PairKey, str, float]
"""A pair, a metric and a raw value."""


@dataclass(frozen=True, slots=True)
class NormalisedValue:
    """A normalised value and what it was made with.

    Attributes:
        value: NaN if the raw value was NaN.
        name: Of the normalizer.
        p25: First quartile used; None when none is used. So for p50, p75.
        p50: Median used.
        p75: Third quartile used.
        k: Slope used.
    """

    value: float
    name: str
    p25: float | None = None
    p50: float | None = None
    p75: float | None = None
    k: float | None = None


class Normalizer(ABC):
    """Maps raw values, monotonically, pair by pair.

    Args:
        unknown: A pair or metric without statistics is an ``error``, or is normalised by the ``pooled``
            quantiles of all pairs that have the metric.

    Attributes:
        name: Kept with every rollout.
        needs_statistics: Whether :meth:`bind` must be called before use.
    """

    name: ClassVar[str]
    needs_statistics: ClassVar[bool] = True
    _statistics: Statistics | None = None

    def __init__(self, unknown: Literal["error", "pooled"] = "error") -> None:
        if unknown not in ("error", "pooled"):
            raise UserError(f"{type(self).__name__}: unknown must be error or pooled, got {unknown!r}")
        self.unknown = unknown
        self._pooled: dict[tuple[PairKey, str], MetricStatistics] = {}

    def bind(self, statistics: Statistics | None) -> Normalizer:
        """Use these statistics from now on; returns itself.

        Raises:
            UserError: If there are none and this normalizer needs them.
        """
        if statistics is None and self.needs_statistics:
            raise UserError(
                f"{type(self).__name__} needs statistics: set reward.init_args.statistics to the file that "
                "the baseline command wrote"
            )
        self._statistics = statistics
        self._pooled.clear()
        return self

    @abstractmethod
    def normalise(self, raw: float, pair: PairKey, metric: str) -> NormalisedValue:
        """Normalise one value.

        Args:
            raw: The metric in its own unit; NaN stays NaN.
            pair: (dataset, task).
            metric: Versioned metric name.

        Raises:
            UserError: If the statistics do not hold the pair or the metric.
        """

    @abstractmethod
    def floor(self, pair: PairKey, metric: str, low: float) -> float:
        """The least value that an answer can get: what an invalid format is worth.

        Args:
            pair: (dataset, task).
            metric: Versioned metric name.
            low: Lower bound of the metric.
        """

    def observe(self, observations: Sequence[Observation]) -> None:
        """See what a round scored, on all ranks alike; a normalizer without a state does nothing.

        Args:
            observations: Of all ranks.
        """
        del observations

    def state_dict(self) -> dict[str, Any]:
        """What must be kept to go on after a restart; empty where there is no state."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`."""
        del state

    def _entry(self, pair: PairKey, metric: str) -> MetricStatistics:
        if self._statistics is None:
            self.bind(None)
        assert self._statistics is not None
        if self.unknown == "pooled" and metric not in self._statistics.entries.get(pair, ()):
            if (pair, metric) not in self._pooled:
                self._pooled[pair, metric] = self._statistics.pooled(metric, pair)
            return self._pooled[pair, metric]
        return self._statistics.get(pair, metric)

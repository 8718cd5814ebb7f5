"""The paper's logistic around quartiles that follow the policy, slowly and alike on all ranks."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from medgrpo.errors import UserError
from medgrpo.rewards.normalizers.base import Observation
from medgrpo.rewards.normalizers.logistic import LogisticNormalizer
from medgrpo.rewards.statistics import summarise
from medgrpo.types import PairKey

__all__ = ["AdaptiveLogisticNormalizer"]


class AdaptiveLogisticNormalizer(LogisticNormalizer):
    """``sigmoid(k (x - p50) / scale)`` with median, quartiles and scale over the last answers of a pair.

    Starts from the checkpoint's statistics. After each round the quantiles of the window pull the values in
    use towards them, at most so far: the median by ``max_shift`` of the scale, the scale by a factor of
    ``1 + max_shift``, so that a reward means nearly the same from one round to the next. While a window holds
    fewer than ``min_samples`` values nothing moves. Where the window's values are constant or of two kinds,
    the median follows and the scale stays: no spread can be told from them.

    Args:
        k: Slope.
        window: Answers of a (dataset, task, metric) that count; older ones are forgotten.
        min_samples: Below so many the values in use stay.
        max_shift: Per round, as a share of the scale.
        unknown: A pair or metric without statistics is an ``error``, or is normalised by the ``pooled``
            quantiles of all pairs with that metric, weighted alike.
    """

    name: ClassVar[str] = "adaptive_logistic"

    def __init__(
        self,
        k: float = 3.0,
        window: int = 2000,
        min_samples: int = 200,
        max_shift: float = 0.05,
        unknown: Literal["error", "pooled"] = "error",
    ) -> None:
        super().__init__(k, unknown)
        if not 2 <= min_samples <= window:
            raise UserError(
                "AdaptiveLogisticNormalizer: needs 2 <= min_samples <= window, "
                f"got {min_samples} and {window}"
            )
        if not 0 < max_shift <= 1:
            raise UserError(
                f"AdaptiveLogisticNormalizer: max_shift must be above 0 and at most 1, got {max_shift}"
            )
        self.window = window
        self.min_samples = min_samples
        self.max_shift = max_shift
        self._windows: dict[tuple[str, str, str], deque[float]] = {}
        self._current: dict[tuple[str, str, str], _Quartiles] = {}

    def observe(self, observations: Sequence[Observation]) -> None:
        """See :meth:`Normalizer.observe`; sorted first, so that the order of ranks changes nothing."""
        touched = set()
        for pair, metric, raw in sorted(o for o in observations if math.isfinite(o[2])):
            key = (*pair, metric)
            self._windows.setdefault(key, deque(maxlen=self.window)).append(raw)
            touched.add(key)
        for key in sorted(touched):
            self._follow(key)

    def state_dict(self) -> dict[str, Any]:
        """Windows and the quartiles in use."""
        return {
            "windows": [[*key, list(values)] for key, values in sorted(self._windows.items())],
            "current": [[*key, *now.numbers] for key, now in sorted(self._current.items())],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from :meth:`state_dict`."""
        self._windows = {
            (d, t, m): deque(values, maxlen=self.window) for d, t, m, values in state.get("windows", [])
        }
        self._current = {(d, t, m): _Quartiles(*numbers) for d, t, m, *numbers in state.get("current", [])}

    def quartiles(self, pair: PairKey, metric: str) -> _Quartiles:
        """Those in use now; see :meth:`LogisticNormalizer.quartiles`."""
        key = (*pair, metric)
        if key not in self._current:
            entry = self._entry(pair, metric)
            self._current[key] = _Quartiles(
                entry.p25, entry.p50, entry.p75, entry.scale, entry.low, entry.high
            )
        return self._current[key]

    def _follow(self, key: tuple[str, str, str]) -> None:
        now = self.quartiles((key[0], key[1]), key[2])
        values = self._windows[key]
        if len(values) < self.min_samples:
            return
        seen = summarise(values, now.low, now.high)
        scale = now.scale if seen.scale_method == "range" else seen.scale
        factor = 1.0 + self.max_shift
        scale = min(max(scale, now.scale / factor), now.scale * factor)
        reach = self.max_shift * now.scale
        p25, p50, p75 = (
            old + min(max(new - old, -reach), reach)
            for old, new in ((now.p25, seen.p25), (now.p50, seen.p50), (now.p75, seen.p75))
        )
        self._current[key] = _Quartiles(p25, p50, p75, scale, now.low, now.high)


class _Quartiles:
    """What one pair's metric is normalised by now."""

    __slots__ = ("high", "low", "p25", "p50", "p75", "scale")

    def __init__(self, p25: float, p50: float, p75: float, scale: float, low: float, high: float) -> None:
        self.p25, self.p50, self.p75 = p25, p50, p75
        self.scale, self.low, self.high = scale, low, high

    @property
    def numbers(self) -> tuple[float, ...]:
        """In the order of the constructor."""
        return self.p25, self.p50, self.p75, self.scale, self.low, self.high

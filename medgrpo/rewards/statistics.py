"""How a checkpoint scores before GRPO: quantiles for each (dataset, task, metric), with what made them.

The file is versioned JSON. Using it refuses a pair or metric that it does not hold: a normaliser that guesses
would change the reward in silence.
"""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from medgrpo.errors import UserError
from medgrpo.services.files import write_whole
from medgrpo.types import PairKey, Sample

__all__ = ["MetricStatistics", "Provenance", "Statistics", "summarise"]

_FORMAT = "medgrpo-statistics"
_VERSION = 1
_FEW = 100  # below this many answers quartiles move by more than a tenth of the spread
_FLOOR = 0.05  # share of the metric's range below which an IQR counts as tiny


@dataclass(frozen=True, slots=True)
class Provenance:
    """What made a statistics file.

    Attributes:
        checkpoint: The policy, by name or hash.
        records_hash: sha256 of the records file.
        temperature: Sampling temperature; percentiles of greedy answers do not fit rollouts.
        samples_per_prompt: Answers drawn for each question.
        seed: Of the sampling.
        engine: Class of the rollout engine that sampled; empty in files older than the field.
        encoder: Sentence encoder id; empty when no metric uses one. So for judge and rubric.
        judge: Judge id.
        rubric: Rubric id and version.
        rollouts: Run and rounds whose stored answers were taken; empty when answers were sampled.
        verdicts: sha256 of the clinicians' verdicts as JSON lines, empty without any.
        replaced: Answers whose judge's score is the clinicians'.
        left_out: Answers that clinicians could not use.
    """

    checkpoint: str = ""
    records_hash: str = ""
    temperature: float | None = None
    samples_per_prompt: int | None = None
    seed: int | None = None
    engine: str = ""
    encoder: str = ""
    judge: str = ""
    rubric: str = ""
    rollouts: str = ""
    verdicts: str = ""
    replaced: int = 0
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class MetricStatistics:
    """The raw values of one metric on one (dataset, task).

    Attributes:
        n: Finite values.
        p25: First quartile. So for p50, p75.
        p50: Median.
        p75: Third quartile.
        quantiles: 101 values, the 0th to the 100th percentile.
        mean: Of the values.
        std: Population standard deviation.
        zeros: Share of values that are exactly 0.
        low: Lower bound of the metric.
        high: Upper bound of the metric.
        scale: What normalisers divide by; positive.
        scale_method: Where ``scale`` comes from: ``iqr``, ``p5_p95``, ``std``, ``floor`` or ``range``.
        flags: ``constant``, ``binary`` (centred, not scaled), ``few`` (under 100 values).
    """

    n: int
    p25: float
    p50: float
    p75: float
    quantiles: tuple[float, ...]
    mean: float
    std: float
    zeros: float
    low: float
    high: float
    scale: float
    scale_method: str
    flags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        numbers = (self.p25, self.p50, self.p75, self.mean, self.std, self.scale, *self.quantiles)
        if not all(math.isfinite(v) for v in numbers):
            raise ValueError("statistics must be finite")
        if len(self.quantiles) != 101 or list(self.quantiles) != sorted(self.quantiles):
            raise ValueError("quantiles must be 101 values in ascending order")
        if not (self.p25 <= self.p50 <= self.p75 and self.scale > 0 and self.low < self.high and self.n > 0):
            raise ValueError("needs p25 <= p50 <= p75, scale > 0, low < high and n > 0")


def summarise(values: Iterable[float], low: float = 0.0, high: float = 1.0) -> MetricStatistics:
    """Quantiles and scale of one metric's raw values.

    The scale is the IQR. Where that is under 5% of the metric's range, it is the largest of IQR,
    (p95 - p5)/2.44, 1.35 std and that 5%, each of which equals the IQR on a normal distribution (but the
    floor). A constant or binary metric has no spread to speak of: it is centred on its median and divided by
    its range, which is 1 for most metrics, and flagged.

    Args:
        values: Raw values; NaN are left out.
        low: Lower bound of the metric.
        high: Upper bound of the metric.

    Raises:
        ValueError: If no value is finite.
    """
    x = np.asarray(list(values), dtype=np.float64)
    x = x[np.isfinite(x)]
    if x.size == 0:
        raise ValueError("no finite value to summarise")
    # Interpolation can leave the order by an ulp; accumulate restores it.
    grid = np.maximum.accumulate(np.quantile(x, np.linspace(0.0, 1.0, 101)))
    iqr = float(grid[75] - grid[25])
    span = high - low
    flags: list[str] = []
    distinct = len(np.unique(np.round(x / span, 9)))
    if distinct <= 2:
        flags.append("constant" if distinct == 1 else "binary")
        scale, method = span, "range"
    elif iqr >= _FLOOR * span:
        scale, method = iqr, "iqr"
    else:
        scale, method = max(
            (iqr, "iqr"),
            (float(grid[95] - grid[5]) / 2.44, "p5_p95"),
            (1.35 * float(x.std()), "std"),
            (_FLOOR * span, "floor"),
        )
    if x.size < _FEW:
        flags.append("few")
    return MetricStatistics(
        n=int(x.size),
        p25=float(grid[25]),
        p50=float(grid[50]),
        p75=float(grid[75]),
        quantiles=tuple(float(v) for v in grid),
        mean=float(x.mean()),
        std=float(x.std()),
        zeros=float((x == 0).mean()),
        low=low,
        high=high,
        scale=float(scale),
        scale_method=method,
        flags=tuple(flags),
    )


@dataclass(frozen=True)
class Statistics:
    """The statistics of a run, by (dataset, task) and metric.

    Attributes:
        entries: Pair to versioned metric name to statistics.
        provenance: What made them.
        source: The file they came from, for messages.
    """

    entries: Mapping[PairKey, Mapping[str, MetricStatistics]]
    provenance: Provenance = field(default_factory=Provenance)
    source: str = "statistics"

    def get(self, pair: PairKey, metric: str) -> MetricStatistics:
        """The statistics of one metric on one pair.

        Raises:
            UserError: If the pair is missing, or was measured by another metric, encoder, judge or rubric.
        """
        metrics = self.entries.get(pair)
        if metrics is None:
            raise UserError(
                f"{self.source}: no statistics for dataset {pair[0]!r}, task {pair[1]!r}; "
                "run the baseline command on records that hold it, or take the pair out of training"
            )
        entry = metrics.get(metric)
        if entry is None:
            kind = metric.split(":")[0].split("@")[0]
            alike = [m for m in metrics if m.split(":")[0].split("@")[0] == kind] or list(metrics)
            raise UserError(
                f"{self.source}: dataset {pair[0]!r}, task {pair[1]!r} was measured by "
                f"{', '.join(sorted(alike))}, but this run scores {metric}; "
                "run the baseline command again with this run's metrics, encoder, judge and rubric"
            )
        return entry

    def pooled(self, metric: str, pair: PairKey) -> MetricStatistics:
        """The metric over all pairs that have it, each counted alike.

        Args:
            metric: Versioned name.
            pair: That lacks it, for messages.

        Raises:
            UserError: If no pair has the metric.
        """
        known = [metrics[metric] for metrics in self.entries.values() if metric in metrics]
        if not known:
            raise UserError(
                f"{self.source}: no pair was measured by {metric}, so there is nothing to pool for "
                f"dataset {pair[0]!r}, task {pair[1]!r}; run the baseline command again"
            )
        values = [value for entry in known for value in entry.quantiles]
        return summarise(values, min(entry.low for entry in known), max(entry.high for entry in known))

    def check_records(self, records_hash: str) -> bool:
        """Whether the statistics come from these records; warns where they do not."""
        same = self.provenance.records_hash in ("", records_hash)
        if not same:
            warnings.warn(
                f"{self.source}: made from other records ({self.provenance.records_hash[:12]}, "
                f"these are {records_hash[:12]})",
                stacklevel=2,
            )
        return same

    @classmethod
    def build(
        cls,
        samples: Sequence[Sample],
        raw: Sequence[Mapping[str, float]],
        ranges: Mapping[str, tuple[float, float]],
        provenance: Provenance,
    ) -> Statistics:
        """Summarise the raw metrics of sampled answers.

        Args:
            samples: The question of each answer; repeats when several answers were drawn for it.
            raw: Metric name to value for each answer, see :meth:`CompositeReward.raw_metrics`.
            ranges: Metric name to its bounds, see :meth:`CompositeReward.ranges`.
            provenance: What made them.

        Raises:
            UserError: If a row has no reference answer (the test split), or a metric failed throughout.
        """
        values: dict[PairKey, dict[str, list[float]]] = {}
        for sample, metrics in zip(samples, raw, strict=True):
            if sample.answer is None and sample.truth is None:
                raise UserError(
                    f"row {sample.row} ({sample.id}) has no answer: statistics need records with answers, "
                    "the test split has none"
                )
            for name, value in metrics.items():
                values.setdefault(sample.pair, {}).setdefault(name, []).append(value)
        entries: dict[PairKey, dict[str, MetricStatistics]] = {}
        for pair, by_metric in sorted(values.items()):
            for name, numbers in sorted(by_metric.items()):
                if not any(math.isfinite(v) for v in numbers):
                    raise UserError(
                        f"dataset {pair[0]!r}, task {pair[1]!r}: {name} failed on all {len(numbers)} answers"
                    )
                entries.setdefault(pair, {})[name] = summarise(numbers, *ranges[name])
        return cls(entries, provenance)

    def save(self, path: str | Path) -> None:
        """Write the file, whole or not at all.

        Raises:
            UserError: If it cannot be written.
        """
        data = {
            "format": _FORMAT,
            "version": _VERSION,
            "provenance": asdict(self.provenance),
            "entries": self._rows(),
        }
        write_whole(path, json.dumps(data, indent=1, allow_nan=False) + "\n")

    def digest(self) -> str:
        """The sha256 of the numbers, whatever made them and wherever they lie."""
        return hashlib.sha256(json.dumps(self._rows(), sort_keys=True).encode()).hexdigest()

    def _rows(self) -> list[dict[str, Any]]:
        return [
            {"dataset": dataset, "task": task, "metric": metric, **asdict(entry)}
            for (dataset, task), metrics in self.entries.items()
            for metric, entry in metrics.items()
        ]

    @classmethod
    def load(cls, path: str | Path) -> Statistics:
        """Read a statistics file.

        Raises:
            UserError: If it is missing, of another version, or an entry is broken.
        """
        source = str(path)
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise UserError(
                f"{source}: cannot read the statistics ({error.strerror}); the baseline command writes them"
            ) from None
        except ValueError as error:
            raise UserError(f"{source}: not valid JSON: {error}") from None
        if not isinstance(data, dict) or data.get("format") != _FORMAT:
            raise UserError(f"{source}: not a statistics file (no format {_FORMAT!r})")
        if data.get("version") != _VERSION:
            raise UserError(
                f"{source}: statistics version {data.get('version')!r}, this program reads {_VERSION}; "
                "run the baseline command again"
            )
        entries: dict[PairKey, dict[str, MetricStatistics]] = {}
        rows = data.get("entries")
        if not isinstance(rows, list):
            raise UserError(f"{source}: entries must be a list")
        for index, row in enumerate(rows):
            try:
                metrics = entries.setdefault((str(row["dataset"]), str(row["task"])), {})
                if row["metric"] in metrics:
                    raise ValueError(f"{row['metric']} appears twice")
                metrics[str(row["metric"])] = _entry(row)
            except (KeyError, TypeError, ValueError) as error:
                raise UserError(f"{source}: entry {index} is broken ({error})") from None
        known = {f.name for f in fields(Provenance)}
        made_by = {k: v for k, v in (data.get("provenance") or {}).items() if k in known}
        return cls(entries, Provenance(**made_by), source)


def _entry(row: Mapping[str, Any]) -> MetricStatistics:
    values = {f.name: row[f.name] for f in fields(MetricStatistics)}
    values["quantiles"] = tuple(float(v) for v in values["quantiles"])
    values["flags"] = tuple(values["flags"])
    return MetricStatistics(**values)

"""Plots of what statistics and scores summarise."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medgrpo.evaluation.scores import Scores
from medgrpo.rewards.statistics import Statistics
from medgrpo.types import PairKey, Sample

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["parsing_bars", "plot_distributions", "score_bars", "score_histograms"]

_COLOURS = ("#4878a8", "#d9a441", "#5f9e6e", "#b03030", "#8d6bb0", "#7f7f7f")
_STATUSES = {
    "published format": ("ok", "free_text"),
    "repaired": ("repaired",),
    "nothing readable": ("failed",),
}


def plot_distributions(
    samples: Sequence[Sample],
    raw: Sequence[Mapping[str, float]],
    statistics: Statistics,
    folder: Path,
) -> list[Path]:
    """One PNG a metric: a histogram for each (dataset, task), with its quartiles.

    Args:
        samples: The question of each answer.
        raw: Metric name to value of each answer.
        statistics: Summaries of the same values.
        folder: Created if missing.

    Returns:
        The files written.
    """
    from matplotlib.figure import Figure  # the figure alone: no window, no global state

    values: dict[str, dict[PairKey, list[float]]] = defaultdict(lambda: defaultdict(list))
    for sample, metrics in zip(samples, raw, strict=True):
        for name, value in metrics.items():
            if np.isfinite(value):
                values[name][sample.pair].append(value)
    folder.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    for name, pairs in sorted(values.items()):
        figure = Figure(figsize=(6, 1.1 + 1.3 * len(pairs)), layout="constrained")
        axes = figure.subplots(len(pairs), 1, squeeze=False, sharex=True)[:, 0]
        for axis, (pair, numbers) in zip(axes, sorted(pairs.items()), strict=True):
            entry = statistics.get(pair, name)
            axis.hist(numbers, bins=40, range=(entry.low, entry.high), color="#4878a8")
            axis.axvline(entry.p50, color="#b03030", label=f"p50 {entry.p50:.2f}")
            axis.axvspan(
                entry.p25,
                entry.p75,
                color="#b03030",
                alpha=0.15,
                label=f"p25-p75 {entry.p25:.2f}-{entry.p75:.2f}",
            )
            axis.set_title(f"{pair[0]} / {pair[1]} (n = {entry.n})", fontsize=9, loc="left")
            axis.legend(fontsize=7, frameon=False)
            axis.set_yticks([])
        axes[-1].set_xlabel(name)
        path = folder / f"{name.replace(':', '_').replace('@', '_')}.png"
        figure.savefig(path, dpi=110)
        files.append(path)
    return files


def score_bars(sets: Mapping[str, Scores]) -> Figure:
    """Mean strict score by dataset and task, with 95% intervals, one bar a set of scores."""
    pairs = [(d, t) for scores in sets.values() for d, tasks in scores.by_dataset.items() for t in tasks]
    names = list(dict.fromkeys(pairs))[::-1]
    figure, axis = _figure(8.0, 1.2 + (0.14 + 0.16 * len(sets)) * len(names))
    height = 0.8 / len(sets)
    for k, (title, scores) in enumerate(sets.items()):
        tables = [scores.by_dataset.get(d, {}).get(t, {}) for d, t in names]
        values = np.array([_or_nan(table.get("score")) for table in tables])
        ends = [
            table.get("intervals", {}).get("score", (v, v)) for table, v in zip(tables, values, strict=True)
        ]
        errors = np.abs(np.array(ends, dtype=np.float64).T - values)
        places = np.arange(len(names)) + (len(sets) - 1) * height / 2 - k * height
        axis.barh(places, values, height, xerr=errors, color=_COLOURS[k % len(_COLOURS)], label=title,
                  error_kw={"linewidth": 0.8})  # fmt: skip
    axis.set_yticks(np.arange(len(names)), [f"{d} / {t}" for d, t in names], fontsize=8)
    axis.set_xlim(0.0, 1.0)
    axis.set_xlabel("strict score (captions: similarity), 95% interval by video")
    axis.legend(fontsize=8, frameon=False, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=len(sets))
    return figure


def parsing_bars(scores: Scores) -> Figure:
    """How answers parsed, by task: exactly the published format, repaired, nothing readable."""
    tasks = list(dict.fromkeys(scores.names.task))
    counts = {task: Counter(_status(scores, task)) for task in tasks}
    figure, axis = _figure(8.0, 1.2 + 0.34 * len(tasks))
    left = np.zeros(len(tasks))
    for (title, members), colour in zip(_STATUSES.items(), ("#4878a8", "#d9a441", "#b03030"), strict=True):
        shares = [sum(counts[t][m] for m in members) / counts[t].total() for t in tasks]
        axis.barh(tasks, shares, left=left, color=colour, label=title)
        left += np.array(shares)
    axis.invert_yaxis()
    axis.set_xlim(0.0, 1.0)
    axis.set_xlabel("share of answers")
    axis.legend(fontsize=8, frameon=False, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3)
    return figure


def score_histograms(scores: Scores) -> Figure:
    """Distribution of the strict scores of single answers, by task."""
    values: dict[str, list[float]] = {}
    for task, value in zip(scores.names.task, scores.per_record, strict=True):
        if value is not None:
            values.setdefault(task, []).append(value)
    figure, _ = _figure(8.0, 1.0 + 1.2 * max(1, len(values)), axes=0)
    axes = figure.subplots(max(1, len(values)), 1, squeeze=False, sharex=True)[:, 0]
    for axis, (task, numbers) in zip(axes, values.items(), strict=False):
        axis.hist(numbers, bins=40, range=(0.0, 1.0), color="#4878a8")
        axis.set_title(f"{task} (n = {len(numbers)})", fontsize=9, loc="left")
    axes[-1].set_xlabel("strict score of one answer")
    return figure


def _figure(width: float, height: float, axes: int = 1) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots() if axes else None


def _status(scores: Scores, task: str) -> list[str]:
    return [s for s, t in zip(scores.names.status, scores.names.task, strict=True) if t == task]


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value

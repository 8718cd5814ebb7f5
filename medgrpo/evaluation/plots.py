"""Plots of what the statistics summarise."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from medgrpo.rewards.statistics import Statistics
from medgrpo.types import PairKey, Sample

__all__ = ["plot_distributions"]


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

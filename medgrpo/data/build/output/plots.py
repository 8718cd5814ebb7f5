"""Pictures of a build's statistics; the same numbers give the same bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medgrpo.data.build.output.statistics import PAPER, Statistics, rate_shares
from medgrpo.data.build.verify.similarity import BINS
from medgrpo.services.files import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["write_plots", "write_similarity_plot"]

# Okabe and Ito's colours, told apart by colour-blind readers.
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#7f7f7f")
_DOTS = 110


def write_plots(statistics: Statistics, folder: Path) -> list[Path]:
    """Records by source and task, answer lengths, clip durations and rates.

    Args:
        statistics: Of a build.
        folder: Made if missing.

    Returns:
        The PNG files, sorted.
    """
    return [
        _saved(_lengths(statistics), folder / "answer_length.png"),
        _saved(_durations(statistics), folder / "clip_duration.png"),
        _saved(_rates(statistics), folder / "frame_rate.png"),
        _saved(_records(statistics), folder / "records.png"),
    ]


def write_similarity_plot(verification: Mapping[str, Any], path: Path) -> Path:
    """Similarities of the two writers, a row for each source, with the threshold below which pairs go.

    Args:
        verification: The report of verification.
        path: PNG file.
    """
    similarity = verification["similarity"]
    sources = sorted(similarity)
    figure, axes = _figure(7.0, 1.0 + 1.3 * max(1, len(sources)), rows=max(1, len(sources)))
    for axis, source in zip(axes, sources, strict=False):
        counts: Counter[float] = Counter()
        for histogram in similarity[source].values():
            counts.update(dict(histogram["bins"]))
        axis.bar(sorted(counts), [counts[edge] for edge in sorted(counts)], width=2.0 / BINS, align="edge",
                 color=_COLOURS[0])  # fmt: skip
        axis.axvline(verification["threshold"], color=_COLOURS[5])
        axis.set_title(f"{source} (n = {counts.total()})", fontsize=9, loc="left")
        axis.set_xlim(-0.25, 1.0)
    axes[-1].set_xlabel("cosine of the two writers' texts")
    return _saved(figure, path)


def _lengths(statistics: Statistics) -> Figure:
    """Answer lengths by task, on a logarithmic scale."""
    tasks = sorted({task for _, task in statistics.words})
    figure, (axis,) = _figure(7.0, 4.0)
    edges = [2.0**k for k in range(12)]
    bottom = [0] * (len(edges) - 1)
    for task, colour in zip(tasks, _cycled(len(tasks)), strict=True):
        counts = statistics.all_words(task).counts
        own = [sum(n for value, n in counts.items() if a <= max(1, value) < b) for a, b in pairwise(edges)]
        axis.bar(range(len(own)), own, bottom=bottom, color=colour, label=task)
        bottom = [a + b for a, b in zip(bottom, own, strict=True)]
    names = [f"{a:.0f}-{b - 1:.0f}" if b - a > 1 else f"{a:.0f}" for a, b in pairwise(edges)]
    axis.set_xticks(range(len(names)), names, fontsize=8, rotation=30)
    axis.set_xlabel("words of the answer")
    axis.set_ylabel("records")
    _legend(axis, tasks)
    return figure


def _durations(statistics: Statistics) -> Figure:
    """Clip durations of all records, with the length below which the paper's bulk is."""
    figure, (axis,) = _figure(7.0, 3.2)
    counts = statistics.all_seconds().counts
    most = max([60.0, *counts])
    width = most / 60.0
    bins = [0] * 61
    for value, count in sorted(counts.items()):
        bins[int(value / width)] += count
    axis.bar([k * width for k in range(61)], bins, width=width, align="edge", color=_COLOURS[0])
    axis.axvline(PAPER["clip_seconds"]["bulk_below"], color=_COLOURS[5], linestyle="--")
    axis.set_xlabel("seconds of the clip (dashed: the bulk of the paper's clips is shorter)")
    axis.set_ylabel("records")
    return figure


def _rates(statistics: Statistics) -> Figure:
    """Shares of the bins of rates beside the paper's."""
    figure, (axis,) = _figure(7.0, 3.2)
    shares = rate_shares(statistics.all_rates())
    places = range(len(shares))
    own = list(shares.values())
    axis.bar([p - 0.2 for p in places], own, width=0.4, color=_COLOURS[0], label="this build")
    paper = [PAPER["rates"].get(name, 0.0) for name in shares]
    axis.bar([p + 0.2 for p in places], paper, width=0.4, color=_COLOURS[1], label="paper, where told")
    axis.set_xticks(places, list(shares))
    axis.set_xlabel("frames a second")
    axis.set_ylabel("share of records")
    axis.legend(fontsize=8, frameon=False)
    return figure


def _records(statistics: Statistics) -> Figure:
    """Records by source and task."""
    sources = sorted({source for _, source, _, _ in statistics.rows})
    tasks = sorted({task for _, _, task, _ in statistics.rows})
    figure, (axis,) = _figure(7.0, 1.4 + 0.36 * max(1, len(sources)))
    left = [0] * len(sources)
    for task, colour in zip(tasks, _cycled(len(tasks)), strict=True):
        own = [
            sum(n for (_, s, t, _), n in statistics.rows.items() if (s, t) == (source, task))
            for source in sources
        ]
        axis.barh(range(len(sources)), own, left=left, color=colour, label=task)
        left = [a + b for a, b in zip(left, own, strict=True)]
    axis.set_yticks(range(len(sources)), sources, fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel("records")
    _legend(axis, tasks)
    return figure


def _figure(width: float, height: float, rows: int = 1) -> tuple[Figure, Sequence[Any]]:
    from matplotlib.figure import Figure  # the figure alone: no window, no global state

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(rows, 1, squeeze=False, sharex=rows > 1)[:, 0])


def _saved(figure: Figure, path: Path) -> Path:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    with whole_file(path) as file:
        figure.savefig(file, format="png", dpi=_DOTS, metadata={"Software": None})
    return path


def _cycled(count: int) -> list[str]:
    return [_COLOURS[k % len(_COLOURS)] for k in range(count)]


def _legend(axis: Any, names: Sequence[str]) -> None:
    if names:
        axis.legend(fontsize=7, frameon=False, ncols=4, loc="lower right", bbox_to_anchor=(1.0, 1.0))

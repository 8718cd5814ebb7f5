"""The picture of all headlines: ``docs/img/benchmarks.svg``, how many times better ours is than each peer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.results import RESULTS

__all__ = ["draw_gains"]

PICTURE = RESULTS.parents[1] / "docs" / "img" / "benchmarks.svg"


def draw_gains(results: Mapping[str, Mapping[str, Any]], picture: Path = PICTURE) -> None:
    """Draw one bar a headline, on a logarithmic axis; left of 1 the peer is better.

    Args:
        results: Content of each benchmark's file, by name.
        picture: SVG to write.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from benchmarks.summary import HEADLINES, gain

    names, gains = [], []
    for headline in reversed(HEADLINES):
        entries = {entry["name"]: entry for entry in results[headline.benchmark]["results"]}
        entry = entries[headline.entry]
        names.append(f"{headline.words}\nagainst {headline.peer or entry['peer_name']}")
        gains.append(gain(entry) or 1.0)
    figure = Figure(figsize=(8.5, 0.5 * len(names) + 0.8), layout="constrained", facecolor="white")
    axis = figure.subplots()
    # Bars begin at 1, where both sides are equal.
    starts = [min(1.0, value) for value in gains]
    widths = [max(1.0, value) - start for value, start in zip(gains, starts, strict=True)]
    colours = ["#4878a8" if value >= 1 else "#d9a441" for value in gains]
    axis.barh(names, widths, left=starts, color=colours, height=0.6)
    for row, value in enumerate(gains):
        beside = {"va": "center", "fontsize": 8}
        axis.text(max(1.0, value) * 1.1, row, f"{value:,.0f}x" if value >= 100 else f"{value:.3g}x", **beside)
    axis.set_xscale("log")
    axis.axvline(1.0, color="black", linewidth=0.8)
    axis.set_xlim(min(gains) / 2, max(gains) * 10)
    axis.set_xlabel("times better than the peer (blue), or worse (yellow); logarithmic")
    axis.tick_params(axis="y", labelsize=8)
    picture.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"svg.hashsalt": "benchmarks"}):  # the same numbers, the same file
        figure.savefig(picture, metadata={"Date": None})

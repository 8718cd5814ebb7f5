"""The picture of how the cost of an update grows: ``docs/img/update_growth.svg``, from the results file."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from benchmarks.results import RESULTS

__all__ = ["draw_growth"]

PICTURE = RESULTS.parents[1] / "docs" / "img" / "update_growth.svg"
PANELS = {"groups": "groups in a micro-batch", "answers in a group": "answers in a group (G)"}
"""What the results file calls a growth, and its axis."""


def draw_growth(results: Path, picture: Path = PICTURE) -> None:
    """Draw measured times and the line fitted to them, over the number of groups and over G.

    Args:
        results: What ``benchmarks.update`` wrote.
        picture: SVG to write.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure  # the figure alone: no window, no global state

    measured = json.loads(results.read_text(encoding="utf-8"))["measured"]
    figure = Figure(figsize=(8.0, 3.2), layout="constrained", facecolor="white")
    for axis, (name, label) in zip(figure.subplots(1, 2), PANELS.items(), strict=True):
        times = {int(n): found["cpu_ms"] for n, found in measured[f"over {name}"].items()}
        x, y = np.array(list(times)), np.array(list(times.values()))
        slope, start = np.polyfit(x, y, 1)
        ends = np.array([0, x.max()])
        line = f"line: {start:.0f} ms + {slope:.1f} ms each"
        axis.plot(ends, start + slope * ends, color="#d9a441", label=line)
        axis.plot(x, y, "o", color="#4878a8", label="measured")
        axis.set_xticks(x)
        axis.set_xlim(0, 1.05 * x.max())
        axis.set_ylim(0, 1.1 * y.max())
        axis.set_xlabel(label)
        axis.set_ylabel("CPU time of an update (ms)")
        axis.legend(fontsize=9, frameon=False)
    picture.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"svg.hashsalt": "update_growth"}):  # the same numbers, the same file
        figure.savefig(picture, metadata={"Date": None})


if __name__ == "__main__":
    draw_growth(Path(sys.argv[1]) if sys.argv[1:] else RESULTS / "update.json")

"""The report's pictures: differences with their intervals, and the curves of the controlled experiments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medgrpo.ablation.report.trained import COMPARED

__all__ = ["draw_pictures"]

Results = Mapping[str, Any]

_BLUE, _GREY = "#4878a8", "#9a9a9a"


def draw_pictures(parts: Mapping[str, Results], folder: Path) -> dict[str, list[str]]:
    """Draw what there are results for; the same results give the same files.

    Args:
        parts: Results by name.
        folder: Where SVG files go.

    Returns:
        Names of the files by part.
    """
    drawers = {"trained": _trained, "simulated": _simulated, "controlled": _controlled}
    drawn: dict[str, list[str]] = {}
    for part, draw in drawers.items():
        if part in parts:
            _save(draw(parts[part]), folder / f"{part}.svg")
            drawn[part] = [f"{part}.svg"]
    return drawn


def _trained(results: Results) -> Any:
    """Differences of each row to the reference, a panel a column of the board."""
    rows = results["difference"]
    columns = [name for name in COMPARED if all(name in row["board"] for row in rows.values())]
    figure, axes = _panels(len(columns), 1.4 + 0.35 * len(rows), across=4)
    for axis, column in zip(axes, columns, strict=True):
        _forest(axis, {arm: row["board"][column] for arm, row in rows.items()})
        axis.set_title(f"{column}, minus {results['reference']}", fontsize=8)
    return figure


def _simulated(results: Results) -> Any:
    """Change of all pairs in the mix and of grounding, every arm."""
    arms = results["arms"]
    figure, axes = _panels(2, 0.8 + 0.17 * len(arms), across=2)
    for axis, (key, title) in zip(
        axes, (("mean", "all pairs in the mix"), ("grounding", "grounding")), strict=True
    ):
        _forest(axis, {name: arm[key] for name, arm in arms.items()})
        axis.set_title(f"change of the greedy metric, {title}", fontsize=8)
    return figure


def _controlled(results: Results) -> Any:
    """Curvature by position, and the moved pair's share by drift."""
    figure, axes = _panels(2, 3.0, across=2)
    rows = results["curvature"]["rows"]
    for spread in sorted({row["spread"] for row in rows}):
        own = [row for row in rows if row["spread"] == spread]
        axes[0].plot(
            [row["position"] for row in own],
            [row["correlation"]["mean"] for row in own],
            marker="o",
            markersize=3,
            label=f"spread {spread:g} IQR",
        )
    axes[0].set_xlabel("group's position from the SFT median (IQR)")
    axes[0].set_ylabel("correlation with raw advantages")
    moved = results["drift"]["rows"]
    for kind, colour in (("static", _GREY), ("adaptive", _BLUE)):
        shares = [row["share"][kind]["mean"] for row in moved]
        axes[1].plot(
            [row["shift"] for row in moved], shares, marker="o", markersize=3, color=colour, label=kind
        )
    axes[1].set_xlabel("the policy has moved by (IQR)")
    axes[1].set_ylabel("share of the squared advantage")
    for axis in axes:
        axis.legend(fontsize=7, frameon=False)
    return figure


def _panels(count: int, height: float, across: int) -> tuple[Any, list[Any]]:
    from matplotlib.figure import Figure  # the figure alone: no window, no global state

    across = min(across, count)
    down = -(-count // across)
    figure = Figure(figsize=(3.6 * across, height * down), layout="constrained", facecolor="white")
    axes = figure.subplots(down, across, squeeze=False).ravel().tolist()
    for axis in axes[count:]:
        axis.set_visible(False)
    return figure, axes[:count]


def _forest(axis: Any, intervals: Mapping[str, Mapping[str, Any]]) -> None:
    """Means with intervals, the first at the top."""
    names = list(intervals)
    for place, interval in enumerate(intervals.values()):
        if interval["mean"] is None:
            continue
        if interval["low"] is not None:
            axis.plot([interval["low"], interval["high"]], [place, place], color=_GREY, linewidth=1.5)
        axis.plot(interval["mean"], place, "o", color=_BLUE, markersize=3.5)
    axis.axvline(0.0, color="black", linewidth=0.6)
    axis.set_yticks(range(len(names)), names, fontsize=6)
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.tick_params(axis="x", labelsize=6)


def _save(figure: Any, path: Path) -> None:
    import matplotlib as mpl

    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"svg.hashsalt": path.stem}):
        figure.savefig(path, metadata={"Date": None})

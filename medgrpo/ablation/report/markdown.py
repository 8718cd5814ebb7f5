"""Tables and numbers with intervals, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["Interval", "differs", "number", "seeds", "shown", "table"]

Interval = Mapping[str, Any]
"""What :func:`medgrpo.ablation.intervals.mean_interval` gives."""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; all columns but the first stand to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def number(value: float | None, digits: int = 3, *, signed: bool = False) -> str:
    """A number; ``-`` where there is none."""
    if value is None:
        return "-"
    text = f"{value:{'+' if signed else ''}.{digits}f}"
    return text if float(text) else text.replace("-", "").replace("+", "")


def shown(interval: Interval | None, digits: int = 3, *, signed: bool = True) -> str:
    """A mean with its interval, ``+0.012 [+0.003, +0.022]``; bold where 0 is outside of it."""
    if interval is None or interval["mean"] is None:
        return "-"
    mean = number(interval["mean"], digits, signed=signed)
    if interval["low"] is None:
        return mean
    ends = ", ".join(number(interval[end], digits, signed=signed) for end in ("low", "high"))
    return f"**{mean}** [{ends}]" if signed and differs(interval) else f"{mean} [{ends}]"


def seeds(interval: Interval, digits: int = 3, *, signed: bool = True) -> str:
    """Every seed's value."""
    return " ".join(number(value, digits, signed=signed) for value in interval["values"])


def differs(interval: Interval) -> bool:
    """Whether the interval leaves 0 out."""
    return interval["low"] is not None and (interval["low"] > 0 or interval["high"] < 0)

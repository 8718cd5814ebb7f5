"""How the board shows and ranks its columns."""

from __future__ import annotations

import math
from collections.abc import Mapping

__all__ = ["COLUMNS", "rank", "shown"]

COLUMNS = (
    "CVS_acc",
    "NAP_acc",
    "SA_acc",
    "STG_mIoU",
    "TAG_mIoU@0.3",
    "TAG_mIoU@0.5",
    "DVC_F1",
    "DVC_llm",
    "VS_llm",
    "RC_llm",
)
"""The board's columns in its order."""


def shown(value: float | None) -> float:
    """A value as the board shows it: printed with 4 decimals, then rounded to 3; a missing one is 0."""
    return 0.0 if value is None else round(float(f"{value:.4f}"), 3)


def rank(boards: Mapping[str, Mapping[str, float | None]]) -> list[tuple[str, float]]:
    """Models in the board's order with their mean of dense column ranks.

    NaN ranks last in its column. Ties go to more first places, then the larger sum of value over column
    maximum, then the name.

    Args:
        boards: Model name to its columns; missing ones count as 0.
    """
    names = list(boards)
    table = {name: [shown(boards[name].get(c)) for c in COLUMNS] for name in names}
    ranks: dict[str, list[int]] = {name: [] for name in names}
    shares = dict.fromkeys(names, 0.0)
    for i in range(len(COLUMNS)):
        column = {name: table[name][i] for name in names}
        order = sorted({v for v in column.values() if not math.isnan(v)}, reverse=True)
        best = order[0] if order else 0.0
        for name, value in column.items():
            ranks[name].append(len(order) + 1 if math.isnan(value) else order.index(value) + 1)
            if best > 0 and not math.isnan(value):
                shares[name] += value / best
    means = {name: sum(r) / len(r) for name, r in ranks.items()}
    first = {name: r.count(1) for name, r in ranks.items()}
    ordered = sorted(
        names, key=lambda name: (means[name], -first[name], sum(ranks[name]), -shares[name], name)
    )
    return [(name, means[name]) for name in ordered]

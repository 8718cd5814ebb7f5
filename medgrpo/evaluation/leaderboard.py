"""One table with the leaderboard's ten columns: ours, beside rows that others published."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from importlib import resources
from typing import Any

from medgrpo.errors import UserError
from medgrpo.evaluation.official import COLUMNS
from medgrpo.evaluation.scores import Scores

__all__ = ["leaderboard", "published_rows"]


def published_rows() -> dict[str, dict[str, Any]]:
    """By origin: its ``source``, and ``rows`` of name to values in the order of the leaderboard's columns."""
    text = (resources.files("medgrpo.evaluation") / "published.json").read_text(encoding="utf-8")
    found: dict[str, dict[str, Any]] = json.loads(text)
    return found


def leaderboard(scores: Mapping[str, Scores], *, published: bool = False) -> str:
    """The table, Markdown.

    Args:
        scores: Name to scores, all under one protocol.
        published: Whether to show others' rows too, each marked.

    Returns:
        Rows of ours with the number of records and the judge, then the published ones with their origin.

    Raises:
        UserError: If the scores are of several protocols or judges, whose numbers are not comparable, or
            published rows are asked for beside strict scores.
    """
    for what, values in (
        ("protocols", {one.protocol for one in scores.values()}),
        ("judges", {_judge(one) for one in scores.values() if _judge(one)}),
        ("numbers of records", {one.counts.get("records") for one in scores.values()}),
    ):
        if len(values) > 1:
            told = ", ".join(sorted(map(str, values)))
            raise UserError(f"these scores are of several {what} ({told}); one table holds comparable ones")
    if published and any(one.protocol != "official" for one in scores.values()):
        raise UserError("published rows are the official protocol's; evaluate with --protocol official")
    lines = [
        ["", "from", "records", "judge", *COLUMNS],
        ["---", "---", "---:", "---", *["---:"] * len(COLUMNS)],
    ]
    for name, one in scores.items():
        numbers = [_number(one.board.get(column)) for column in COLUMNS]
        lines.append(
            [name, f"here, {one.protocol}", str(one.counts.get("records", "")), _judge(one), *numbers]
        )
    if published:
        for origin in published_rows().values():
            for name, row in origin["rows"].items():
                lines.append([name, f"**published**: {origin['source']}", "", "", *map(_number, row)])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def _judge(scores: Scores) -> str:
    return str(scores.counts.get("judge") or "")


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"

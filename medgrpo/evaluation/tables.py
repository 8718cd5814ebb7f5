"""Tables of several prediction sets side by side, by dataset and task, with their format validity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from medgrpo.errors import UserError
from medgrpo.evaluation.official.ranking import COLUMNS
from medgrpo.evaluation.scores import Scores
from medgrpo.tasks import TASKS

__all__ = [
    "board_by_dataset_table",
    "board_table",
    "comparison_table",
    "detail_table",
    "grid",
    "quantity_table",
    "rank_table",
]


def comparison_table(sets: Mapping[str, Scores], style: str = "text") -> str:
    """Score and format validity by dataset and task, one pair of columns a prediction set.

    Args:
        sets: Name (e.g. "SFT blind", "SFT", "GRPO") to its strict scores.
        style: ``text`` or ``markdown``.

    Raises:
        UserError: If a set was not scored under the strict protocol.
    """
    for name, scores in sets.items():
        _require_strict(name, scores)
    tables = [scores.by_dataset for scores in sets.values()]
    order = list(TASKS)
    pairs = {(dataset, task) for table in tables for dataset, tasks in table.items() for task in tasks}
    head = ["dataset", "task", "n"]
    for name in sets:
        head += [name, "valid"]
    body = []
    for dataset, task in sorted(pairs, key=lambda p: (p[0], order.index(p[1]))):
        entries = [table.get(dataset, {}).get(task, {}) for table in tables]
        line = [dataset, task, str(max(entry.get("n", 0) for entry in entries))]
        for entry in entries:
            line += [_number(entry.get("score")), _number(entry.get("valid"), 2)]
        body.append(line)
    return grid(head, body, style)


def board_table(sets: Mapping[str, Scores], style: str = "text") -> str:
    """The board's columns, one line a prediction set; a column that was not computed shows a dash."""
    head = ["set", "protocol", *COLUMNS]
    body = [[name, s.protocol, *(_number(s.board.get(c)) for c in COLUMNS)] for name, s in sets.items()]
    return grid(head, body, style)


def board_by_dataset_table(sets: Mapping[str, Scores], style: str = "text") -> str:
    """The board's columns of each dataset, one line a dataset and prediction set (official scores)."""
    datasets = sorted({dataset for scores in sets.values() for dataset in scores.by_dataset})
    body = [
        [dataset, name, *(_number(scores.by_dataset[dataset].get(c)) for c in COLUMNS)]
        for dataset in datasets
        for name, scores in sets.items()
        if dataset in scores.by_dataset
    ]
    return grid(["dataset", "set", *COLUMNS], body, style)


def rank_table(ranks: Sequence[tuple[str, float]], style: str = "text") -> str:
    """Models in the leaderboard's order; ranks are 1 to n without shared ones, as it shows them."""
    body = [[str(k), name, f"{mean:.2f}"] for k, (name, mean) in enumerate(ranks, start=1)]
    return grid(["rank", "set", "mean rank"], body, style)


def detail_table(scores: Scores, style: str = "text") -> str:
    """One set of strict scores by dataset and task, with intervals, format, and what a constant would score.

    Raises:
        UserError: If it was not scored under the strict protocol.
    """
    _require_strict("these scores", scores)
    head = [
        "dataset",
        "task",
        "n",
        "videos",
        "score",
        "95% interval",
        "valid",
        "parsed",
        "cut",
        "majority",
        "kappa",
    ]
    body = []
    for dataset, tasks in scores.by_dataset.items():
        for task, table in tasks.items():
            shares = [_number(table.get(name), 2) for name in ("valid", "parsed", "truncated")]
            constant = [_number(table.get(name)) for name in ("majority", "quadratic_kappa")]
            body.append(
                [
                    *(dataset, task, str(table["n"]), str(table["videos"]), _number(table.get("score"))),
                    *(_interval(table, "score"), *shares, *constant),
                ]
            )
    return grid(head, body, style)


def quantity_table(scores: Scores, style: str = "text") -> str:
    """Every quantity of every task, pooled over datasets, with its interval.

    Raises:
        UserError: If it was not scored under the strict protocol.
    """
    _require_strict("these scores", scores)
    body = [
        [task, name, _number(value), _interval(table, name), str(table["n"])]
        for task, table in scores.by_task.items()
        for name, value in table.items()
        if name not in ("n", "videos", "intervals") and (value is None or isinstance(value, float))
    ]
    return grid(["task", "quantity", "value", "95% interval", "n"], body, style)


def _require_strict(name: str, scores: Scores) -> None:
    if scores.protocol != "strict":
        raise UserError(f"{name}: tables by dataset and task need strict scores")


def _interval(table: Mapping[str, Any], name: str) -> str:
    low, high = table.get("intervals", {}).get(name, (None, None))
    return "-" if low is None else f"{low:.3f} to {high:.3f}"


def grid(head: Sequence[str], body: Sequence[Sequence[str]], style: str = "text") -> str:
    """A table with aligned columns; words to the left, numbers to the right.

    Args:
        head: Titles.
        body: Lines of as many cells.
        style: ``text``, ``markdown`` or ``html``.

    Raises:
        UserError: For another style.
    """
    if style not in ("text", "markdown", "html"):
        raise UserError(f"unknown table style {style!r}; known are: text, markdown, html")
    columns = list(zip(head, *body, strict=True))
    widths = [max(len(cell) for cell in column) for column in columns]
    right = [bool(body) and all(_numeric(cell) for cell in column[1:]) for column in columns]
    if style == "html":
        return _html(head, body, right)

    def line(cells: Sequence[str]) -> str:
        padded = [c.rjust(w) if r else c.ljust(w) for c, w, r in zip(cells, widths, right, strict=True)]
        return ("| " + " | ".join(padded) + " |") if style == "markdown" else "  ".join(padded).rstrip()

    if style == "markdown":
        rule = (
            "|"
            + "|".join("-" * (w + 1) + (":" if r else "-") for w, r in zip(widths, right, strict=True))
            + "|"
        )
    else:
        rule = "  ".join("-" * w for w in widths)
    return "\n".join([line(head), rule, *(line(cells) for cells in body)])


def _html(head: Sequence[str], body: Sequence[Sequence[str]], right: Sequence[bool]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        marks = [' class="n"' if r else "" for r in right]
        return "".join(f"<{tag}{m}>{escape(c)}</{tag}>" for c, m in zip(cells, marks, strict=True))

    rows = "\n".join(f"<tr>{line(cells, 'td')}</tr>" for cells in body)
    return f"<table>\n<thead><tr>{line(head, 'th')}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>"


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _numeric(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell == "-"
    return True

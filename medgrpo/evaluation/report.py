"""Tables of several prediction sets side by side, by dataset and task, with their format validity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from medgrpo.errors import UserError
from medgrpo.evaluation.official.ranking import COLUMNS
from medgrpo.evaluation.scores import Scores
from medgrpo.tasks import TASKS

__all__ = ["board_by_dataset_table", "board_table", "comparison_table", "grid"]


def comparison_table(sets: Mapping[str, Scores], style: str = "text") -> str:
    """Score and format validity by dataset and task, one pair of columns a prediction set.

    Args:
        sets: Name (e.g. "SFT blind", "SFT", "GRPO") to its strict scores.
        style: ``text`` or ``markdown``.

    Raises:
        UserError: If a set was not scored under the strict protocol.
    """
    for name, scores in sets.items():
        if scores.protocol != "strict":
            raise UserError(f"{name}: the comparison by dataset and task needs strict scores")
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


def grid(head: Sequence[str], body: Sequence[Sequence[str]], style: str = "text") -> str:
    """A table with aligned columns; words to the left, numbers to the right.

    Args:
        head: Titles.
        body: Lines of as many cells.
        style: ``text`` or ``markdown``.

    Raises:
        UserError: For another style.
    """
    if style not in ("text", "markdown"):
        raise UserError(f"unknown table style {style!r}; known are: text, markdown")
    columns = list(zip(head, *body, strict=True))
    widths = [max(len(cell) for cell in column) for column in columns]
    right = [bool(body) and all(_numeric(cell) for cell in column[1:]) for column in columns]

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


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _numeric(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell == "-"
    return True

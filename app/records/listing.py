"""The list of rows, some hundreds at a time: what passes the filters, in the order of the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.records.catalogue import Catalogue, Filters
from app.show.words import task_words
from medgrpo.data.row_fields import inspect_fields

__all__ = ["COLUMNS", "LIMIT", "Listing", "list_rows", "start_before"]

COLUMNS = ["Row", "Dataset", "Task", "Clip", "Question", "Reference answer", "Remark"]
"""Headings of the list of rows."""

LIMIT = 200
"""Rows that are listed at a time."""

_CUT = 110


@dataclass(frozen=True, slots=True)
class Listing:
    """Some rows under some filters.

    Attributes:
        cells: Of each row, under :data:`COLUMNS`.
        words: Which rows these are.
        earlier: Whether rows may stand before these.
        after: Number of the row with which the list goes on; None at its end.
    """

    cells: Sequence[Sequence[str]] = ()
    words: str = ""
    earlier: bool = False
    after: int | None = None


def list_rows(
    catalogue: Catalogue, filters: Filters, first: int, defects: Mapping[int, Sequence[object]]
) -> Listing:
    """The rows from one on, at most :data:`LIMIT`.

    Args:
        catalogue: All rows.
        filters: Which of them.
        first: Number of the row to begin with.
        defects: What is wrong with rows, by their number.

    Raises:
        UserError: If the file cannot be read any more.
    """
    found = catalogue.rows_from(first, filters, LIMIT + 1)
    rows, after = found[:LIMIT], found[LIMIT] if len(found) > LIMIT else None
    cells = [_cells(catalogue, row, len(defects.get(row, ()))) for row in rows]
    keep = catalogue.passing(filters)
    before = int(keep[:first].sum())
    return Listing(cells, _words(len(rows), before, int(keep.sum()), filters, after), before > 0, after)


def start_before(catalogue: Catalogue, filters: Filters, first: int) -> int:
    """Where the list begins that ends before a row.

    Raises:
        UserError: If the file cannot be read any more.
    """
    found = catalogue.rows_before(first, filters, LIMIT)
    return found[0] if len(found) == LIMIT else 0


def _words(listed: int, before: int, passing: int, filters: Filters, after: int | None) -> str:
    if not listed:
        return "No row passes the filters." if not before else "No further row passes the filters."
    if filters.text:  # to count them all, the whole file would have to be searched
        return f"{listed:,} rows that hold this text{', and more' if after is not None else ''}."
    return f"{before + 1:,} to {before + listed:,} of {passing:,} rows."


def _cells(catalogue: Catalogue, row: int, defects: int) -> list[str]:
    value = catalogue.value(row)
    remark = f"{defects} defect{'s' if defects > 1 else ''}" if defects else ""
    if not isinstance(value, dict):
        return [str(row), "", "", "", "not readable", "", remark]
    fields, errors = inspect_fields(value)
    remark = remark or ("defect" if errors else "")
    answer = fields.answer or ""
    answer = answer if len(answer) <= _CUT else answer[:_CUT] + " …"
    task = task_words(fields.task) if fields.task else ""
    return [str(row), fields.dataset, task, fields.video_id, _asked(fields.question), answer, remark]


def _asked(question: str) -> str:
    """The sentence that asks: sentences on who asks, and about what, stand before it."""
    start = question.rfind(". ", 0, max(0, question.find("?"))) + 2
    start = start if start > 1 else 0
    asked = question[start : start + _CUT]
    return f"{'… ' if start else ''}{asked}{' …' if start + _CUT < len(question) else ''}"

"""What the numbers in NurViD's annotations mean, in the spelling of the benchmark.

``Procedure&Action_ID.xlsx`` numbers procedures and actions from 0, in two tables beside each other under two
header lines. The annotations and the splits by video count from 1, the splits by segment from 0: read in any
other way, the steps of a procedure are not its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from medgrpo.data.sources.annotations import Problem
from medgrpo.data.sources.csv_rows import CellError, Row
from medgrpo.data.sources.sheet_rows import sheet_rows
from medgrpo.tasks.next_action import inventory

__all__ = ["SPELLINGS", "Names", "procedure_steps", "read_names"]

FIRST = 1
"""What annotations call the first procedure and the first action."""

HEADER = (
    "procedure/ID",
    "",
    "procedure/English name",
    "",
    "procedure/Split",
    "",
    "action/ID",
    "",
    "action/English name",
    "action/Split",
)
HEADER_LINE = 2

SPELLINGS: Mapping[str, str] = {
    "Cardiopulmonary Resuscitation With Manual Resuscitation Bag": (
        "Cardiopulmonary Resuscitation WIth Manual Resuscitation Bag"
    ),
    "Expose the connection site": "Expose the connection sit",
    "Peripheral Venous Indwelled Needle Infusion and Maintenance": (
        "Peripheral Venous Indwelled Needle Infusion and Maintaince"
    ),
    "Spread the proximal bed sheet": "Spread the proximal bedshee",
    "Spread the proximal bedsheet": "Spread the proximal bedshee",
    "Withdraw contaminated bed sheet": "Withdraw contaminated bed shee",
    "Withdraw contaminated bedsheet": "Withdraw contaminated bed shee",
}
"""Right spellings to those of the benchmark, whose scorer knows no others. The published sheet has the
benchmark's; a corrected one must give the same labels."""


@dataclass(frozen=True, slots=True)
class Names:
    """What the numbers mean.

    Attributes:
        procedures: Number in the annotations to name.
        actions: Number in the annotations to name; some names have two numbers.
    """

    procedures: Mapping[int, str]
    actions: Mapping[int, str]


def read_names(root: Path, name: str, report: Callable[[Problem], object]) -> Names:
    """Read the sheet.

    Args:
        root: Folder of the source.
        name: The sheet's file, relative to it.
        report: Is told of rows that cannot be read, which are left out.

    Raises:
        UserError: If the file is missing, no Excel file, or has other columns.
    """
    tables: dict[str, dict[int, str]] = {"procedure": {}, "action": {}}
    for row in sheet_rows(root, name, HEADER, header_line=HEADER_LINE):
        for kind, known in tables.items():
            try:
                if entry := _entry(row, kind, known):
                    known[entry[0]] = entry[1]
            except CellError as error:
                report(row.problem(error))
    return Names(tables["procedure"], tables["action"])


def _entry(row: Row, kind: str, known: Mapping[int, str]) -> tuple[int, str] | None:
    """Number in the annotations and name in one of the two tables; None below the end of the shorter one."""
    number, name = row.text(f"{kind}/ID"), row.text(f"{kind}/English name")
    if not number and not name:
        return None
    found = row.whole(f"{kind}/ID") + FIRST
    if not name:
        raise CellError(f"{kind}/English name", "is empty")
    if found in known:
        raise CellError(f"{kind}/ID", f"{number} is there twice")
    return found, SPELLINGS.get(name, name)


def procedure_steps(procedure: str) -> tuple[str, ...]:
    """The benchmark's closed list of steps of a procedure; empty for the two that it does not ask about."""
    return tuple(inventory()["NurViD_by_procedure_in_match_order"].get(procedure, ()))

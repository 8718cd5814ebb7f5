"""Where the dashboard keeps clinicians' verdicts: rows are added, never changed, so nothing said is lost.

A correction is a new row that names the one it supersedes, and so is an undo, which says nothing itself. Of a
reviewer and an answer, by its place and its text, the row that no other supersedes is the present one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medgrpo.errors import UserError
from medgrpo.evaluation.verdicts import Verdict, score_from_one_to_five
from medgrpo.services.append_only import AppendOnlyFile, read_rows

__all__ = ["VerdictStore", "stored_verdicts", "verdict_file"]

_KIND = 0x4D475256
_WHAT = "the store of verdicts"
_COLUMNS = """
    id INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, reviewer TEXT NOT NULL, rubric TEXT NOT NULL,
    run TEXT NOT NULL, step INTEGER NOT NULL, group_id TEXT NOT NULL, sample_index INTEGER NOT NULL,
    content TEXT NOT NULL, scores TEXT NOT NULL, accepted INTEGER, unsafe INTEGER NOT NULL,
    wrong_reference INTEGER NOT NULL, unjudgeable INTEGER NOT NULL, comment TEXT NOT NULL,
    blind INTEGER, withdrawn INTEGER NOT NULL, supersedes INTEGER UNIQUE REFERENCES verdict (id)
"""
_SAID = (
    "time, reviewer, rubric, run, step, group_id, sample_index, content, scores, accepted, unsafe, "
    "wrong_reference, unjudgeable, comment, blind"
)
_PRESENT = (
    f"SELECT id, {_SAID} FROM verdict v WHERE NOT withdrawn "
    "AND NOT EXISTS (SELECT 1 FROM verdict w WHERE w.supersedes = v.id)"
)
_LAST = (
    "SELECT id, withdrawn FROM verdict v WHERE reviewer = ? AND run = ? AND step = ? AND group_id = ? "
    "AND sample_index = ? AND content = ? "
    "AND NOT EXISTS (SELECT 1 FROM verdict w WHERE w.supersedes = v.id)"
)


class VerdictStore:
    """Adds verdicts to a SQLite file; several dashboards on one machine may share it.

    Args:
        path: The file, made if there is none.

    Raises:
        UserError: If it cannot be opened or is of another kind.
    """

    def __init__(self, path: Path) -> None:
        self._file = AppendOnlyFile(path, {"verdict": _COLUMNS}, _KIND, _WHAT)

    def add(self, verdict: Verdict) -> int:
        """Save a verdict; it supersedes what its reviewer said of the same text before.

        Args:
            verdict: Its ``time`` is not used: the moment of saving is kept.

        Returns:
            The number of the row. When this returns, the row outlives a crash.

        Raises:
            UserError: If a score is none, or the row cannot be written; then nothing was.
        """
        for name, score in verdict.scores.items():
            score_from_one_to_five(score, name)
        return self._append(verdict, withdrawn=False)

    def withdraw(self, verdict: Verdict) -> bool:
        """Take a verdict back by a row that supersedes it.

        Returns:
            Whether there was one to take back.

        Raises:
            UserError: If the row cannot be written.
        """
        return self._append(verdict, withdrawn=True) > 0

    def _append(self, verdict: Verdict, *, withdrawn: bool) -> int:
        place = (verdict.reviewer, *verdict.key, verdict.content)
        values = (round(time.time(), 3), verdict.reviewer, verdict.rubric, *verdict.key, verdict.content)
        said = (
            json.dumps(dict(verdict.scores)),
            *(verdict.accepted, verdict.unsafe, verdict.wrong_reference, verdict.unjudgeable),
            *(_storable(verdict.comment), verdict.blind),
        )
        with self._file.appending() as connection:
            before = connection.execute(_LAST, place).fetchone()
            if withdrawn and (before is None or before[1]):
                return 0
            marks = ", ".join("?" * (len(values) + len(said) + 2))
            row = (*values, *said, withdrawn, before[0] if before else None)
            added = connection.execute(
                f"INSERT INTO verdict ({_SAID}, withdrawn, supersedes) VALUES ({marks})", row
            )
            return int(added.lastrowid or 0)

    def present(self, reviewer: str | None = None) -> list[Verdict]:
        """The verdicts that count now, in the order of saving.

        Args:
            reviewer: Only this one's; all if None.

        Raises:
            UserError: If the file can no longer be read.
        """
        chosen = "" if reviewer is None else " AND reviewer = ?"
        rows = self._file.rows(f"{_PRESENT}{chosen} ORDER BY id", () if reviewer is None else (reviewer,))
        return [_verdict(row) for row in rows]

    def version(self) -> int:
        """Rises with every row, whoever adds it."""
        return int(self._file.rows("SELECT coalesce(max(id), 0) FROM verdict")[0][0])

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def verdict_file(place: str | Path) -> Path:
    """The store of a dashboard's folder, or the file itself.

    Raises:
        UserError: If there is none.
    """
    path = Path(place)
    found = path / "verdicts.sqlite" if path.is_dir() else path
    if not found.is_file():
        raise UserError(
            f"{place}: no verdicts; name the dashboard's folder (<runs>-review) or its verdicts.sqlite"
        )
    return found


def stored_verdicts(path: str | Path, dimensions: Sequence[str] | None = None) -> list[Verdict]:
    """The verdicts of a store that count now, without changing the file.

    Args:
        path: Of the SQLite file.
        dimensions: Scores of others are left out; None keeps all.

    Raises:
        UserError: If it cannot be read or is of another kind.
    """
    rows = read_rows(Path(path), _KIND, _WHAT, f"{_PRESENT} ORDER BY id")
    return [_verdict(row, dimensions) for row in rows]


def _verdict(row: Sequence[Any], dimensions: Sequence[str] | None = None) -> Verdict:
    _, at, reviewer, rubric, run, step, group_id, index, content, scores, accepted, *flags, comment, blind = (
        row
    )
    unsafe, wrong_reference, unjudgeable = (bool(flag) for flag in flags)
    given = {name: float(score) for name, score in json.loads(scores).items()}
    return Verdict(
        (run, step, group_id, index),
        reviewer,
        {name: score for name, score in given.items() if dimensions is None or name in dimensions},
        accepted=None if accepted is None else bool(accepted),
        unsafe=unsafe,
        wrong_reference=wrong_reference,
        unjudgeable=unjudgeable,
        blind=None if blind is None else bool(blind),
        comment=comment,
        rubric=rubric,
        content=content,
        time=at,
    )


def _storable(text: str) -> str:
    """Without what UTF-8 cannot hold."""
    return text.encode("utf-8", "replace").decode()

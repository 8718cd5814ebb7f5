"""A file that the leaderboard accepts: one entry for each row of the test split, in its order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medgrpo.errors import UserError
from medgrpo.evaluation.predictions import align
from medgrpo.services.files import write_whole
from medgrpo.types import Sample

__all__ = ["MINIMUM_ROWS", "submission_of", "write_submission"]

MINIMUM_ROWS = 100
"""The server refuses files with fewer rows."""


def submission_of(samples: Sequence[Sample], entries: Sequence[Any]) -> list[dict[str, str]]:
    """Entries of exactly ``id``, ``qa_type`` and ``prediction`` in the order of the records.

    The server merges by position and only warns about another ``qa_type``, so that a shifted file would be
    scored against the wrong questions in silence; here everything is checked.

    Args:
        samples: All rows of the test split.
        entries: Predictions, see :func:`medgrpo.evaluation.predictions.align`.

    Raises:
        UserError: For a wrong number of predictions, a missing or doubled row, another ``id`` or
            ``qa_type``, or a prediction that is no text; the row is named.
    """
    aligned = align(samples, entries)
    if aligned.defects:
        more = len(aligned.defects) - 1
        raise UserError(str(aligned.defects[0]) + (f" (and {more} more)" if more else ""))
    for row, entry in enumerate(entries):
        if isinstance(entry, str) or any(name not in entry for name in ("id", "qa_type")):
            raise UserError(
                f'predictions row {row}: needs "id" and "qa_type" beside "prediction", so that a shift '
                "of the rows cannot go unseen"
            )
    return [
        {"id": sample.id, "qa_type": sample.qa_type, "prediction": str((entry or {})["prediction"])}
        for sample, entry in zip(samples, aligned.entries, strict=True)
    ]


def write_submission(path: str | Path, rows: Sequence[dict[str, str]]) -> None:
    """Write the file, whole or not at all.

    Raises:
        UserError: If it cannot be written.
    """
    write_whole(path, json.dumps(list(rows), indent=1, ensure_ascii=False) + "\n")

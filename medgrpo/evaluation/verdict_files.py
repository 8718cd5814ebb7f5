"""Verdicts as files for spreadsheets and other programs: CSV, JSON lines or Parquet."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from medgrpo.errors import UserError
from medgrpo.evaluation.verdicts import Verdict

__all__ = ["FORMS", "verdict_bytes", "verdicts_hash"]

FORMS = {
    ".csv": "text/csv; charset=utf-8",
    ".jsonl": "application/x-ndjson",
    ".parquet": "application/vnd.apache.parquet",
}
"""Ending to media type."""

_NAMES = [("run", pa.string()), ("step", pa.int64()), ("group_id", pa.string()), ("sample_index", pa.int64())]
_REST = [
    ("accepted", pa.bool_()),
    ("unsafe", pa.bool_()),
    ("wrong_reference", pa.bool_()),
    ("unjudgeable", pa.bool_()),
    ("comment", pa.string()),
    ("blind", pa.bool_()),
    ("rubric", pa.string()),
    ("content", pa.string()),
    ("time", pa.string()),
]
# What spreadsheets may take for a formula, also after spaces; full-width forms too. A cell that is quoted
# already is quoted once more, so that reading takes away exactly what writing added.
_FORMULA = re.compile(r"'*\s*[=+\-@\uFF1D\uFF0B\uFF0D\uFF20\t\r\n]")


def verdict_bytes(verdicts: Sequence[Verdict], form: str) -> bytes:
    """The content of a file that :func:`~medgrpo.evaluation.verdicts.read_verdicts` reads back.

    Args:
        verdicts: In the order of the rows.
        form: One of :data:`FORMS`.

    Raises:
        UserError: If there is no such form.
    """
    if form not in FORMS:
        raise UserError(
            f"verdicts are written as {', '.join(FORMS)}, not as {form or 'a file without ending'}"
        )
    dimensions = sorted({name for verdict in verdicts for name in verdict.scores})
    rows = [_row(verdict, dimensions) for verdict in verdicts]
    schema = pa.schema(
        [*_NAMES, ("reviewer", pa.string()), *((name, pa.float64()) for name in dimensions), *_REST]
    )
    if form == ".parquet":
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), buffer, compression="zstd")
        return buffer.getvalue()
    if form == ".jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, schema.names)
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue().encode("utf-8-sig")  # the mark tells spreadsheets that it is UTF-8


def verdicts_hash(verdicts: Sequence[Verdict]) -> str:
    """The sha256 of the verdicts as JSON lines, whatever file they were read from."""
    return hashlib.sha256(verdict_bytes(verdicts, ".jsonl")).hexdigest()


def _row(verdict: Verdict, dimensions: Sequence[str]) -> dict[str, Any]:
    at = None if math.isnan(verdict.time) else datetime.fromtimestamp(verdict.time, UTC).isoformat()
    names = dict(zip((name for name, _ in _NAMES), verdict.key, strict=True))
    scores = {name: verdict.scores.get(name) for name in dimensions}
    rest = {name: getattr(verdict, name) for name, _ in _REST[:-1]}
    return {**names, "reviewer": verdict.reviewer, **scores, **rest, "time": at}


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value

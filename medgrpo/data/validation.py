"""Everything that is wrong with a records file, row by row, and which rows repeat others.

Unlike reading, which stops at the first defect, this goes through the whole file and reports all.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medgrpo.data.fields import FieldError
from medgrpo.data.frame_checks import FrameChecks
from medgrpo.data.json_rows import RawRow, scan_rows
from medgrpo.data.row_fields import RowFields, inspect_fields
from medgrpo.data.truths import truth_defects
from medgrpo.errors import UserError

__all__ = ["Defect", "Findings", "bad_rows", "check_records", "good_rows"]

WHOLE_ROW = "row"
"""The field of a defect that is not in a field: the row is no object, or no JSON."""

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Defect:
    """Something wrong with a row.

    Attributes:
        row: Its index, from 0.
        line: Where it starts in the file, from 1.
        field: With dots for nested ones.
        problem: What is wrong and what is expected.
    """

    row: int
    line: int
    field: str
    problem: str

    def __str__(self) -> str:
        where = "" if self.field == WHOLE_ROW else f"field {self.field!r}: "
        return f"row {self.row} (line {self.line}): {where}{self.problem}"


@dataclass
class Findings:
    """What a check found.

    Attributes:
        path: The records file.
        rows: Rows in it.
        unanswered: Rows without a reference answer, as in the test split; no defect.
        defects: In the order of the rows.
        by_dataset: Rows, bad rows and defects of each dataset.
        by_task: The same of each task.
        identical: Groups of rows that are equal.
        conflicting: Groups of rows with one key (id, task and question) that are not.
        frames: Distinct frames and videos that were decoded; None if they were not.
        broken_frames: Those of them that are missing or damaged.
    """

    path: Path
    rows: int = 0
    unanswered: int = 0
    defects: list[Defect] = field(default_factory=list)
    by_dataset: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    by_task: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    identical: list[list[int]] = field(default_factory=list)
    conflicting: list[list[int]] = field(default_factory=list)
    frames: int | None = None
    broken_frames: int | None = None

    @property
    def by_row(self) -> dict[int, list[Defect]]:
        """Defects of each bad row."""
        found: dict[int, list[Defect]] = defaultdict(list)
        for defect in self.defects:
            found[defect.row].append(defect)
        return dict(found)

    def summary(self) -> dict[str, Any]:
        """Counts, ready for JSON."""
        return {
            "records": str(self.path),
            "rows": self.rows,
            "bad_rows": len({defect.row for defect in self.defects}),
            "defects": len(self.defects),
            "unanswered": self.unanswered,
            "by_field": dict(Counter(defect.field for defect in self.defects).most_common()),
            "by_dataset": {name: dict(counts) for name, counts in sorted(self.by_dataset.items())},
            "by_task": {name: dict(counts) for name, counts in sorted(self.by_task.items())},
            "duplicates": {
                "identical": {"keys": len(self.identical), "rows": sum(map(len, self.identical))},
                "conflicting": {"keys": len(self.conflicting), "rows": sum(map(len, self.conflicting))},
            },
            "frames": self.frames,
            "broken_frames": self.broken_frames,
        }


def check_records(
    path: str | Path,
    *,
    frames: FrameChecks | None = None,
    skip_broken_lines: bool = False,
    progress: bool = True,
    seen: Callable[[RawRow, RowFields | None], object] | None = None,
) -> Findings:
    """Check every row of a records file.

    Args:
        path: JSON array or JSON Lines.
        frames: Also decode the frames.
        skip_broken_lines: Count a line of a JSON Lines file that is no JSON as a row with a defect.
        progress: Show bars.
        seen: Called with each row, and with its fields, those with a defect empty; None for no object.

    Raises:
        UserError: If the file cannot be read, or is not JSON.
    """
    findings = Findings(Path(path))
    sources: list[tuple[str, str]] = []
    known: dict[tuple[str, str], tuple[str, str]] = {}
    lines = array("q")
    duplicates = _Duplicates(findings.path)
    for raw in _scan(findings.path, progress, "read rows"):
        if not raw.is_json and not skip_broken_lines:
            raise UserError(f"{path}: {raw.problem}")
        findings.rows += 1
        lines.append(raw.line)
        fields, errors = _inspect(raw)
        if seen is not None:
            seen(raw, fields)
        source = (UNKNOWN, UNKNOWN) if fields is None else (fields.dataset or UNKNOWN, fields.task or UNKNOWN)
        sources.append(known.setdefault(source, source))
        findings.defects += [Defect(raw.row, raw.line, e.field, e.problem) for e in errors]
        if fields is None or any(not error.field.startswith("struc_info") for error in errors):
            continue
        findings.unanswered += fields.answer is None
        duplicates.add(raw, fields.key)
        if frames is not None:
            frames.add(raw.row, fields, raw.value)
    findings.identical, findings.conflicting = duplicates.groups()
    if frames is not None:
        found = [Defect(row, lines[row], e.field, e.problem) for row, e in frames.run(progress)]
        findings.defects = sorted(findings.defects + found, key=lambda defect: defect.row)
        findings.frames, findings.broken_frames = frames.frames, len(frames.problems)
    bad = findings.by_row
    for row, (dataset, task) in enumerate(sources):
        defects = len(bad.get(row, ()))
        for counts in (findings.by_dataset[dataset], findings.by_task[task]):
            counts.update(rows=1, bad_rows=int(defects > 0), defects=defects)
    return findings


def good_rows(findings: Findings, progress: bool = True) -> Iterator[dict[str, Any]]:
    """The rows without a defect, read again."""
    bad = findings.by_row
    return (raw.value for raw in _scan(findings.path, progress, "write good rows") if raw.row not in bad)


def bad_rows(findings: Findings, progress: bool = True) -> Iterator[dict[str, Any]]:
    """The other rows, read again, with their number as ``_row`` and what is wrong as ``_defects``.

    What is no object is under ``_value``, a line that is no JSON as text under ``_line``.
    """
    bad = findings.by_row
    with findings.path.open("rb") as file:
        for raw in _scan(findings.path, progress, "write bad rows"):
            if raw.row not in bad:
                continue
            told = [{"field": d.field, "problem": d.problem} for d in bad[raw.row]]
            content = raw.value
            if not raw.is_json:
                file.seek(raw.offset)
                content = {"_line": file.read(raw.length).decode("utf-8", "replace")}
            elif not isinstance(content, dict):
                content = {"_value": content}
            yield {"_row": raw.row, "_defects": told} | content


class _Duplicates:
    """Rows with the same key."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._first: dict[bytes, int] = {}
        self._places = array("q")
        self._repeats: dict[bytes, list[tuple[int, bytes]]] = {}

    def add(self, raw: RawRow, key: str) -> None:
        """Note a row; the contents of those whose key was seen before are compared."""
        digest = hashlib.blake2b(key.encode(), digest_size=16).digest()
        position = self._first.setdefault(digest, len(self._places))
        if position == len(self._places):
            self._places.extend((raw.row, raw.offset, raw.length))
            return
        if digest not in self._repeats:
            row, offset, length = self._places[position : position + 3]
            with self.path.open("rb") as file:
                file.seek(offset)
                self._repeats[digest] = [(row, _content(json.loads(file.read(length))))]
        self._repeats[digest].append((raw.row, _content(raw.value)))

    def groups(self) -> tuple[list[list[int]], list[list[int]]]:
        """Groups of equal rows, and of rows that share a key while some of them differ."""
        identical: list[list[int]] = []
        conflicting: list[list[int]] = []
        for repeats in self._repeats.values():
            equal: dict[bytes, list[int]] = defaultdict(list)
            for row, content in repeats:
                equal[content].append(row)
            identical += [rows for rows in equal.values() if len(rows) > 1]
            if len(equal) > 1:
                conflicting.append([row for row, _ in repeats])
        return identical, conflicting


def _content(record: Any) -> bytes:
    """The same for equal rows, however they are written."""
    return hashlib.blake2b(json.dumps(record, sort_keys=True).encode(), digest_size=16).digest()


def _scan(path: Path, progress: bool, title: str) -> Iterator[RawRow]:
    from tqdm import tqdm

    size = path.stat().st_size if path.is_file() else 0
    with tqdm(total=size, desc=title, unit="B", unit_scale=True, disable=not progress) as bar:
        for raw in scan_rows(path, tolerant=True):
            yield raw
            bar.update(raw.offset + raw.length - bar.n)
        bar.update(size - bar.n)


def _inspect(raw: RawRow) -> tuple[RowFields | None, list[FieldError]]:
    """The fields of a row that is an object, and all of its defects."""
    if raw.problem is not None:
        return None, [FieldError(WHOLE_ROW, raw.problem)]
    fields, errors = inspect_fields(raw.value)
    truth = truth_defects(fields.task, raw.value.get("struc_info")) if fields.task else []
    return fields, errors + truth

"""Predictions files: reading, and finding for every record its prediction.

The leaderboard's form is a JSON list of ``{"id", "qa_type", "prediction"}`` in the order of the records, and
an ``id`` occurs several times there. Files written here also carry ``key`` (id, task and a hash of the
question), by which entries are matched whatever their order, and ``truncated``.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medgrpo.errors import UserError
from medgrpo.evaluation.rows import Named, answer_problem
from medgrpo.services.files import read_json, read_text, write_whole
from medgrpo.types import Completion, Sample

__all__ = [
    "Aligned",
    "BrokenLine",
    "Defect",
    "align",
    "prediction_entry",
    "read_predictions",
    "write_predictions",
]


@dataclass(frozen=True, slots=True)
class Defect:
    """One thing that is wrong with an input file.

    Attributes:
        file: ``records`` or ``predictions``.
        row: Index in that file, from 0.
        field: Name of the field; empty if it is the row as a whole.
        problem: What is wrong.
        content: The row.
    """

    file: str
    row: int
    field: str
    problem: str
    content: Any = None

    def __str__(self) -> str:
        field = f'field "{self.field}" ' if self.field else ""
        return f"{self.file} row {self.row}: {field}{self.problem}"


@dataclass(frozen=True, slots=True)
class BrokenLine:
    """A line of a predictions file that cannot be read."""

    problem: str


@dataclass(frozen=True, slots=True)
class Aligned:
    """Predictions by record.

    Attributes:
        entries: The prediction of each record; None where there is none that can be used.
        defects: What is wrong, in the order of rows.
    """

    entries: list[Mapping[str, Any] | None]
    defects: list[Defect]


def read_predictions(path: str | Path, *, tolerant: bool = False) -> list[Any]:
    """The entries of a predictions file, JSON list or JSON Lines.

    Args:
        path: The file.
        tolerant: Let a line of a JSON Lines file that is no JSON be a :class:`BrokenLine`.

    Raises:
        UserError: If the file cannot be read, is no JSON, or holds no list.
    """
    path = Path(path)
    if path.suffix == ".jsonl":
        return _read_lines(path, tolerant)
    content = read_json(path, "a JSON list of predictions")
    if not isinstance(content, list):
        raise UserError(f"{path}: expected a JSON list of predictions, got {type(content).__name__}")
    return content


def _read_lines(path: Path, tolerant: bool) -> list[Any]:
    entries: list[Any] = []
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            entries.append(json.loads(line))
        except ValueError as error:
            problem = f"not valid JSON at line {number}: {error}"
            if not tolerant:
                raise UserError(f"{path}: {problem}") from None
            entries.append(BrokenLine(problem))
    return entries


def prediction_entry(sample: Sample, completion: Completion) -> dict[str, Any]:
    """What a predictions file holds of one answer."""
    return {
        "id": sample.id,
        "qa_type": sample.qa_type,
        "prediction": completion.text,
        "key": sample.key,
        "truncated": completion.finish_reason == "length",
    }


def write_predictions(path: str | Path, entries: Iterable[Mapping[str, Any]]) -> None:
    """Write a predictions file, one entry a line.

    Raises:
        UserError: If it cannot be written.
    """
    lines = ",\n".join(json.dumps(dict(entry), ensure_ascii=False) for entry in entries)
    write_whole(path, f"[\n{lines}\n]\n")


def align(records: Sequence[Named], entries: Sequence[Any]) -> Aligned:
    """Find for every record its prediction.

    Entries that all carry ``key`` are matched by it; entries of equal keys belong to equal questions, in
    order. Otherwise entry i belongs to record i, and ``id`` and ``qa_type`` must agree.

    Args:
        records: Samples or names of raw rows.
        entries: The predictions: objects or bare strings.

    Raises:
        UserError: If entries without keys are not as many as the records: nothing tells which one is missing.
    """
    readable = [entry for entry in entries if not isinstance(entry, BrokenLine)]
    if readable and all(isinstance(e, Mapping) and isinstance(e.get("key"), str) for e in readable):
        return _by_key(records, entries)
    if len(entries) != len(records):
        raise UserError(
            f'{len(entries)} predictions for {len(records)} records; without a "key" they are matched by '
            "position, so give one for each record, in order"
        )
    found: list[Mapping[str, Any] | None] = []
    defects = []
    for row, (record, entry) in enumerate(zip(records, entries, strict=True)):
        broken = ("", entry.problem) if isinstance(entry, BrokenLine) else None
        problem = broken or answer_problem(record, entry)
        found.append(None if problem else entry if isinstance(entry, Mapping) else {"prediction": entry})
        if problem:
            defects.append(Defect("predictions", row, *problem, content=None if broken else entry))
    return Aligned(found, defects)


def _by_key(samples: Sequence[Named], entries: Sequence[Any]) -> Aligned:
    places: dict[str, deque[int]] = defaultdict(deque)
    for i, sample in enumerate(samples):
        places[sample.key].append(i)
    known = set(places)
    found: list[Mapping[str, Any] | None] = [None] * len(samples)
    taken: set[int] = set()
    defects = []
    for row, entry in enumerate(entries):
        if isinstance(entry, BrokenLine):
            defects.append(Defect("predictions", row, "", entry.problem))
            continue
        key = entry["key"]
        if not places.get(key):
            problem = "a second prediction for one question" if key in known else "no record has this key"
            defects.append(Defect("predictions", row, "key", f"{problem} ({key!r})", entry))
            continue
        place = places[key].popleft()
        taken.add(place)
        if wrong := answer_problem(samples[place], entry):
            defects.append(Defect("predictions", row, *wrong, content=entry))
        else:
            found[place] = entry
    for i in sorted(set(range(len(samples))) - taken):
        sample = samples[i]
        defects.append(
            Defect("records", sample.row, "", f"no prediction for {sample.id!r} ({sample.qa_type})")
        )
    return Aligned(found, defects)

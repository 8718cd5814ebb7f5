"""NurViD's official splits: tables of ``path label`` under a first line ``path-label``.

``task1&3`` splits whole videos. ``task2`` splits segments, and most videos are in several of its parts: it
settles the split of a video only where task1&3 does not know it and all of its segments are in one part.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medgrpo.data.sources.annotations import Problem, Provenance
from medgrpo.data.sources.csv_rows import headerless_rows
from medgrpo.errors import UserError

__all__ = ["Listed", "official_splits", "parse_listed"]

PARTS = ("train", "val", "test")
VIDEO_TABLES = "annotations/task1&3/{part}.csv"
SEGMENT_TABLES = ("annotations/task2/action_{part}.csv", "annotations/task2/procedure_{part}.csv")
COLUMN = "path-label"
HEADINGS = (COLUMN, "path-lable")
"""One of the published tables has the second."""

_LISTED = re.compile(r"(?:.*[/\\])?(?P<stem>[^/\\]+)\.\w+\s+(?P<label>\d{1,9})")
_SEGMENT = re.compile(r"(?P<video>.+)_(?P<number>\d+)")


@dataclass(frozen=True, slots=True)
class Listed:
    """A row of a split: a file and its class.

    Attributes:
        stem: The file's name without folder and ending: a YouTube id, with ``_<n>`` for its n-th segment.
        label: Number of the class.
    """

    stem: str
    label: int

    @property
    def segment_of(self) -> str:
        """The YouTube id where the file is a segment, else the whole name."""
        match = _SEGMENT.fullmatch(self.stem)
        return match["video"] if match else self.stem


def parse_listed(text: str) -> Listed | None:
    """A row as file and class, written on any machine; None if it is neither."""
    match = _LISTED.fullmatch(text)
    return Listed(match["stem"], int(match["label"])) if match else None


def official_splits(
    root: Path, procedures: Mapping[str, Any], report: Callable[[Problem], object]
) -> dict[str, str]:
    """The split of each video that has one.

    Args:
        root: Folder of the source.
        procedures: YouTube id to the number of its procedure, as the annotations have it.
        report: Is told of tables that are missing, and of rows that contradict the annotations or each other.

    Raises:
        UserError: If a table is not UTF-8 text or has another first line.
    """
    found: dict[str, str] = {}
    for part in PARTS:
        for listed, where in _rows(root, VIDEO_TABLES.format(part=part), report):
            video_id = listed.stem
            if video_id not in procedures:
                report(Problem(video_id, where, COLUMN, "the annotations do not know the video"))
            elif listed.label != procedures[video_id]:
                text = f"class {listed.label} is not the annotations' operationID {procedures[video_id]}"
                report(Problem(video_id, where, COLUMN, text))
            elif found.setdefault(video_id, part) != part:
                report(Problem(video_id, where, COLUMN, f"is in the split {found[video_id]} too"))
    parts: dict[str, set[str]] = defaultdict(set)
    for part in PARTS:
        for table in SEGMENT_TABLES:
            for listed, _ in _rows(root, table.format(part=part), report):
                parts[listed.segment_of].add(part)
    for video_id in procedures:
        if video_id not in found and len(parts[video_id]) == 1:
            found[video_id] = min(parts[video_id])
    return found


def _rows(root: Path, name: str, report: Callable[[Problem], object]) -> Iterator[tuple[Listed, Provenance]]:
    """The files of a table with their classes, below its heading."""
    if not (root / name).is_file():
        text = "the file is missing; some official splits are not known"
        report(Problem("", Provenance(name), COLUMN, text))
        return
    heading, *rows = headerless_rows(root, name, (COLUMN,), report)
    if heading.text(COLUMN) not in HEADINGS:
        place = f"{root / name}: line {heading.provenance.line}"
        raise UserError(f"{place}: expected the heading {COLUMN!r}, found {heading.text(COLUMN)[:60]!r}")
    for row in rows:
        listed = parse_listed(row.text(COLUMN))
        if listed is None:
            text = f"{row.text(COLUMN)[:60]!r} is not a path and a number"
            report(Problem("", row.provenance, COLUMN, text))
        else:
            yield listed, row.provenance

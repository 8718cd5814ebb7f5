"""Rows that a run sets aside because their frames cannot be read: a report, a count and a limit.

Data workers, ranks and the run that continues an interrupted one share the report, a file of JSON lines. Each
row stands in it once: a process reads what others have added, and appends its line, under a lock.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
from pathlib import Path
from typing import Any, BinaryIO

from medgrpo.errors import UserError
from medgrpo.types import Clip, Sample

__all__ = ["BadClips", "rows_set_aside"]

logger = logging.getLogger(__name__)


class BadClips:
    """The clips of a run that are set aside.

    Args:
        report: File of the rows, made with the first one: records file, row, id, clip, field and problem.
        limit: Most distinct clips; with 0 none may be set aside.
    """

    def __init__(self, report: Path | str, limit: int) -> None:
        self.report = Path(report)
        self.limit = limit
        self._rows: set[tuple[str, int]] = set()
        self._clips: set[str] = set()
        self._offset = 0

    def set_aside(self, records: str, sample: Sample, problem: str) -> None:
        """Report a row, and warn of its clip, unless some process has done so.

        Args:
            records: File of the row.
            sample: The row.
            problem: Why its frames cannot be read.

        Raises:
            UserError: If these are more clips than the limit, or the report cannot be written.
        """
        if (records, sample.row) not in self._rows:
            self._report(records, sample, problem)
        if len(self._clips) > self.limit:
            raise UserError(
                f"the frames of {len(self._clips)} clips cannot be read, more than "
                f"max_bad_clips={self.limit}; {self.report} lists them; the last: "
                f"{records}: row {sample.row} ({sample.id}): {problem}"
            )

    def counts(self) -> dict[str, float]:
        """Clips and rows that all processes have set aside so far, as metrics."""
        if self.report.is_file():
            with self.report.open("rb") as file:
                self._read(file)
        return {"data/bad_clips": float(len(self._clips)), "data/bad_rows": float(len(self._rows))}

    def _report(self, records: str, sample: Sample, problem: str) -> None:
        clip = _name(sample.clip)
        entry = {
            "records": records,
            "row": sample.row,
            "id": sample.id,
            "clip": clip,
            "field": "video",
            "problem": problem,
        }
        line = json.dumps(entry).encode() + b"\n"
        try:
            self.report.parent.mkdir(parents=True, exist_ok=True)
            with self.report.open("a+b", buffering=0) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                torn = self._read(file)
                if (records, sample.row) in self._rows:
                    return
                known = clip in self._clips
                # One write to a file opened for appending, so that no line is ever divided by another.
                if file.write(b"\n" + line if torn else line) < len(line):
                    raise UserError(f"{self.report}: cannot be written: no space left on the disk")
                self._read(file)
        except OSError as error:
            raise UserError(f"{self.report}: cannot be written: {error.strerror}") from error
        if not known:
            logger.warning(
                "%s: row %d (%s): %s; rows of this clip are set aside (bad clips: %d, max_bad_clips: %d)",
                *(records, sample.row, sample.id, problem, len(self._clips), self.limit),
            )

    def _read(self, file: BinaryIO) -> bool:
        """Take in the lines that were added; whether a crash left the last one unfinished."""
        file.seek(self._offset)
        whole, newline, rest = file.read().rpartition(b"\n")
        self._offset += len(whole) + len(newline)
        for line in whole.splitlines():
            entry = _entry(line)
            if entry is not None:
                self._rows.add((entry["records"], entry["row"]))
                self._clips.add(entry["clip"])
        return bool(rest)


def rows_set_aside(report: Path | str) -> list[dict[str, Any]]:
    """The rows of a report: records file, row, id, clip, field and problem; what a crash tore is left out.

    Raises:
        UserError: If the file cannot be read.
    """
    try:
        lines = Path(report).read_bytes().splitlines()
    except OSError as error:
        raise UserError(f"{report}: cannot be read: {error.strerror}") from error
    return [entry for entry in map(_entry, lines) if entry is not None]


def _entry(line: bytes) -> dict[str, Any] | None:
    """A line of the report; None for what a crash left."""
    try:
        entry = json.loads(line)
        return entry | {name: str(entry[name]) for name in ("records", "clip")} | {"row": int(entry["row"])}
    except (ValueError, TypeError, KeyError):
        return None


def _name(clip: Clip) -> str:
    """The same for rows about one clip, in every process."""
    parts = (clip.video, clip.start, clip.end, clip.frames)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

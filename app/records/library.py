"""The records files of the command line, each read once in the background: first to be browsed, then checked.

A sound file is browsed by the index that training uses, which large files keep on disk; the check that
``medgrpo check`` makes follows. A file with defects has no such index, and is browsed when the check is done.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from app.records.catalogue import Catalogue, Collector, catalogue_of
from medgrpo.data.bad_clips import rows_set_aside
from medgrpo.data.index import load_index, stamp_of
from medgrpo.data.media import MediaPaths
from medgrpo.data.validation import Defect, Findings, check_records
from medgrpo.errors import UserError

__all__ = ["Library", "RecordsFile", "State", "whole_number"]

_DIGITS = 15
"""Of the largest number that is read from a link."""


_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class State:
    """How far the reading of a file has come.

    Attributes:
        catalogue: Its rows; None until they can be listed.
        findings: What the check found; None until it is done.
        problem: Why the file cannot be read; empty if it can.
        version: Rises with every change.
    """

    catalogue: Catalogue | None = None
    findings: Findings | None = None
    problem: str = ""
    version: int = 0

    @property
    def done(self) -> bool:
        """Whether nothing more will change."""
        return self.findings is not None or bool(self.problem)


class RecordsFile:
    """One file.

    Args:
        path: JSON array or JSON Lines.
        media: Where its frames are.

    Attributes:
        state: How far its reading has come.
        defects: What the check found wrong with rows, by their number.
    """

    def __init__(self, path: Path, media: MediaPaths) -> None:
        self.path = path
        self.media = media
        self.state = State()
        self.defects: Mapping[int, Sequence[Defect]] = {}
        self._collector = Collector()
        self._stamp = ""
        self._lock = threading.Lock()

    def listed(self, seconds: float) -> State:
        """The state as soon as rows can be listed, or it is known why not; after some seconds as it is."""
        ends = time.monotonic() + seconds
        while self.state.catalogue is None and not self.state.done and time.monotonic() < ends:
            time.sleep(0.05)
        return self.state

    @property
    def checked(self) -> int:
        """Rows that the check has seen so far."""
        return self._collector.rows

    def refresh(self) -> None:
        """Begin to read the file, if that has not been done since it last changed."""
        with self._lock:
            try:
                stamp = stamp_of(self.path)
            except UserError as error:
                self._stamp = ""
                self._become(State(problem=str(error)))
                return
            if stamp == self._stamp:
                return
            self._stamp, self._collector = stamp, Collector()
            self._become(State())
            threading.Thread(target=self._read, args=(stamp, self._collector), daemon=True).start()

    def _read(self, stamp: str, collector: Collector) -> None:
        state = State()
        try:
            try:
                state = State(catalogue_of(self.path, load_index(self.path).table))
                self._publish(stamp, state)
            except UserError:
                pass  # the check tells every defect, not only the first
            findings = check_records(self.path, skip_broken_lines=True, progress=False, seen=collector.see)
            catalogue = state.catalogue or collector.catalogue(self.path)
            self._publish(stamp, State(catalogue, findings))
        except UserError as error:
            self._publish(stamp, replace(state, problem=str(error)))
        except Exception as error:  # or the page would wait for ever
            _log.exception("%s could not be read", self.path)
            told = (
                f"{self.path}: reading it failed ({type(error).__name__}); the log of the dashboard says more"
            )
            self._publish(stamp, replace(state, problem=told))

    def _publish(self, stamp: str, state: State) -> None:
        with self._lock:
            if stamp == self._stamp:  # else the file has changed, and another thread reads it
                self._become(state)

    def _become(self, state: State) -> None:
        self.defects = {} if state.findings is None else state.findings.by_row
        self.state = replace(state, version=self.state.version + 1)


class Library:
    """All files.

    Args:
        files: Paths and where their frames are.
        runs: Folder that training writes to, whose reports of unreadable clips are shown.
    """

    def __init__(self, files: Sequence[tuple[Path, MediaPaths]], runs: Path) -> None:
        self.files = [RecordsFile(path, media) for path, media in files]
        self.runs = runs

    def file(self, choice: str) -> RecordsFile:
        """A file by its number in :meth:`choices`.

        Raises:
            UserError: If there is none.
        """
        number = whole_number(choice)
        if number is None or number >= len(self.files):
            raise UserError(f"there is no records file {choice[:_DIGITS]!r}; choose one from the list")
        return self.files[number]

    def name(self, choice: str, row: object) -> str:
        """What the audit log calls a row.

        Raises:
            UserError: If there is no such file.
        """
        return f"{self.file(choice).path.name} row {row}"

    def refresh(self) -> None:
        """Look whether files have changed."""
        for file in self.files:
            file.refresh()

    def choices(self) -> list[tuple[str, str]]:
        """(label, number) of each file; files of one name are told apart by their folder."""
        names = [file.path.name for file in self.files]
        return [
            (name if names.count(name) == 1 else f"{name} ({file.path.parent.name})", str(number))
            for number, (name, file) in enumerate(zip(names, self.files, strict=True))
        ]

    def set_aside(self, file: RecordsFile) -> list[tuple[str, int, str]]:
        """Rows of a file that runs left out because their frames could not be read: run, row and problem."""
        found = []
        for depth in ("*", "*/*", "*/*/*"):
            for report in sorted(self.runs.glob(f"{depth}/bad_clips.jsonl")):
                run = str(report.parent.relative_to(self.runs))
                try:
                    entries = rows_set_aside(report)
                except UserError as error:
                    found.append((run, -1, str(error)))
                    continue
                found += [
                    (run, entry["row"], str(entry.get("problem", "")))
                    for entry in entries
                    if Path(entry["records"]).name == file.path.name
                ]
        return found


def whole_number(text: str) -> int | None:
    """A number as links and choices hold it; None for anything else."""
    return int(text) if text.isdecimal() and len(text) <= _DIGITS else None

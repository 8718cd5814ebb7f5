"""Cholec80's own annotations: the phase of every frame, and the instruments in every 25th one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from medgrpo.data.sources.annotations import Event, Instance, Problem, Provenance
from medgrpo.data.sources.cholec import CLOCK, INSTRUMENTS, PHASES, STEPS
from medgrpo.data.sources.csv_rows import CellError, Row, csv_rows
from medgrpo.data.sources.numbered_frames import FrameNumbers, Label, label_runs

__all__ = ["CLIPPING", "PhaseReading", "ToolReading", "read_phases", "read_tools"]

CLIPPING = STEPS[2]
"""The phase in which what the critical view of safety is about is cut."""

EVERY = FrameNumbers(CLOCK)
"""Numbers of the phase files."""

TOOL_STEP = 25
"""From one row of a tool file to the next."""

TOOL_COLUMNS = ("Grasper", "Bipolar", "Hook", "Scissors", "Clipper", "Irrigator", "SpecimenBag")


@dataclass(frozen=True, slots=True)
class PhaseReading:
    """The phases of a video, what was left out, and how many rows there were."""

    events: tuple[Event, ...]
    problems: tuple[Problem, ...]
    rows: int

    @property
    def clipping(self) -> float | None:
        """Seconds at which clipping and cutting begins; None if nobody says."""
        return next((event.start for event in self.events if event.label == CLIPPING), None)


@dataclass(frozen=True, slots=True)
class ToolReading:
    """The instruments of a video, when somebody looked, and what was left out."""

    instances: tuple[Instance, ...] = ()
    annotated: tuple[float, ...] = ()
    problems: tuple[Problem, ...] = ()


def read_phases(root: Path, name: str, video_id: str, duration: float) -> PhaseReading:
    """Read a phase file: ``Frame`` and ``Phase`` for every frame from 0, with tabs between.

    Args:
        root: Folder that the file is in or below.
        name: The file, relative to it.
        video_id: Whose it is.
        duration: Of the film, seconds; rows past its end are left out, and reported together.

    Raises:
        UserError: If the file is missing, is no table, or lacks a column.
    """
    problems: list[Problem] = []
    labels: dict[int, Label] = {}
    past: list[Row] = []
    rows = 0
    for row in csv_rows(root, name, ("Frame", "Phase"), problems.append, "\t"):
        rows += 1
        try:
            number = _frame(row, labels)
            label = PHASES.read(row.text("Phase"), "Phase")
        except CellError as error:
            problems.append(row.problem(error, video_id))
            continue
        if EVERY.time(number) >= duration:
            past.append(row)
        else:
            labels[number] = (label, row.provenance)
    if past:
        last = past[-1].text("Frame")
        text = f"{len(past)} rows up to frame {last} are past the end of the film, which lasts {duration:g} s"
        problems.append(Problem(video_id, past[0].provenance, "Frame", text))
    return PhaseReading(label_runs("phase", labels, EVERY), _named(problems, video_id), rows)


def read_tools(root: Path, name: str, video_id: str, duration: float) -> ToolReading:
    """Read a tool file: ``Frame``, a multiple of 25, and seven columns of 0 or 1, with tabs between.

    Args:
        root: Folder that the file is in or below.
        name: The file, relative to it.
        video_id: Whose it is.
        duration: Of the film, seconds.

    Raises:
        UserError: If the file is missing, is no table, or lacks a column.
    """
    problems: list[Problem] = []
    seen: dict[int, tuple[str, ...]] = {}
    where: dict[int, Provenance] = {}
    for row in csv_rows(root, name, ("Frame", *TOOL_COLUMNS), problems.append, "\t"):
        try:
            number = _frame(row, seen)
            if number % TOOL_STEP:
                raise CellError("Frame", f"{number} is no multiple of {TOOL_STEP}")
            if EVERY.time(number) >= duration:
                raise CellError("Frame", f"{number} is past the end of the film, which lasts {duration:g} s")
            seen[number] = tuple(
                INSTRUMENTS.read(tool, tool) for tool in TOOL_COLUMNS if _is_there(row, tool)
            )
            where[number] = row.provenance
        except CellError as error:
            problems.append(row.problem(error, video_id))
    return ToolReading(
        tuple(
            Instance(EVERY.time(number), tool, where[number])
            for number in sorted(seen)
            for tool in seen[number]
        ),
        tuple(EVERY.time(number) for number in sorted(seen)),
        _named(problems, video_id),
    )


def _frame(row: Row, before: Mapping[int, object]) -> int:
    number = row.whole("Frame")
    if number < 0:
        raise CellError("Frame", f"{number} is no frame; the first one is 0")
    if number in before:
        raise CellError("Frame", f"{number} is there twice")
    return number


def _is_there(row: Row, tool: str) -> bool:
    value = row.whole(tool)
    if value not in (0, 1):
        raise CellError(tool, f"{value} is neither 0 nor 1")
    return value == 1


def _named(problems: list[Problem], video_id: str) -> tuple[Problem, ...]:
    return tuple(Problem(video_id, one.provenance, one.field, one.problem) for one in problems)

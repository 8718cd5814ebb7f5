"""Cholec80-CVS: when the three criteria of the critical view of safety are met in Cholec80's operations.

The root holds the sheet of Cholec80-CVS and the files of Cholec80, which may be in a folder of their own::

    surgeons_annotations.xlsx               a row a span: video, minutes and seconds, three scores
    videos/video01.mp4                      25 frames a second
    phase_annotations/video01-phase.txt     every frame
    tool_annotations/video01-tool.txt       every 25th frame

Scores are 0, 1 or 2. The time before clipping and cutting that no row covers has three times 0: the surgeons
listed what they saw. What comes after clipping begins has no score, because the structures are cut. Nor has
the time of a row that cannot be read. Frames are numbered from 0.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from medgrpo.data.readers.base import VideoError
from medgrpo.data.readers.header import video_header
from medgrpo.data.sources.annotations import Criteria, Problem, Provenance, Reading, SourceVideo
from medgrpo.data.sources.base import Source
from medgrpo.data.sources.cholec import CLOCK, STEPS
from medgrpo.data.sources.cholec80 import ToolReading, read_phases, read_tools
from medgrpo.data.sources.csv_rows import CellError, Row
from medgrpo.data.sources.finding import expect_file, find_video
from medgrpo.data.sources.sheet_rows import named_sheet_rows
from medgrpo.data.splits import canonical_video_id
from medgrpo.errors import UserError
from medgrpo.tasks.cvs import CRITERIA, LEVELS
from medgrpo.types import Clip

__all__ = ["Cholec80CVS", "fill_zeros", "seconds_of"]

SHEET = "surgeons_annotations.xlsx"
SHEET_FOLDERS = ("", "data")
TIMES = ("initial_minute", "initial_second", "final_minute", "final_second")
COLUMNS = ("video", *TIMES, *CRITERIA)
Span = tuple[float, float]

NONE_MET: Mapping[str, int] = dict.fromkeys(CRITERIA, 0)

_VIDEO = re.compile(r"(?:video)?0*([1-9]\d{0,2})")


class Cholec80CVS(Source):
    """The importer of Cholec80-CVS.

    Args:
        root: Folder with the sheet.
        cholec80: Folder of Cholec80, with ``videos`` and ``phase_annotations``; None is the root or a folder
            ``cholec80`` in it.

    Raises:
        UserError: If a folder is missing.
    """

    name: ClassVar[str] = "Cholec80_CVS"
    licence: ClassVar[str] = "CC BY 4.0 (scores), CC BY-NC-SA 4.0 (videos); on request by a form"
    homepage: ClassVar[str] = "https://github.com/ManuelRios18/CHOLEC80-CVS-PUBLIC"

    def __init__(self, root: str | Path, cholec80: str | Path | None = None) -> None:
        super().__init__(root)
        inner = [self.root / name for name in ("cholec80", "Cholec80") if (self.root / name).is_dir()]
        self.cholec80 = Path(cholec80) if cholec80 is not None else (*inner, self.root)[0]
        if not self.cholec80.is_dir():
            raise UserError(f"{self.cholec80}: there is no such folder; expected a copy of Cholec80")
        self._loose: list[Problem] = []

    def videos(self) -> Sequence[str]:
        """The ids of all videos in the sheet, e.g. ``video01``, sorted."""
        return sorted(self._rows)

    def read(self, video_id: str) -> Reading:
        """All that is known about a video; see :class:`~medgrpo.data.sources.base.Source`."""
        if video_id not in self._rows:
            raise UserError(f"{self.root / self._sheet}: has no row about a video {video_id!r}, like video01")
        place = find_video(self.cholec80, ("videos", ""), video_id)
        if place is None:
            return _unusable(video_id, Provenance(f"videos/{video_id}.mp4"), "video", "the film is missing")
        try:
            header = video_header(self.cholec80 / place)
        except VideoError as error:
            return _unusable(video_id, Provenance(place), "video", error.problem)
        name = f"phase_annotations/{video_id}-phase.txt"
        try:
            phases = read_phases(self.cholec80, name, video_id, header.duration)
        except UserError as error:
            return _unusable(video_id, Provenance(name), "Phase", str(error))
        if phases.clipping is None:
            text = "no frame has the phase ClippingCutting: until when scores hold is not known"
            return _unusable(video_id, Provenance(name), "Phase", text, phases.problems)
        tools = self._tools(video_id, header.duration)
        problems = [*phases.problems, *tools.problems]
        counts = Counter(phase_rows=phases.rows, phases=len(phases.events), instances=len(tools.instances))
        criteria = self._criteria(video_id, min(phases.clipping, header.duration), problems, counts)
        video = SourceVideo(
            source=self.name,
            video_id=video_id,
            canonical_id=canonical_video_id(video_id, self.name),
            footage=Clip(video=self.cholec80 / place, fps=header.rate),
            clock=CLOCK,
            duration=header.duration,
            events=phases.events,
            instances=tools.instances,
            criteria=criteria,
            actions=STEPS,
            steps=STEPS,
            annotated=tools.annotated,
        )
        return Reading(video, tuple(problems), {key: count for key, count in counts.items() if count})

    def problems(self) -> Sequence[Problem]:
        """Rows of the sheet that belong to no video."""
        _ = self._rows
        return self._loose

    def files(self, video_id: str) -> Sequence[Path]:
        """The sheet, and the phases and instruments of the video."""
        own = (f"phase_annotations/{video_id}-phase.txt", f"tool_annotations/{video_id}-tool.txt")
        paths = (self.root / self._sheet, *(self.cholec80 / name for name in own))
        return [path for path in paths if path.is_file()]

    @cached_property
    def _sheet(self) -> str:
        return expect_file(self.root, SHEET_FOLDERS, SHEET)

    @cached_property
    def _rows(self) -> Mapping[str, list[Row]]:
        """The rows of each video."""
        found: dict[str, list[Row]] = {}
        for row in named_sheet_rows(self.root, self._sheet, COLUMNS):
            match = _VIDEO.fullmatch(row.text("video"))
            if match is None:
                text = f"{row.text('video')[:40]!r} is no number of a video"
                self._loose.append(Problem("", row.provenance, "video", text))
            else:
                found.setdefault(f"video{int(match[1]):02d}", []).append(row)
        return found

    def _tools(self, video_id: str, duration: float) -> ToolReading:
        """The instruments of a video; a problem where their file is missing or is no table."""
        name = f"tool_annotations/{video_id}-tool.txt"
        try:
            return read_tools(self.cholec80, name, video_id, duration)
        except UserError as error:
            return ToolReading(problems=(Problem(video_id, Provenance(name), "Frame", str(error)),))

    def _criteria(
        self, video_id: str, end: float, problems: list[Problem], counts: Counter[str]
    ) -> tuple[Criteria, ...]:
        """The scores from the start of the film until clipping begins, without gaps."""
        listed: list[Criteria] = []
        unknown: list[Span] = []
        for row in self._rows[video_id]:
            counts["rows"] += 1
            span: Span | None = None
            try:
                span = _span(row)
                listed.append(_scored(row, span, end, listed))
                counts["spans_cut"] += span[1] > end
            except CellError as error:
                problems.append(row.problem(error, video_id))
                counts["bad_rows"] += 1
                unknown.append(span or (0.0, end))
        filled = fill_zeros(listed, end, Provenance(self._sheet, key="unlisted"), unknown)
        counts.update(listed=len(listed), criteria=len(filled))
        return filled


def seconds_of(minute: int, second: int) -> int:
    """Seconds from the start of the film; its frame is 25 times as much."""
    return 60 * minute + second


def fill_zeros(
    listed: Sequence[Criteria], end: float, unlisted: Provenance, unknown: Sequence[Span] = ()
) -> tuple[Criteria, ...]:
    """Spans from 0 to the end: those that are listed, and between them nothing is met.

    Args:
        listed: In any order; those that overlap have the same levels.
        end: Seconds; no span ends later.
        unlisted: Where the spans between them stand.
        unknown: Spans in seconds about which nothing is known: there no zeros are filled in.
    """
    filled: list[Criteria] = []
    now = 0.0
    for one in sorted(listed, key=lambda span: (span.start, span.end)):
        filled += (Criteria(*gap, NONE_MET, unlisted) for gap in _without((now, one.start), unknown))
        if one.end > now:
            filled.append(Criteria(max(one.start, now), one.end, one.levels, one.provenance))
            now = one.end
    filled += (Criteria(*gap, NONE_MET, unlisted) for gap in _without((now, end), unknown))
    return tuple(filled)


def _without(span: Span, holes: Sequence[Span]) -> Iterator[Span]:
    """What is left of a span, in order."""
    now, end = span
    for first, last in sorted(holes):
        if now < min(first, end):
            yield now, min(first, end)
        now = max(now, last)
    if now < end:
        yield now, end


def _span(row: Row) -> Span:
    """Start and end of a row, which may end after clipping begins."""
    first_minute, first_second, last_minute, last_second = (_part(row, column) for column in TIMES)
    start, end = seconds_of(first_minute, first_second), seconds_of(last_minute, last_second)
    if end <= start:
        raise CellError("final_minute", f"the span ends at {end} s, not after its start at {start} s")
    return float(start), float(end)


def _scored(row: Row, span: Span, clipping: float, before: Sequence[Criteria]) -> Criteria:
    """A row with its scores, cut where clipping begins."""
    start, end = span
    if start >= clipping:
        text = f"the span starts at {start:g} s, but clipping begins at {clipping:g} s"
        raise CellError("initial_minute", text)
    levels = {name: _level(row, name) for name in CRITERIA}
    for one in before:
        if one.start < end and one.end > start and one.levels != levels:
            there = f"{one.start:g}-{one.end:g} s in line {one.provenance.line}"
            raise CellError("initial_minute", f"the span overlaps {there}, which has other scores")
    return Criteria(start, min(end, clipping), levels, row.provenance)


def _part(row: Row, column: str) -> int:
    value = row.whole(column)
    if value < 0 or (column.endswith("second") and value > 59):
        raise CellError(column, f"{value} is no {column.partition('_')[2]} of a time")
    return value


def _level(row: Row, criterion: str) -> int:
    value = row.whole(criterion)
    if value not in LEVELS:
        raise CellError(criterion, f"{value} is not one of: {', '.join(map(str, LEVELS))}")
    return value


def _unusable(
    video_id: str, where: Provenance, field: str, problem: str, before: Sequence[Problem] = ()
) -> Reading:
    return Reading(None, (*before, Problem(video_id, where, field, problem)))

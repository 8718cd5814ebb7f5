"""What a source dataset says about a video, in one normal form for all sources.

Times are seconds from the start of the source video. Boxes are corner pairs in pixels of a named canvas.
Labels are spelled as the benchmark spells them. Everything names the file and the line it was read from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from medgrpo.types import Box, Canvas, Clip

__all__ = [
    "Criteria",
    "Event",
    "Instance",
    "Problem",
    "Provenance",
    "Reading",
    "Skill",
    "SourceVideo",
    "Triplet",
]


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where an annotation stands in the source's own files.

    Attributes:
        file: Relative to the folder of the source.
        line: From 1; a row of a sheet has one too. None where lines mean nothing, as in JSON.
        key: Place within the file where it has no lines, e.g. ``annotations/120/3``.
    """

    file: str
    line: int | None = None
    key: str = ""

    def __str__(self) -> str:
        line = "" if self.line is None else f", line {self.line}"
        return f"{self.file}{line}{f', {self.key}' if self.key else ''}"


@dataclass(frozen=True, slots=True)
class Event:
    """A labelled span: an action, or a phase of the procedure.

    Attributes:
        kind: Phases cover a procedure one after the other; actions come and go.
        label: In the benchmark's spelling.
        start: Seconds.
        end: Seconds, exclusive, at least ``start``.
        provenance: Where it stands.
    """

    kind: Literal["action", "phase"]
    label: str
    start: float
    end: float
    provenance: Provenance

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start) and math.isfinite(self.end) and 0 <= self.start <= self.end):
            raise ValueError(f"an event needs 0 <= start <= end, got {self.start}-{self.end}")


@dataclass(frozen=True, slots=True)
class Instance:
    """An instrument, a hand or an organ that is seen at one time.

    Attributes:
        time: Seconds.
        label: What it is, e.g. ``grasper``.
        provenance: Where it stands.
        box: Pixels of the video's canvas; None where only its presence is annotated.
        track: The same for the same object at other times; None where nobody followed it.
        attributes: Further facts in plain words, e.g. ``{"operator": "main surgeon's left hand"}``.
    """

    time: float
    label: str
    provenance: Provenance
    box: Box | None = None
    track: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Triplet:
    """Who does what to what at one time; parts that are not annotated are empty."""

    time: float
    instrument: str
    verb: str
    target: str
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class Criteria:
    """The critical view of safety during a span.

    Attributes:
        start: Seconds.
        end: Seconds, exclusive.
        levels: ``two_structures``, ``cystic_plate`` and ``hepatocystic_triangle`` to 0, 1 or 2.
        provenance: Where it stands.
    """

    start: float
    end: float
    levels: Mapping[str, int]
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class Skill:
    """How well a trial was done.

    Attributes:
        level: ``N``, ``I`` or ``E``: novice, intermediate, expert.
        scores: Aspect to 1..5, in the order of the answer.
        provenance: Where it stands.
    """

    level: str
    scores: Mapping[str, int]
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class SourceVideo:
    """A source video with all that is annotated about it.

    Attributes:
        source: The benchmark's name of the dataset, e.g. ``CholecT50``.
        video_id: As the source writes it.
        canonical_id: One name for one operation, see :func:`~medgrpo.data.splits.canonical_video_id`.
        footage: Its pictures: a video file, or frame files with their times in seconds of the source video.
        clock: Frames a second by which the source numbers its frames; ids in records count on it.
        first_id: Number of the frame at second 0.
        duration: Seconds.
        canvas: What boxes refer to; None where there are no boxes.
        events: By start.
        instances: By time.
        triplets: By time.
        criteria: By start.
        skill: Of the trial.
        procedure: What is done in the video, in plain words; empty where the source is one procedure.
        actions: The closed list that questions about events offer.
        steps: The closed list that questions about the next step offer, in the benchmark's spelling.
        official_split: ``train``, ``val`` or ``test`` where the source itself says.
        annotated: Times in seconds at which somebody looked for instances or triplets, found or not.
    """

    source: str
    video_id: str
    canonical_id: str
    footage: Clip
    clock: float
    duration: float
    first_id: int = 0
    canvas: Canvas | None = None
    events: tuple[Event, ...] = ()
    instances: tuple[Instance, ...] = ()
    triplets: tuple[Triplet, ...] = ()
    criteria: tuple[Criteria, ...] = ()
    skill: Skill | None = None
    procedure: str = ""
    actions: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    official_split: str | None = None
    annotated: tuple[float, ...] = ()

    def frame_id(self, time: float) -> int:
        """The number of the frame at a time, on the source's own clock."""
        return self.first_id + round(time * self.clock)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in a source's files.

    Attributes:
        video_id: The video it belongs to; empty where that cannot be told.
        provenance: Where it stands.
        field: Column or key.
        problem: What is wrong and what is expected.
    """

    video_id: str
    provenance: Provenance
    field: str
    problem: str

    def __str__(self) -> str:
        return f"{self.provenance}: field {self.field!r}: {self.problem}"


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of reading a video.

    Attributes:
        video: None if it cannot be used at all.
        problems: What was left out of it, or why there is none.
        counts: What was read and dropped by rule, e.g. ``{"events": 12, "abstain": 3}``.
    """

    video: SourceVideo | None
    problems: tuple[Problem, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)

"""JIGSAWS: bench-top exercises on a surgical robot, with gestures in time and a rating of each trial.

The root holds the folders of the exercises, as their archives unpack::

    Suturing/meta_file_Suturing.txt             trial, self-rated level, total, six aspects; needed
    Suturing/transcriptions/Suturing_B001.txt   start, end, gesture
    Suturing/video/Suturing_B001_capture1.avi   and _capture2.avi: two cameras that see one trial
    Suturing/kinematics/                        not read
    Knot_Tying/..., Needle_Passing/...

Cells of the meta file are apart by one tab or several. Gestures are in frames at 30 a second, the first frame
has the number 1, and the last one of a gesture belongs to it. A view is a video here, of one canonical trial.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from medgrpo.data.readers.base import VideoError
from medgrpo.data.readers.header import video_header
from medgrpo.data.sources.annotations import Event, Problem, Provenance, Reading, Skill, SourceVideo
from medgrpo.data.sources.base import Source
from medgrpo.data.sources.csv_rows import CellError, Row, spaced_rows
from medgrpo.data.sources.finding import find_video
from medgrpo.data.sources.vocabulary import Vocabulary
from medgrpo.data.splits import canonical_video_id
from medgrpo.errors import UserError
from medgrpo.tasks.skill import ASPECTS, LEVELS
from medgrpo.types import Clip

__all__ = ["GESTURES", "JIGSAWS", "UNRATED", "frame_span"]

CLOCK = 30.0
EXERCISES: Mapping[str, str] = {
    "Suturing": "suturing",
    "Knot_Tying": "knot tying",
    "Needle_Passing": "needle passing",
}
VIEWS = (1, 2)
UNRATED = frozenset({"Suturing_H002"})
"""Trials that are known to have no rating."""

META_COLUMNS = ("trial", "skill", "GRS", *ASPECTS)
SKILLS = Vocabulary.of("skill level", "NIE")

GESTURES: Mapping[str, str] = {
    "G1": "reaching for needle with right hand",
    "G2": "positioning needle",
    "G3": "pushing needle through tissue",
    "G4": "transferring needle from left to right",
    "G5": "moving to center with needle in grip",
    "G6": "pulling suture with left hand",
    "G7": "pulling suture with right hand",
    "G8": "orienting needle",
    "G9": "using right hand to help tighten suture",
    "G10": "loosening more suture",
    "G11": "dropping suture at end and moving to end points",
    "G12": "reaching for needle with left hand",
    "G13": "making C loop around right hand",
    "G14": "reaching for suture with right hand",
    "G15": "pulling suture with both hands",
}
"""The vocabulary of gestures, as its authors describe it."""
_GESTURES = Vocabulary("gesture", GESTURES)

_VIEW = re.compile(r"(?P<trial>(?P<exercise>[A-Za-z_]+)_[A-Z]\d{3})_capture(?P<view>[12])")
_TRIAL = re.compile(r"[A-Za-z_]+_[A-Z]\d{3}")


class JIGSAWS(Source):
    """The importer of JIGSAWS."""

    name: ClassVar[str] = "JIGSAWS"
    licence: ClassVar[str] = "for research, on request; no redistribution"
    homepage: ClassVar[str] = "https://cirl.lcsr.jhu.edu/research/hmm/datasets/jigsaws_release/"

    def __init__(self, root: str | Path) -> None:
        super().__init__(root)
        self._loose: list[Problem] = []

    def videos(self) -> Sequence[str]:
        """Both views of every trial that has a rating, gestures or a film, sorted."""
        trials = set(self._ratings)
        for exercise in self._exercises:
            files = [*self._listed(exercise, "transcriptions"), *self._listed(exercise, "video")]
            stems = (path.stem.partition("_capture")[0] for path in files)
            trials.update(stem for stem in stems if _TRIAL.fullmatch(stem))
        return [f"{trial}_capture{view}" for trial in sorted(trials) for view in VIEWS]

    def read(self, video_id: str) -> Reading:
        """All that is known about a view of a trial; see :class:`~medgrpo.data.sources.base.Source`."""
        match = _VIEW.fullmatch(video_id)
        if match is None or match["exercise"] not in self._exercises:
            raise UserError(f"{self.root}: has no view {video_id!r} of a trial; e.g. Suturing_B001_capture1")
        trial, exercise = match["trial"], match["exercise"]
        problems: list[Problem] = []
        footage, duration = self._footage(exercise, video_id, problems)
        events, counts = self._events(exercise, trial, video_id, duration, problems)
        skill = self._skill(exercise, trial, video_id, problems)
        counts["ratings" if skill else "without_rating"] = 1
        if footage is None or duration is None:
            return Reading(None, tuple(problems), counts)
        video = SourceVideo(
            source=self.name,
            video_id=video_id,
            canonical_id=canonical_video_id(video_id, self.name),
            footage=footage,
            clock=CLOCK,
            first_id=1,
            duration=duration,
            events=tuple(events),
            skill=skill,
            procedure=EXERCISES[exercise],
            actions=tuple(GESTURES.values()),
        )
        return Reading(video, tuple(problems), counts)

    def problems(self) -> Sequence[Problem]:
        """Rows of the meta files that belong to no trial, and exercises that are not there."""
        _ = self._ratings
        absent = (name for name in EXERCISES if name not in self._exercises)
        missing = [
            Problem("", Provenance(name), "", "the folder of the exercise is missing") for name in absent
        ]
        return (*missing, *self._loose)

    def files(self, video_id: str) -> Sequence[Path]:
        """The meta file of the exercise and the gestures of the trial."""
        trial = video_id.partition("_capture")[0]
        exercise = trial.rpartition("_")[0]
        places = (self.root / _meta(exercise), self.root / _transcription(exercise, trial))
        return [path for path in places if path.is_file()]

    @cached_property
    def _exercises(self) -> Sequence[str]:
        """The exercises that are there."""
        found = [name for name in EXERCISES if (self.root / name).is_dir()]
        if not found:
            expected = ", ".join(EXERCISES)
            raise UserError(f"{self.root}: holds none of the folders {expected}; unpack the archives there")
        return found

    @cached_property
    def _ratings(self) -> Mapping[str, list[Row]]:
        """The rows of each trial in the meta files; one, where all is well."""
        found: dict[str, list[Row]] = {}
        for exercise in self._exercises:
            for row in spaced_rows(self.root, _meta(exercise), META_COLUMNS, self._loose.append):
                trial = row.text("trial")
                if not _TRIAL.fullmatch(trial) or trial.rpartition("_")[0] != exercise:
                    text = f"{trial!r} is no trial of {exercise}, like {exercise}_B001"
                    self._loose.append(Problem("", row.provenance, "trial", text))
                else:
                    found.setdefault(trial, []).append(row)
        return found

    def _listed(self, exercise: str, folder: str) -> Iterator[Path]:
        place = self.root / exercise / folder
        return place.iterdir() if place.is_dir() else iter(())

    def _footage(
        self, exercise: str, video_id: str, problems: list[Problem]
    ) -> tuple[Clip | None, float | None]:
        """The film of a view and its duration in seconds, or a problem."""
        place = find_video(self.root, (f"{exercise}/video",), video_id)
        if place is None:
            where = Provenance(f"{exercise}/video/{video_id}.avi")
            problems.append(Problem(video_id, where, "video", "the film is missing"))
            return None, None
        try:
            header = video_header(self.root / place)
        except VideoError as error:
            problems.append(Problem(video_id, Provenance(place), "video", error.problem))
            return None, None
        return Clip(video=self.root / place, fps=header.rate), header.duration

    def _events(
        self, exercise: str, trial: str, video_id: str, duration: float | None, problems: list[Problem]
    ) -> tuple[list[Event], dict[str, int]]:
        """The gestures of a trial by start; and how many rows became what."""
        name = _transcription(exercise, trial)
        if not (self.root / name).is_file():
            text = "the file is missing; the trial has no gestures"
            problems.append(Problem(video_id, Provenance(name), "gesture", text))
            return [], {"without_gestures": 1}
        ragged: list[Problem] = []
        found: list[Event] = []
        bad: list[Problem] = []
        try:
            for row in spaced_rows(self.root, name, ("start", "end", "gesture"), ragged.append):
                try:
                    found.append(_event(row, duration))
                except CellError as error:
                    bad.append(row.problem(error, video_id))
        except UserError as error:
            problems.append(Problem(video_id, Provenance(name), "gesture", str(error)))
            return [], {"without_gestures": 1}
        bad += (Problem(video_id, p.provenance, p.field, p.problem) for p in ragged)
        problems += bad
        counts = {"gestures": len(found), "bad_rows": len(bad)}
        events = sorted(found, key=lambda e: (e.start, e.end, e.label))
        return events, {key: count for key, count in counts.items() if count}

    def _skill(self, exercise: str, trial: str, video_id: str, problems: list[Problem]) -> Skill | None:
        """The rating of a trial, or a problem unless it is known to have none."""
        rows = self._ratings.get(trial, [])
        if len(rows) != 1:
            if rows or trial not in UNRATED:
                where = rows[1].provenance if rows else Provenance(_meta(exercise))
                text = f"{trial} is there {len(rows)} times; expected once"
                problems.append(Problem(video_id, where, "trial", text))
            return None
        try:
            return _rating(rows[0])
        except CellError as error:
            problems.append(rows[0].problem(error, video_id))
            return None


def frame_span(first: int, last: int) -> tuple[float, float]:
    """Start and end in seconds of frames ``first`` to ``last``, counted from 1, the last one included."""
    return (first - 1) / CLOCK, last / CLOCK


def _meta(exercise: str) -> str:
    return f"{exercise}/meta_file_{exercise}.txt"


def _transcription(exercise: str, trial: str) -> str:
    return f"{exercise}/transcriptions/{trial}.txt"


def _event(row: Row, duration: float | None) -> Event:
    """A row of a transcription as an event; it may end in the frame that the film's end cuts."""
    first, last = row.whole("start"), row.whole("end")
    label = _GESTURES.read(row.text("gesture"), "gesture")
    if first < 1:
        raise CellError("start", f"{first} is no frame; the first one is 1")
    if last < first:
        raise CellError("end", f"{last} is before the start at frame {first}")
    start, end = frame_span(first, last)
    if duration is not None:
        if end > duration + 1 / CLOCK:
            lasts = f"which has {round(duration * CLOCK)}"
            raise CellError("end", f"frame {last} is past the end of the film, {lasts}")
        end = min(end, duration)
    return Event("action", label, start, end, row.provenance)


def _rating(row: Row) -> Skill:
    """A row of a meta file: the total is the sum of the aspects, which tells shifted columns apart."""
    level = SKILLS.read(row.text("skill"), "skill")
    scores = {aspect: row.whole(aspect) for aspect in ASPECTS}
    for aspect, score in scores.items():
        if score not in LEVELS:
            raise CellError(aspect, f"{score} is not a rating from {LEVELS[0]} to {LEVELS[-1]}")
    if (total := row.whole("GRS")) != sum(scores.values()):
        raise CellError("GRS", f"{total} is not the sum of the six aspects, {sum(scores.values())}")
    return Skill(level, scores, row.provenance)

"""NurViD: web videos of nursing procedures, with the actions of each in seconds.

The root is a copy of the authors' repository, with the videos where their downloader puts them::

    annotations/NurViD_annotations.json       procedure, actions and their spans of every video; needed
    annotations/Procedure&Action_ID.xlsx      what their numbers mean; needed
    annotations/task1&3/{train,val,test}.csv  official splits, see medgrpo.data.sources.nurvid_splits
    annotations/task2/{action,procedure}_{train,val,test}.csv
    dataset/Original_videos/<YouTube id>.mp4

The annotations cut off rate and duration to whole numbers (29 is 29.97, and a span may end half a second past
the end): both are taken from the file. The authors' preprocessed videos are no use: frames of 29.97 a second
are played at 25 there, so that spans no longer fit. A file that is longer or shorter than its annotations say
is refused.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, TypeGuard

from medgrpo.data.readers.base import VideoError
from medgrpo.data.readers.header import VideoHeader, video_header
from medgrpo.data.sources.annotations import Event, Problem, Provenance, Reading, SourceVideo
from medgrpo.data.sources.base import Source
from medgrpo.data.sources.csv_rows import CellError
from medgrpo.data.sources.finding import find_video
from medgrpo.data.sources.nurvid_names import Names, procedure_steps, read_names
from medgrpo.data.sources.nurvid_splits import PARTS, SEGMENT_TABLES, VIDEO_TABLES, official_splits
from medgrpo.data.splits import canonical_video_id
from medgrpo.errors import UserError
from medgrpo.types import Clip

__all__ = ["NurViD", "check_segment"]

ANNOTATIONS = "annotations/NurViD_annotations.json"
NAMES = "annotations/Procedure&Action_ID.xlsx"
VIDEO_FOLDERS = ("dataset/Original_videos", "dataset/Original videos", "videos", "")
LEEWAY = (2.0, 0.01)
"""How far the durations of file and annotations may be apart: seconds, and share of the duration."""


class NurViD(Source):
    """The importer of NurViD."""

    name: ClassVar[str] = "NurViD"
    licence: ClassVar[str] = "CC BY 4.0 (annotations); the videos are under YouTube's terms"
    homepage: ClassVar[str] = "https://github.com/minghu0830/NurViD-benchmark"
    web: ClassVar[bool] = True

    def __init__(self, root: str | Path) -> None:
        super().__init__(root)
        self._loose: list[Problem] = []

    def videos(self) -> Sequence[str]:
        """The YouTube ids of all annotated videos, sorted."""
        return sorted(self._entries)

    def read(self, video_id: str) -> Reading:
        """All that is known about a video; see :class:`~medgrpo.data.sources.base.Source`."""
        if video_id not in self._entries:
            raise UserError(f"{self.root / ANNOTATIONS}: says nothing about a video {video_id!r}")
        problems: list[Problem] = []
        entry = _object(self._entries[video_id])
        procedure = self._procedure(video_id, entry, problems)
        footage = self._footage(video_id, entry, problems)
        events, counts = self._events(video_id, entry, footage[1] if footage else None, problems)
        if procedure is None or footage is None:
            return Reading(None, tuple(problems), counts)
        path, header = footage
        steps = procedure_steps(procedure)
        video = SourceVideo(
            source=self.name,
            video_id=video_id,
            canonical_id=canonical_video_id(video_id, self.name),
            footage=Clip(video=path, fps=header.rate),
            clock=header.rate,
            duration=header.duration,
            events=events,
            procedure=procedure,
            actions=tuple(sorted({*steps, *self._actions[procedure]})),
            steps=steps,
            official_split=self._splits.get(video_id),
        )
        return Reading(video, tuple(problems), counts)

    def problems(self) -> Sequence[Problem]:
        """What is wrong in the sheet of names and in the splits."""
        _ = self._names, self._splits
        return self._loose

    def files(self, video_id: str) -> Sequence[Path]:
        """The annotations, the names and the splits."""
        del video_id
        splits = (table.format(part=part) for table in (VIDEO_TABLES, *SEGMENT_TABLES) for part in PARTS)
        there = (self.root / name for name in (ANNOTATIONS, NAMES, *splits))
        return [path for path in there if path.is_file()]

    @cached_property
    def _entries(self) -> Mapping[str, Any]:
        path = self.root / ANNOTATIONS
        try:
            entries = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(f"{path}: is missing") from None
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"{path}: cannot be read as JSON: {error}") from error
        if not isinstance(entries, dict):
            raise UserError(f"{path}: is not an object from YouTube ids to annotations")
        return entries

    @cached_property
    def _names(self) -> Names:
        return read_names(self.root, NAMES, self._loose.append)

    @cached_property
    def _splits(self) -> Mapping[str, str]:
        procedures = {name: _object(entry).get("operationID") for name, entry in self._entries.items()}
        return official_splits(self.root, procedures, self._loose.append)

    @cached_property
    def _actions(self) -> Mapping[str, set[str]]:
        """The actions that are annotated anywhere in a procedure."""
        found: dict[str, set[str]] = defaultdict(set)
        for entry in map(_object, self._entries.values()):
            procedure = _meaning(entry.get("operationID"), self._names.procedures)
            items = entry.get("annotations")
            for item in map(_object, items if isinstance(items, list) else ()):
                action = _meaning(item.get("actionID"), self._names.actions)
                if procedure is not None and action is not None:
                    found[procedure].add(action)
        return found

    def _procedure(self, video_id: str, entry: Mapping[str, Any], problems: list[Problem]) -> str | None:
        """The name of what is done in a video, or a problem."""
        number = entry.get("operationID")
        found = _meaning(number, self._names.procedures)
        if found is None:
            where = Provenance(ANNOTATIONS, key=f"{video_id}/operationID")
            problems.append(Problem(video_id, where, "operationID", _unknown(number, "procedure")))
        return found

    def _footage(
        self, video_id: str, entry: Mapping[str, Any], problems: list[Problem]
    ) -> tuple[Path, VideoHeader] | None:
        """The file of a video, if it fits the annotations; or a problem."""
        place = find_video(self.root, VIDEO_FOLDERS, video_id)
        if place is None:
            text = f"the video is missing; expected {VIDEO_FOLDERS[0]}/{video_id}.mp4"
            problems.append(Problem(video_id, Provenance(ANNOTATIONS, key=video_id), "url", text))
            return None
        try:
            header = video_header(self.root / place)
        except VideoError as error:
            problems.append(Problem(video_id, Provenance(place), "url", error.problem))
            return None
        written = entry.get("duration")
        if not _is_number(written):
            where = Provenance(ANNOTATIONS, key=f"{video_id}/duration")
            problems.append(Problem(video_id, where, "duration", f"{written!r} is not a number of seconds"))
            return None
        if abs(header.duration - written) > max(LEEWAY[0], LEEWAY[1] * written):
            text = (
                f"the file lasts {header.duration:.2f} s, the annotated video {written:g} s: it was cut or "
                "plays at another rate, so that spans do not fit; expected the original"
            )
            problems.append(Problem(video_id, Provenance(place), "duration", text))
            return None
        return self.root / place, header

    def _events(
        self, video_id: str, entry: Mapping[str, Any], header: VideoHeader | None, problems: list[Problem]
    ) -> tuple[tuple[Event, ...], dict[str, int]]:
        """The actions of a video by start; and how many segments became what.

        Without its file a video is as long as the annotations say, to the second below.
        """
        items = entry.get("annotations")
        if not isinstance(items, list):
            where = Provenance(ANNOTATIONS, key=f"{video_id}/annotations")
            problems.append(Problem(video_id, where, "annotations", "is not a list"))
            return (), {}
        written = entry["duration"] if _is_number(entry.get("duration")) else math.inf
        limit = header.duration if header else written
        frame = 1 / header.rate if header else 0.0
        counts = Counter(segments=len(items))
        found: list[Event] = []
        for k, item in enumerate(map(_object, items)):
            where = Provenance(ANNOTATIONS, key=f"{video_id}/annotations/{k}")
            try:
                action = _meaning(item.get("actionID"), self._names.actions)
                if action is None:
                    raise CellError("actionID", _unknown(item.get("actionID"), "action"))
                start, end = check_segment(item.get("segment"), limit, frame)
                found.append(Event("action", action, start, end, where))
                counts["past_whole_seconds"] += end > written
            except CellError as error:
                problems.append(Problem(video_id, where, error.column, error.problem))
                counts["bad_segments"] += 1
        counts["events"] = len(found)
        events = tuple(sorted(found, key=lambda e: (e.start, e.end, e.label)))
        return events, {key: count for key, count in counts.items() if count}


def check_segment(segment: Any, duration: float, frame: float) -> tuple[float, float]:
    """Start and end of a segment in seconds.

    Args:
        segment: As the annotations have it: a list of start and end.
        duration: Of the video, seconds.
        frame: Seconds by which the end may be past the end of the video, which then is its end.

    Raises:
        CellError: If it is no list of two numbers, starts before the video, ends before or when it starts, or
            ends after the video.
    """
    if not (isinstance(segment, list) and len(segment) == 2 and all(map(_is_number, segment))):
        raise CellError("segment", f"{str(segment)[:60]} is not a list of start and end in seconds")
    start, end = float(segment[0]), float(segment[1])
    if start < 0:
        raise CellError("segment", f"{start:g} is before the start of the video")
    if end <= start:
        raise CellError("segment", f"the end at {end:g} is not after the start at {start:g}")
    if end > duration + frame or start >= duration:
        text = f"{start:g}-{end:g} is past the end of the video, which lasts {duration:g} s"
        raise CellError("segment", text)
    return start, min(end, duration)


def _object(value: Any) -> Mapping[str, Any]:
    """A JSON object; anything else is one without keys, so that what is missing in it is named."""
    return value if isinstance(value, dict) else {}


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e12 < value < 1e12


def _meaning(number: Any, names: Mapping[int, str]) -> str | None:
    """The name of a number; None for anything else."""
    return names.get(number) if isinstance(number, int) and not isinstance(number, bool) else None


def _unknown(number: Any, kind: str) -> str:
    return f"{str(number)[:60]} names no {kind}; expected a number in {NAMES}, plus 1"

"""A dataset of your own: boxes in COCO files, events in a CSV file, frames or video files.

The root may look like this; every name but the root is an option of :class:`CocoCsv`::

    boxes.json                      COCO: left, top, width, height in pixels; or a folder of such files
    events.csv                      video,label,start,end
    frames/<video>/<frame>.jpg      numbered at a fixed rate; or videos/<video>.mp4

This importer is also an example: a source is one class with the three methods :meth:`CocoCsv.videos`,
:meth:`CocoCsv.read` and :meth:`CocoCsv.problems`.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

from medgrpo.data.readers.base import VideoError
from medgrpo.data.readers.header import video_header
from medgrpo.data.sources.annotations import Event, Instance, Problem, Provenance, Reading, SourceVideo
from medgrpo.data.sources.base import Source
from medgrpo.data.sources.coco import CocoBox, CocoImage, corner_box, read_coco
from medgrpo.data.sources.csv_rows import CellError, Row, csv_rows
from medgrpo.data.sources.finding import find_video
from medgrpo.data.sources.frame_names import FramePattern
from medgrpo.data.sources.numbered_frames import numbered_frames
from medgrpo.data.sources.vocabulary import Vocabulary
from medgrpo.data.splits import canonical_video_id
from medgrpo.errors import UserError
from medgrpo.types import Canvas, Clip

__all__ = ["CocoCsv", "EventTable"]

Words = Mapping[str, str] | Sequence[str]
"""Spellings of the files to the labels of questions and answers; or the labels, if both are the same."""


@dataclass(frozen=True)  # without slots, for jsonargparse reads defaults off an instance
class EventTable:
    """A table with an event a row; its first line names the columns.

    Attributes:
        file: Relative to the root; empty if there is none.
        video: Column of the video's id.
        label: Column of the label.
        start: Column of the start.
        end: Column of the end.
        unit: Of start and end: ``seconds``, or ``frames`` with the last one included.
        delimiter: Between cells.
    """

    file: str = "events.csv"
    video: str = "video"
    label: str = "label"
    start: str = "start"
    end: str = "end"
    unit: Literal["seconds", "frames"] = "seconds"
    delimiter: str = ","


@dataclass(frozen=True, slots=True)
class _Footage:
    clip: Clip
    duration: float


class CocoCsv(Source):
    """The importer of user-defined datasets.

    Args:
        root: Folder of the dataset.
        name: Of the dataset, as records will have it.
        fps: Frames a second by which frames are numbered.
        first_frame: Number of the frame at second 0.
        images: Where frame files are, relative to the root, with ``{video}`` and ``{frame}``; names of images
            in COCO files end alike.
        films: Folder of video files that are named by the video's id; empty if the frames are the footage.
        boxes: COCO file, or folder of COCO files, relative to the root; empty if there are none.
        events: Table of events.
        objects: What may have a box.
        actions: Labels of events that come and go.
        phases: Labels of events that cover a procedure one after the other.
        steps: Closed list of next steps; empty takes the phases, or the actions where there are none.
        canvas: Width and height that boxes refer to; None takes those of the COCO file.
        operation: Regular expression whose first group, at the start of a video's id, names the operation
            that it is part of. Splits keep an operation together. Empty: every video is one.
        procedure: What is done in the videos, in plain words.
        web: Whether they are web videos that are explained by voice.
        licence: Of the dataset, for the data card.
        homepage: Of the dataset.

    Raises:
        UserError: If a pattern is none, a label is both action and phase, or a rate is not positive.
    """

    name: ClassVar[str] = "coco_csv"
    licence: ClassVar[str] = ""

    def __init__(
        self,
        root: str | Path,
        name: str,
        fps: float,
        first_frame: int = 0,
        images: str = "frames/{video}/{frame}.jpg",
        films: str = "",
        boxes: str = "boxes.json",
        events: EventTable = EventTable(),
        objects: Words = (),
        actions: Words = (),
        phases: Words = (),
        steps: Sequence[str] = (),
        canvas: tuple[int, int] | None = None,
        operation: str = "",
        procedure: str = "",
        web: bool = False,
        licence: str = "",
        homepage: str = "",
    ) -> None:
        super().__init__(root)
        # Other sources have these in the class; each instance of this one is a source of its own.
        vars(self).update(name=name, web=web, licence=licence, homepage=homepage)
        if not name or not fps > 0:
            raise UserError(
                f"{root}: name must not be empty and fps must be positive, got {name!r} and {fps}"
            )
        # Each argument is kept under its name: a build's results are known by them.
        self.fps, self.first_frame, self.procedure = fps, first_frame, procedure
        self.images, self.films, self.boxes, self.events = images, films, boxes, events
        self.objects, self.actions, self.phases, self.steps = objects, actions, phases, steps
        self.canvas, self.operation = canvas, operation
        self._pattern = FramePattern(images)
        self._canvas = Canvas(*canvas) if canvas else None
        self._objects = _vocabulary("object", objects)
        self._actions, self._phases = _vocabulary("action", actions), _vocabulary("phase", phases)
        if twice := sorted(self._actions.spellings.keys() & self._phases.spellings.keys()):
            raise UserError(f"{name}: {twice[0]!r} is an action and a phase; expected one of them")
        self._labels = Vocabulary("event", {**self._phases.spellings, **self._actions.spellings})
        try:
            self._operation = re.compile(operation)
        except re.error as error:
            raise UserError(f"{name}: operation: {operation!r} is no regular expression: {error}") from None
        if operation and not self._operation.groups:
            raise UserError(
                f"{name}: operation: {operation!r} has no group, in parentheses, for the operation"
            )
        self._loose: list[Problem] = []

    def videos(self) -> Sequence[str]:
        """The ids of all videos with events or boxes, sorted."""
        return sorted({*self._rows, *self._boxed})

    def read(self, video_id: str) -> Reading:
        """All that is known about a video; see :class:`~medgrpo.data.sources.base.Source`."""
        if video_id not in self._rows and video_id not in self._boxed:
            raise UserError(f"{self.root}: neither events nor boxes are about a video {video_id!r}")
        problems: list[Problem] = []
        footage = self._footage(video_id, problems)
        if footage is None:
            return Reading(None, tuple(problems))
        events = []
        for row in self._rows.get(video_id, ()):
            try:
                events.append(self._event(row, footage.duration))
            except CellError as error:
                problems.append(row.problem(error, video_id))
        seen = _Seen(self._canvas)
        for number, image, boxes in self._boxed.get(video_id, ()):
            self._add_image(video_id, seen, number, image, boxes, footage.duration)
        counts = Counter(rows=len(self._rows.get(video_id, ())), events=len(events))
        counts.update(images=len(seen.looked), instances=len(seen.instances))
        match = self._operation.match(video_id) if self._operation.groups else None
        operation = match[1] if match and match[1] else video_id
        video = SourceVideo(
            source=self.name,
            video_id=video_id,
            canonical_id=canonical_video_id(operation, self.name),
            footage=footage.clip,
            clock=self.fps,
            first_id=self.first_frame,
            duration=footage.duration,
            canvas=seen.canvas,
            events=tuple(sorted(events, key=lambda e: (e.start, e.end, e.label))),
            instances=tuple(sorted(seen.instances, key=lambda i: (i.time, i.label, str(i.provenance)))),
            procedure=self.procedure,
            actions=self._actions.labels or self._phases.labels,
            steps=tuple(self.steps) or self._phases.labels or self._actions.labels,
            annotated=tuple(sorted(seen.looked)),
        )
        told = (*problems, *seen.problems)
        return Reading(video, told, {key: count for key, count in counts.items() if count})

    def problems(self) -> Sequence[Problem]:
        """Rows and images that belong to no video."""
        _ = self._rows, self._boxed
        return self._loose

    def files(self, video_id: str) -> Sequence[Path]:
        """The table and the COCO files."""
        del video_id
        tables = [self.events.file] if self.events.file else []
        return [self.root / name for name in (*tables, *self._coco_files)]

    @cached_property
    def _rows(self) -> Mapping[str, list[Row]]:
        """The rows of each video."""
        found: dict[str, list[Row]] = defaultdict(list)
        table = self.events
        if table.file:
            columns = (table.video, table.label, table.start, table.end)
            for row in csv_rows(self.root, table.file, columns, self._loose.append, table.delimiter):
                if video_id := row.text(table.video):
                    found[video_id].append(row)
                else:
                    self._loose.append(Problem("", row.provenance, table.video, "is empty"))
        return dict(found)

    @cached_property
    def _coco_files(self) -> list[str]:
        place = self.root / self.boxes
        if not self.boxes or not place.is_dir():
            return [self.boxes] if self.boxes else []
        found = sorted(f"{self.boxes}/{path.name}" for path in place.glob("*.json"))
        if not found:
            raise UserError(f"{place}: holds no .json file; expected COCO files")
        return found

    @cached_property
    def _boxed(self) -> Mapping[str, list[tuple[int, CocoImage, Sequence[CocoBox]]]]:
        """Number, image and boxes of each image of each video."""
        found: dict[str, list[tuple[int, CocoImage, Sequence[CocoBox]]]] = defaultdict(list)
        for name in self._coco_files:
            for image, boxes in read_coco(self.root, name, self._loose.append).images:
                try:
                    video_id, number = self._pattern.parts_of(image.name)
                    found[video_id].append((number, image, boxes))
                except CellError as error:
                    self._loose.append(Problem("", image.provenance, error.column, error.problem))
        return dict(found)

    def _footage(self, video_id: str, problems: list[Problem]) -> _Footage | None:
        """The pictures of a video, or a problem."""
        try:
            if self.films:
                place = find_video(self.root, (self.films,), video_id)
                if place is None:
                    text = f"its video is missing; expected {self.films}/{video_id}.mp4"
                    problems.append(Problem(video_id, Provenance(self.films), "video", text))
                    return None
                header = video_header(self.root / place)
                return _Footage(Clip(video=self.root / place, fps=header.rate), header.duration)
            folder, named = self._pattern.files_of(video_id)
            frames = numbered_frames(self.root, (folder,), named, self.fps)
            if frames is None:
                text = f"its frames are missing; expected files like {self.images}"
                problems.append(Problem(video_id, Provenance(folder), "frame", text))
                return None
            frames = replace(frames, first=self.first_frame)
            if min(frames.files) < self.first_frame:
                text = f"frame {min(frames.files)} is before the first one, {self.first_frame}"
                problems.append(Problem(video_id, Provenance(folder), "frame", text))
                return None
            frames.canvas()
        except VideoError as error:
            where = Provenance(error.path.relative_to(self.root).as_posix())
            problems.append(Problem(video_id, where, "video", error.problem))
            return None
        return _Footage(frames.footage(), frames.duration)

    def _event(self, row: Row, duration: float) -> Event:
        """A row as an event, its times checked against the video."""
        table = self.events
        label = self._labels.read(row.text(table.label), table.label)
        if table.unit == "frames":
            start = (row.whole(table.start) - self.first_frame) / self.fps
            end = (row.whole(table.end) + 1 - self.first_frame) / self.fps
        else:
            start, end = row.decimal(table.start), row.decimal(table.end)
        if start < 0:
            raise CellError(table.start, f"{start:g} s is before the start of the video")
        if end <= start:
            raise CellError(table.end, f"{end:g} s is not after the start at {start:g} s")
        past = f"is past the end of the video, which lasts {duration:g} s"
        if start >= duration:
            raise CellError(table.start, f"{start:g} s {past}")
        if end > duration + 1 / self.fps:
            raise CellError(table.end, f"{end:g} s {past}")
        kind: Literal["action", "phase"]
        kind = "phase" if row.text(table.label) in self._phases.spellings else "action"
        return Event(kind, label, start, min(end, duration), row.provenance)

    def _add_image(
        self,
        video_id: str,
        seen: _Seen,
        number: int,
        image: CocoImage,
        boxes: Sequence[CocoBox],
        duration: float,
    ) -> None:
        """Add the boxes of an image to what was seen before."""

        def report(error: CellError, where: Provenance) -> None:
            seen.problems.append(Problem(video_id, where, error.column, error.problem))

        time = (number - self.first_frame) / self.fps
        canvas = self._canvas or image.canvas
        try:
            if not 0 <= time < duration:
                text = f"{image.name} is at {time:g} s, the video lasts {duration:g} s"
                raise CellError("file_name", text)
            if seen.canvas not in (None, canvas):
                size = f"{canvas.width}x{canvas.height}"
                raise CellError("width", f"{image.name} is {size}, images before it are not")
        except CellError as error:
            report(error, image.provenance)
            return
        seen.canvas = canvas
        seen.looked.add(time)
        for one in boxes:
            try:
                label = self._objects.read(one.category, "category_id")
                box = corner_box(one.numbers, canvas)
                seen.instances.append(Instance(time, label, one.provenance, box, one.track))
            except CellError as error:
                report(error, one.provenance)


@dataclass(slots=True)
class _Seen:
    """What the images of a video add up to."""

    canvas: Canvas | None
    looked: set[float] = field(default_factory=set)
    instances: list[Instance] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def _vocabulary(kind: str, words: Words) -> Vocabulary:
    return Vocabulary(kind, words) if isinstance(words, Mapping) else Vocabulary.of(kind, words)

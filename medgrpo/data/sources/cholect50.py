"""CholecT50: laparoscopic cholecystectomies, one frame a second, with what each instrument does to what.

The root holds frames and labels, as the dataset is handed out::

    videos/VID01/000000.png    frames at 1 a second, numbered from 0; black where out of the body
    labels/VID01.json          categories, and for each frame a list of rows of 15 numbers
    label_mapping.txt          not read: the labels name the parts of each triplet

A frame has a row for each instrument, one with the phase alone, or none. -1 is null. Boxes are left, top,
width and height as shares of the picture; only five videos have any. The runs of a phase are phases; the runs
of a triplet with a verb are actions.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from medgrpo.data.readers.base import VideoError
from medgrpo.data.sources.annotations import (
    Instance,
    Problem,
    Provenance,
    Reading,
    SourceVideo,
    Triplet,
)
from medgrpo.data.sources.base import Source
from medgrpo.data.sources.cholec import STEPS
from medgrpo.data.sources.cholect50_rows import Categories, LabelRow, read_categories, read_row
from medgrpo.data.sources.csv_rows import CellError
from medgrpo.data.sources.json_file import JsonFileError, JsonNode, read_json
from medgrpo.data.sources.numbered_frames import Label, NumberedFrames, label_runs, numbered_frames
from medgrpo.data.splits import canonical_video_id
from medgrpo.errors import UserError
from medgrpo.types import Canvas

__all__ = ["CholecT50"]

LABELS = "labels"
VIDEOS = "videos"
FIRST = 0
"""Number of the first frame."""

_VIDEO = re.compile(r"VID\d+")
_FRAME = re.compile(r"(\d{1,9})\.(?:png|jpe?g)", re.IGNORECASE)


@dataclass
class _Found:
    """What has been read of a video so far."""

    phases: dict[int, Label] = field(default_factory=dict)
    actions: dict[str, dict[int, Label]] = field(default_factory=lambda: defaultdict(dict))
    instances: list[Instance] = field(default_factory=list)
    triplets: list[Triplet] = field(default_factory=list)
    annotated: list[float] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


class CholecT50(Source):
    """The importer of CholecT50."""

    name: ClassVar[str] = "CholecT50"
    licence: ClassVar[str] = "CC BY-NC-SA 4.0; on request by a form"
    homepage: ClassVar[str] = "https://github.com/CAMMA-public/cholect50"

    def videos(self) -> Sequence[str]:
        """The ids of all labelled videos, e.g. ``VID01``, sorted."""
        return self._labelled

    def read(self, video_id: str) -> Reading:
        """All that is known about a video; see :class:`~medgrpo.data.sources.base.Source`."""
        if video_id not in self._labelled:
            raise UserError(f"{self.root / LABELS}: has no labels of a video {video_id!r}, like VID01.json")
        name = f"{LABELS}/{video_id}.json"
        try:
            document = read_json(self.root, name)
        except JsonFileError as error:
            where = Provenance(name, error.line)
            return Reading(None, (Problem(video_id, where, "annotations", error.problem),))
        found = _Found()
        try:
            clock = _clock(document)
            categories = read_categories(document, video_id, found.problems)
            frames = self._frames(video_id, clock)
            canvas = frames.canvas()
            rows = list(document.member("annotations").members())
        except CellError as error:
            return Reading(None, (*found.problems, document.problem(error, video_id)))
        except VideoError as error:
            where = Provenance(_within(error.path, self.root))
            return Reading(None, (*found.problems, Problem(video_id, where, "frames", error.problem)))
        for key, node in rows:
            try:
                number = _number(key, frames)
                self._read_frame(node, number, frames, canvas, categories, video_id, found)
            except CellError as error:
                found.problems.append(node.problem(error, video_id))
        return Reading(
            self._video(video_id, frames, canvas, found),
            tuple(found.problems),
            {key: count for key, count in found.counts.items() if count},
        )

    def problems(self) -> Sequence[Problem]:
        """Folders of frames without labels."""
        folder = self.root / VIDEOS
        names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        text = "the video has frames and no labels"
        return [
            Problem(name, Provenance(f"{LABELS}/{name}.json"), "annotations", text)
            for name in names
            if _VIDEO.fullmatch(name) and name not in self._labelled
        ]

    def files(self, video_id: str) -> Sequence[Path]:
        """The labels of the video."""
        return [self.root / LABELS / f"{video_id}.json"]

    @cached_property
    def _labelled(self) -> Sequence[str]:
        folder = self.root / LABELS
        if not folder.is_dir():
            raise UserError(f"{folder}: is missing; expected a file VID01.json and so on for each video")
        found = sorted(path.stem for path in folder.glob("*.json") if _VIDEO.fullmatch(path.stem))
        if not found:
            raise UserError(f"{folder}: holds no labels; expected a file VID01.json and so on for each video")
        return found

    def _frames(self, video_id: str, clock: float) -> NumberedFrames:
        """The frame files of a video."""
        folder = f"{VIDEOS}/{video_id}"
        frames = numbered_frames(self.root, (folder,), _FRAME, clock, FIRST)
        if frames is None:
            raise VideoError(self.root / folder, "the frames are missing; expected 000000.png and so on")
        return frames

    def _read_frame(
        self,
        node: JsonNode,
        number: int,
        frames: NumberedFrames,
        canvas: Canvas,
        categories: Categories,
        video_id: str,
        found: _Found,
    ) -> None:
        """The rows of one frame."""
        time = frames.time(number)
        rows: list[tuple[LabelRow, Provenance]] = []
        elements = list(node.elements())
        found.annotated.append(time)
        found.counts.update(frames=1, rows=len(elements), frames_without_rows=not elements)
        for element in elements:
            try:
                row = read_row(element, categories, canvas)
            except CellError as error:
                found.counts["bad_rows"] += 1
                found.problems.append(element.problem(error, video_id))
            else:
                rows.append((row, element.provenance))
        for row, where in rows:
            _add_row(row, where, time, number, found)
        phases = {row.phase: where for row, where in reversed(rows) if row.phase is not None}
        if len(phases) > 1:
            raise CellError("phase", f"the rows of the frame differ: {', '.join(sorted(phases))}")
        for phase, where in phases.items():
            found.phases[number] = (phase, where)

    def _video(self, video_id: str, frames: NumberedFrames, canvas: Canvas, found: _Found) -> SourceVideo:
        actions = [event for runs in found.actions.values() for event in label_runs("action", runs, frames)]
        phases = label_runs("phase", found.phases, frames)
        events = sorted((*phases, *actions), key=lambda one: (one.start, one.kind, one.end, one.label))
        boxes = sum(one.box is not None for one in found.instances)
        found.counts.update(
            phases=len(phases),
            actions=len(actions),
            instances=len(found.instances),
            boxes=boxes,
            triplets=len(found.triplets),
            frames_without_phase=len(found.annotated) - len(found.phases),
        )
        return SourceVideo(
            source=self.name,
            video_id=video_id,
            canonical_id=canonical_video_id(video_id, self.name),
            footage=frames.footage(),
            clock=frames.clock,
            first_id=FIRST,
            duration=frames.duration,
            canvas=canvas if boxes else None,
            events=tuple(events),
            instances=tuple(sorted(found.instances, key=_order)),
            triplets=tuple(sorted(found.triplets, key=lambda one: one.time)),
            actions=tuple(sorted(found.actions)),
            steps=STEPS,
            annotated=tuple(sorted(found.annotated)),
        )


def _add_row(row: LabelRow, where: Provenance, time: float, number: int, found: _Found) -> None:
    """What one row says of its frame."""
    if row.instrument:
        found.instances.append(Instance(time, row.instrument, where, row.box))
    if row.target and row.target_box is not None:
        found.instances.append(Instance(time, row.target, where, row.target_box))
    if row.instrument and (row.verb or row.target):
        found.triplets.append(Triplet(time, row.instrument, row.verb, row.target, where))
    if row.instrument and row.verb:
        label = " ".join(part for part in (row.instrument, row.verb, row.target) if part)
        found.actions[label].setdefault(number, (label, where))


def _clock(document: JsonNode) -> float:
    """Frames a second, as the file tells."""
    node = document.member("fps")
    if not 0 < (rate := node.number()) <= 60:
        node.refuse(f"{node.shown} is no rate of frames a second")
    return rate


def _number(key: str, frames: NumberedFrames) -> int:
    if not re.fullmatch(r"\d{1,9}", key):
        raise CellError("annotations", f"{key[:40]!r} is not the number of a frame")
    if int(key) not in frames.files:
        raise CellError("annotations", f"the frame {int(key):06d}.png is missing in {frames.folder}")
    return int(key)


def _order(one: Instance) -> tuple[float, str, tuple[float, ...]]:
    return one.time, one.label, one.box.xyxy if one.box else ()


def _within(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()

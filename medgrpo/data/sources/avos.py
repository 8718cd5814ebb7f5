"""AVOS: open surgery on YouTube, with actions in time, and boxes of tools and hands in some frames.

The root is a copy of the authors' repository, with videos and images where its description puts them::

    MULTITASK_FILES/TSM_FILES/annotations/v0.5.0-anns-smoothed.csv     who saw which action when; needed
    MULTITASK_FILES/TSM_FILES/annotations/train.csv, test.csv          a video id a line
    MULTITASK_FILES/RETINANET_FILES/src/data/train_data.csv, ...       boxes of tools, no first line of names
    MULTITASK_FILES/RETINANET_FILES/src/data/hands.csv                 boxes of hands, likewise
    data/videos/<YouTube id>.mp4                                       or images-fps_15/<id>/<id>-<frame>.jpg
    data/images/<YouTube id>-<frame, 9 digits>.jpg                     on which the boxes were drawn

Tables may also be in ``annotations`` or in the root itself. Frames count from 0 at 15 a second, whatever the
rate of the video (boxes were drawn at 3/15, 4/15 .. 12/15 of each video, and so their numbers lie). Boxes are
corners in pixels of the image that they were drawn on, whose size nothing but the image tells.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from medgrpo.data.readers.base import VideoError
from medgrpo.data.readers.frames import read_image
from medgrpo.data.readers.header import video_header
from medgrpo.data.sources.annotations import Event, Problem, Provenance, Reading, SourceVideo
from medgrpo.data.sources.avos_boxes import BoxTables
from medgrpo.data.sources.base import Source
from medgrpo.data.sources.csv_rows import CellError, Row, csv_rows
from medgrpo.data.sources.finding import expect_file, find_file, find_video
from medgrpo.data.sources.vocabulary import Vocabulary
from medgrpo.data.splits import canonical_video_id
from medgrpo.errors import UserError
from medgrpo.tasks.next_action import inventory
from medgrpo.types import Clip

__all__ = ["AVOS", "join_events"]

CLOCK = 15.0
TABLE = "v0.5.0-anns-smoothed.csv"
COLUMNS = ("video_id", "labeler_2", "labeler_3", "label", "start_seconds", "end_seconds")
FOLDERS = ("MULTITASK_FILES/TSM_FILES/annotations", "TSM_FILES/annotations", "annotations", "")
VIDEO_FOLDERS = ("data/videos", "videos", "")
FRAME_FOLDERS = ("images-fps_15", "data/images-fps_15", "frames")
ROUNDING = 1.0
"""Seconds: times are written in whole ones, so the last may stand up to one past the end of the video."""

NO_ACTION = ("background", "abstain")
LABELS = Vocabulary.of("label", ("cutting", "suturing", "tying", *NO_ACTION))


class AVOS(Source):
    """The importer of AVOS.

    Left out by rule, as by the authors' own loader, and counted: rows in which the labeler abstains, and rows
    in which a third labeler was asked and contradicts the second. Rows of one action that touch or overlap
    are one event: only who labelled them differs.
    """

    name: ClassVar[str] = "AVOS"
    licence: ClassVar[str] = "not stated by its authors; the videos are under YouTube's terms"
    homepage: ClassVar[str] = "https://github.com/egoodman92/semi-supervised-surgery"
    web: ClassVar[bool] = True

    def __init__(self, root: str | Path) -> None:
        super().__init__(root)
        self._boxes = BoxTables(self.root, CLOCK)
        self._loose: list[Problem] = []

    def videos(self) -> Sequence[str]:
        """The YouTube ids of all videos with actions or boxes, sorted."""
        return sorted({*self._rows, *self._boxes.videos()})

    def read(self, video_id: str) -> Reading:
        """All that is known about a video; see :class:`~medgrpo.data.sources.base.Source`."""
        if video_id not in self._rows and video_id not in self._boxes.videos():
            raise UserError(f"{self.root / self._table}: says nothing about a video {video_id!r}")
        problems: list[Problem] = []
        footage, duration = self._footage(video_id, problems)
        events, counts = self._events(video_id, duration, problems)
        boxes = self._boxes.read(video_id, duration)
        problems += boxes.problems
        counts = {**counts, **boxes.counts}
        if footage is None or duration is None:
            return Reading(None, tuple(problems), counts)
        video = SourceVideo(
            source=self.name,
            video_id=video_id,
            canonical_id=canonical_video_id(video_id, self.name),
            footage=footage,
            clock=CLOCK,
            duration=duration,
            canvas=boxes.canvas,
            events=tuple(events),
            instances=boxes.instances,
            actions=tuple(inventory()[self.name]),
            steps=tuple(inventory()[self.name]),
            official_split=self._splits.get(video_id),
            annotated=boxes.annotated,
        )
        return Reading(video, tuple(problems), counts)

    def problems(self) -> Sequence[Problem]:
        """Rows without a video, and tables that are not there."""
        _ = self._rows, self._splits
        return (*self._loose, *self._boxes.problems())

    def files(self, video_id: str) -> Sequence[Path]:
        """The tables."""
        del video_id
        splits = (find_file(self.root, FOLDERS, f"{split}.csv") for split in ("train", "test"))
        return [self.root / name for name in (self._table, *splits, *self._boxes.files()) if name]

    @cached_property
    def _table(self) -> str:
        return expect_file(self.root, FOLDERS, TABLE)

    @cached_property
    def _rows(self) -> Mapping[str, list[Row]]:
        """The rows of each video."""
        found: dict[str, list[Row]] = defaultdict(list)
        for row in csv_rows(self.root, self._table, COLUMNS, self._loose.append):
            if video_id := row.text("video_id"):
                found[video_id].append(row)
            else:
                self._loose.append(Problem("", row.provenance, "video_id", "is empty"))
        return dict(found)

    @cached_property
    def _splits(self) -> Mapping[str, str]:
        """Official split of each video."""
        found: dict[str, str] = {}
        for split in ("train", "test"):
            name = find_file(self.root, FOLDERS, f"{split}.csv")
            if name is None:
                text = "the file is missing; official splits are not known"
                self._loose.append(Problem("", Provenance(f"{split}.csv"), "video_id", text))
                continue
            for row in csv_rows(self.root, name, ("video_id",), self._loose.append):
                video_id = row.text("video_id")
                if found.setdefault(video_id, split) != split:
                    text = "is in both official splits; expected in one"
                    self._loose.append(Problem(video_id, row.provenance, "video_id", text))
        return found

    def _footage(self, video_id: str, problems: list[Problem]) -> tuple[Clip | None, float | None]:
        """The pictures of a video and its duration in seconds, or a problem."""
        name = find_video(self.root, VIDEO_FOLDERS, video_id)
        if name is None:
            return self._frames(video_id, problems)
        try:
            header = video_header(self.root / name)
        except VideoError as error:
            problems.append(Problem(video_id, Provenance(name), "video_id", error.problem))
            return None, None
        return Clip(video=self.root / name, fps=header.rate), header.duration

    def _frames(self, video_id: str, problems: list[Problem]) -> tuple[Clip | None, float | None]:
        """The frame files of a video, each at the time that its number tells."""
        named = re.compile(re.escape(video_id) + r"-(\d{9})\.jpe?g")
        for folder in FRAME_FOLDERS:
            if (place := self.root / folder / video_id).is_dir():
                found = sorted((int(m[1]), p) for p in place.iterdir() if (m := named.fullmatch(p.name)))
                if found:
                    break
        else:
            wanted = f"{VIDEO_FOLDERS[0]}/{video_id}.mp4 or {FRAME_FOLDERS[0]}/{video_id}"
            text = f"its video is missing; expected {wanted}"
            problems.append(Problem(video_id, Provenance(self._table), "video_id", text))
            return None, None
        times = tuple(number / CLOCK for number, _ in found)
        files = tuple(path for _, path in found)
        try:
            read_image(files[0], "the first frame")
        except VideoError as error:
            where = Provenance(files[0].relative_to(self.root).as_posix())
            problems.append(Problem(video_id, where, "video_id", error.problem))
            return None, None
        return Clip(frames=files, fps=CLOCK, times=times), times[-1] + 1 / CLOCK

    def _events(
        self, video_id: str, duration: float | None, problems: list[Problem]
    ) -> tuple[list[Event], dict[str, int]]:
        """The actions of a video; and how many rows became what."""
        found: list[Event] = []
        counts: Counter[str] = Counter()
        for row in self._rows.get(video_id, ()):
            counts["rows"] += 1
            try:
                label = LABELS.read(row.text("label"), "label")
                if label == "abstain":
                    counts["abstain_dropped"] += 1
                elif row.text("labeler_3") not in ("", row.text("labeler_2")):
                    counts["contradicted_dropped"] += 1
                elif label in NO_ACTION:
                    counts["background"] += 1
                else:
                    found.append(_event(label, row, duration))
            except CellError as error:
                problems.append(row.problem(error, video_id))
                counts["bad_rows"] += 1
        events = join_events(found)
        counts["joined"] = len(found) - len(events)
        counts["events"] = len(events)
        return events, dict(counts)


def _event(label: str, row: Row, duration: float | None) -> Event:
    """A row as an event, its times checked against the video where there is one."""
    start, end = row.decimal("start_seconds"), row.decimal("end_seconds")
    if start < 0:
        raise CellError("start_seconds", f"{start:g} is before the start of the video")
    if end <= start:
        raise CellError("end_seconds", f"{end:g} is not after the start at {start:g}")
    if duration is not None:
        past = f"is past the end of the video, which lasts {duration:.2f} s"
        if start >= duration:
            raise CellError("start_seconds", f"{start:g} {past}")
        if end > duration + ROUNDING:
            raise CellError("end_seconds", f"{end:g} {past}")
        end = min(end, duration)
    return Event("action", label, start, end, row.provenance)


def join_events(events: Iterable[Event]) -> list[Event]:
    """Events by start, those of one label that touch or overlap made one, with the first one's place."""
    last: dict[str, int] = {}
    joined: list[Event] = []
    for event in sorted(events, key=lambda e: (e.start, e.end, e.label)):
        place = last.get(event.label)
        if place is not None and event.start <= joined[place].end:
            before = joined[place]
            end = max(before.end, event.end)
            joined[place] = Event(before.kind, before.label, before.start, end, before.provenance)
        else:
            last[event.label] = len(joined)
            joined.append(event)
    return joined

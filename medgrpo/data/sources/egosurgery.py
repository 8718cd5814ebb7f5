"""EgoSurgery: open surgery from a camera on the surgeon's head, with phases, instruments and hands.

The root holds phases, boxes and frames::

    egosurgery_phase/<video>_<session>.csv          columns Frame and Phase, a row a frame
    egosurgery_tool/instances_{train,val,test}.json         COCO, 15 instruments
    egosurgery_tool_hand/instances_{train,val,test}.json    COCO, the same and four kinds of hands; or
    egosurgery_tool_hand/{train,val,test}.json              the hands alone
    <split>/<video>/<video>_<session>_<frame>.jpg   or below frames/, images/, raw/ego/

Annotation folders may also be in ``annotations``. A session is one video of ours; all sessions of a video are
one operation. Frames count from 1 at one in two seconds. In the COCO files numbers of images and ``video_id``
mean something within one split only, so the session is read from the name of the image.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from medgrpo.data.readers.base import VideoError
from medgrpo.data.sources.annotations import Instance, Problem, Provenance, Reading, SourceVideo
from medgrpo.data.sources.base import Source
from medgrpo.data.sources.coco import CocoBox, CocoImage, corner_box, read_coco
from medgrpo.data.sources.csv_rows import CellError, csv_rows
from medgrpo.data.sources.finding import find_file
from medgrpo.data.sources.numbered_frames import Label, NumberedFrames, label_runs, numbered_frames
from medgrpo.data.sources.vocabulary import Vocabulary
from medgrpo.data.splits import canonical_video_id
from medgrpo.errors import UserError
from medgrpo.types import Box, Canvas

__all__ = ["HANDS", "PHASES", "STEPS", "TOOLS", "EgoSurgery", "session_and_frame"]

CLOCK = 0.5
SPLITS = ("train", "val", "test")
PHASE_FOLDERS = ("egosurgery_phase", "annotations/egosurgery_phase")
TOOL_FOLDERS = ("egosurgery_tool", "annotations/egosurgery_tool")
HAND_FOLDERS = ("egosurgery_tool_hand", "annotations/egosurgery_tool_hand")
FRAME_FOLDERS = ("", "frames", "images", "raw/ego")

TOOLS = (
    "Bipolar Forceps", "Electric Cautery", "Forceps", "Gauze", "Hook", "Mouth Gag", "Needle Holders",
    "Raspatory", "Retractor", "Scalpel", "Scissors", "Skewer", "Suction Cannula", "Syringe", "Tweezers",
)  # fmt: skip
HANDS: Mapping[str, tuple[str, str]] = {
    "Own hands left": ("own", "left"),
    "Own hands right": ("own", "right"),
    "Other hands left": ("other", "left"),
    "Other hands right": ("other", "right"),
}
"""Whose hand, and which."""

STEPS = (
    "closing", "closure", "design", "dissection", "dressing", "hemostasis", "incision", "irrigation",
    "preparation",
)  # fmt: skip
"""The benchmark's list of next steps."""

PHASES: Mapping[str, str] = {
    "disinfection": "preparation",
    "design": "design",
    "anesthesia": "preparation",
    "incision": "incision",
    "dissection": "dissection",
    "hemostasis": "hemostasis",
    "irrigation": "irrigation",
    "closure": "closure",
    "dressing": "dressing",
}
"""The nine phases of the dataset in the benchmark's spelling.

The benchmark knows neither disinfection nor anesthesia, and has a preparation that the dataset does not: that
both are part of it is concluded, not documented. What it calls closing occurs in no file.
"""

_STEM = re.compile(r"(\d+_\d+)_(\d{1,9})")


@dataclass(frozen=True, slots=True)
class _Image:
    """An image of a session with its boxes, out of one file."""

    number: int
    image: CocoImage
    boxes: Sequence[CocoBox]


class EgoSurgery(Source):
    """The importer of EgoSurgery.

    Args:
        root: Folder of the dataset.
        phases: Phase of the dataset to the label of its events, in place of :data:`PHASES`. Labels that are
            not in :data:`STEPS` are added to the closed list.
    """

    name: ClassVar[str] = "EgoSurgery"
    licence: ClassVar[str] = "CC BY-NC-SA 4.0; on request by a form, no attempt to identify anybody"
    homepage: ClassVar[str] = "https://github.com/Fujiry0/EgoSurgery"

    def __init__(self, root: str | Path, phases: Mapping[str, str] | None = None) -> None:
        super().__init__(root)
        self.phases = dict(phases or PHASES)
        self._phases = Vocabulary("phase", self.phases)
        spellings = {name: name.lower() for name in (*TOOLS, *HANDS)}
        self._objects = Vocabulary("instrument or hand", spellings)
        self._loose: list[Problem] = []

    def videos(self) -> Sequence[str]:
        """All sessions, e.g. ``01_1``, sorted."""
        return sorted({*self._tables, *self._images})

    def read(self, video_id: str) -> Reading:
        """All that is known about a session; see :class:`~medgrpo.data.sources.base.Source`."""
        if video_id not in self._tables and video_id not in self._images:
            raise UserError(f"{self.root}: no annotation file says anything about a session {video_id!r}")
        problems: list[Problem] = []
        frames = self._frames(video_id)
        if frames is None:
            text = (
                f"its frames are missing; expected <split>/{video_id.partition('_')[0]}/{video_id}_0001.jpg"
            )
            return Reading(None, (Problem(video_id, self._somewhere(video_id), "Frame", text),))
        try:
            frames.canvas()
        except VideoError as error:
            where = Provenance(error.path.relative_to(self.root).as_posix())
            return Reading(None, (Problem(video_id, where, "Frame", error.problem),))
        counts: Counter[str] = Counter()
        labels = self._labels(video_id, frames, problems, counts)
        events = label_runs("phase", labels, frames)
        canvas, instances, looked = self._instances(video_id, frames, problems, counts)
        counts.update(events=len(events), instances=len(instances))
        steps = tuple(dict.fromkeys((*STEPS, *self._phases.labels)))
        video = SourceVideo(
            source=self.name,
            video_id=video_id,
            canonical_id=canonical_video_id(video_id, self.name),
            footage=frames.footage(),
            clock=CLOCK,
            first_id=frames.first,
            duration=frames.duration,
            canvas=canvas,
            events=events,
            instances=instances,
            actions=steps,
            steps=steps,
            official_split=self._splits.get(canonical_video_id(video_id, self.name)),
            annotated=looked,
        )
        return Reading(video, tuple(problems), {key: count for key, count in counts.items() if count})

    def problems(self) -> Sequence[Problem]:
        """Images that belong to no session, annotations of unknown images, and videos in two splits."""
        _ = self._images, self._splits, self._tables
        return self._loose

    def files(self, video_id: str) -> Sequence[Path]:
        """The COCO files, and the phases of the session."""
        own = [self._tables[video_id]] if video_id in self._tables else []
        return [self.root / name for name in (*own, *(place for _, place in self._boxes))]

    @cached_property
    def _tables(self) -> Mapping[str, str]:
        """Session to the file of its phases."""
        found: dict[str, str] = {}
        for folder in PHASE_FOLDERS:
            for path in sorted((self.root / folder).glob("*.csv")):
                if re.fullmatch(r"\d+_\d+", path.stem):
                    found.setdefault(path.stem, f"{folder}/{path.name}")
        if not found and not self._boxes:
            wanted = f"{PHASE_FOLDERS[0]}/<video>_<session>.csv or {TOOL_FOLDERS[0]}/instances_train.json"
            raise UserError(f"{self.root}: holds neither phases nor boxes; expected {wanted}")
        return found

    @cached_property
    def _boxes(self) -> list[tuple[str, str]]:
        """Split and place of each COCO file that is there."""
        return [
            (split, place)
            for split in SPLITS
            for folders, name in (
                (HAND_FOLDERS, f"instances_{split}.json"),
                (TOOL_FOLDERS, f"instances_{split}.json"),
                (HAND_FOLDERS, f"{split}.json"),
            )
            if (place := find_file(self.root, folders, name))
        ]

    @cached_property
    def _images(self) -> Mapping[str, list[_Image]]:
        """The images of each session."""
        found: dict[str, list[_Image]] = defaultdict(list)
        for _, place in self._boxes:
            for image, boxes in read_coco(self.root, place, self._loose.append).images:
                try:
                    session, number = session_and_frame(image.stem, "file_name")
                    found[session].append(_Image(number, image, boxes))
                except CellError as error:
                    self._loose.append(Problem("", image.provenance, error.column, error.problem))
        return dict(found)

    @cached_property
    def _splits(self) -> Mapping[str, str]:
        """Operation to its official split; a session that no file of boxes has goes with its operation."""
        of_file = {place: split for split, place in self._boxes}
        found: dict[str, str] = {}
        for session, images in self._images.items():
            video = canonical_video_id(session, self.name)
            for place in sorted({image.image.provenance.file for image in images}):
                if found.setdefault(video, of_file[place]) != of_file[place]:
                    text = f"{video} is in split {found[video]} too; expected in one"
                    self._loose.append(Problem(session, Provenance(place), "images", text))
        return found

    def _somewhere(self, video_id: str) -> Provenance:
        if video_id in self._tables:
            return Provenance(self._tables[video_id])
        return self._images[video_id][0].image.provenance

    def _frames(self, video_id: str) -> NumberedFrames | None:
        """The frames of a session, beside those of others or not."""
        video = video_id.partition("_")[0]
        named = re.compile(rf"{re.escape(video_id)}_(\d{{1,9}})\.(?:jpe?g|png)", re.IGNORECASE)
        inner = [f"{split}/{video}" for split in SPLITS] + [video, video_id, f"{video}/{video_id}", ""]
        inner += list(SPLITS)
        folders = (f"{outer}/{part}".strip("/") for outer in FRAME_FOLDERS for part in inner)
        return numbered_frames(self.root, folders, named, CLOCK)

    def _labels(
        self, video_id: str, frames: NumberedFrames, problems: list[Problem], counts: Counter[str]
    ) -> dict[int, Label]:
        """The phase of each frame that has one."""
        found: dict[int, Label] = {}
        if video_id not in self._tables:
            return found
        try:
            rows = list(csv_rows(self.root, self._tables[video_id], ("Frame", "Phase"), problems.append))
        except UserError as error:  # of this session alone; its boxes are good
            where = Provenance(self._tables[video_id])
            text = str(error).removeprefix(f"{self.root / where.file}: ")
            problems.append(Problem(video_id, where, "Phase", text))
            return found
        for row in rows:
            counts["rows"] += 1
            try:
                session, number = session_and_frame(row.text("Frame"), "Frame")
                if session != video_id:
                    raise CellError("Frame", f"{row.text('Frame')!r} is of another session")
                if number not in frames.files:
                    raise CellError("Frame", f"the frame {row.text('Frame')} is missing in {frames.folder}")
                if number in found:
                    raise CellError("Frame", f"{row.text('Frame')} is there twice")
                if not row.text("Phase"):
                    counts["frames_without_phase"] += 1
                    continue
                found[number] = (self._phases.read(row.text("Phase"), "Phase"), row.provenance)
            except CellError as error:
                problems.append(row.problem(error, video_id))
        return found

    def _instances(
        self, video_id: str, frames: NumberedFrames, problems: list[Problem], counts: Counter[str]
    ) -> tuple[Canvas | None, tuple[Instance, ...], tuple[float, ...]]:
        """Canvas, instruments and hands by time, and the times at which somebody looked."""
        canvas: Canvas | None = None
        looked: set[float] = set()
        found: dict[tuple[float, str, Box], Instance] = {}
        for one in self._images.get(video_id, ()):
            try:
                if one.number not in frames.files:
                    raise CellError("file_name", f"{one.image.name} is missing in {frames.folder}")
                canvas = canvas or one.image.canvas
                if one.image.canvas != canvas:
                    size = f"{one.image.canvas.width}x{one.image.canvas.height}"
                    raise CellError("width", f"{one.image.name} is {size}, images before it are not")
            except CellError as error:
                where = one.image.provenance
                problems.append(Problem(video_id, where, error.column, error.problem))
                continue
            time = frames.time(one.number)
            looked.add(time)
            for box in one.boxes:
                try:
                    instance = self._instance(time, box, canvas)
                except CellError as error:
                    problems.append(Problem(video_id, box.provenance, error.column, error.problem))
                    continue
                assert instance.box is not None
                key = (time, instance.label, instance.box)
                counts["repeated_boxes"] += key in found  # the files overlap
                found.setdefault(key, instance)
        instances = sorted(found.values(), key=lambda one: (one.time, one.label, one.box and one.box.xyxy))
        return canvas, tuple(instances), tuple(sorted(looked))

    def _instance(self, time: float, box: CocoBox, canvas: Canvas) -> Instance:
        label = self._objects.read(box.category, "category_id")
        whose = HANDS.get(box.category)
        facts = {} if whose is None else {"whose": whose[0], "side": whose[1]}
        return Instance(time, label, box.provenance, corner_box(box.numbers, canvas), attributes=facts)


def session_and_frame(stem: str, field: str) -> tuple[str, int]:
    """Session and number of a frame out of its name, e.g. ``01_1`` and 124 out of ``01_1_0124``.

    Raises:
        CellError: If the name is another one.
    """
    match = _STEM.fullmatch(stem)
    if match is None:
        raise CellError(field, f"{stem[:60]!r} is not <video>_<session>_<frame>")
    return match[1], int(match[2])

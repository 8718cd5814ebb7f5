"""CholecTrack20: laparoscopic cholecystectomies with every instrument followed, one frame a second.

The root holds the three parts of the dataset::

    Training/VID02/vid02.json            what is in each frame
    Training/VID02/Frames/006701.png     one frame a second, numbered as in the video, 25 a second
    Validation/VID30/...                 likewise
    Testing/VID01/VID01.mp4              the film at 25 frames a second, and no frames

The keys of ``annotations`` are numbers of frames, 25 apart: 1, 26, 51 and so on in the published files, where
the frame at second 0 is number 1; in files with multiples of 25 it is number 0. Boxes are left, top, width
and height as shares of the picture, on a canvas of 854x480.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar, get_args

from medgrpo.data.readers.base import VideoError
from medgrpo.data.readers.header import video_header
from medgrpo.data.sources.annotations import Instance, Problem, Provenance, Reading, SourceVideo, Triplet
from medgrpo.data.sources.base import Source
from medgrpo.data.sources.cholec import CLOCK, STEPS
from medgrpo.data.sources.cholectrack20_entry import CANVAS, Entry, Perspective, read_entry
from medgrpo.data.sources.csv_rows import CellError
from medgrpo.data.sources.finding import VIDEO_SUFFIXES
from medgrpo.data.sources.json_file import JsonFileError, JsonNode, read_json
from medgrpo.data.sources.numbered_frames import FrameNumbers, Label, label_runs, numbered_frames
from medgrpo.data.splits import canonical_video_id
from medgrpo.errors import UserError
from medgrpo.types import Clip

__all__ = ["CholecTrack20", "first_number"]

STEP = 25
"""From one annotated frame to the next."""

SPLITS: Mapping[str, str] = {
    "Training": "train",
    "Validation": "val",
    "Testing": "test",
    "training": "train",
    "validation": "val",
    "testing": "test",
}
"""Folder to official split."""

_VIDEO = re.compile(r"VID\d+")
_FRAME = re.compile(r"(\d{1,9})\.(?:png|jpe?g)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Footage:
    """The pictures of a video; ``known`` are the numbers that there are, None is all up to the end."""

    clip: Clip
    duration: float
    known: Collection[int] | None


@dataclass
class _Found:
    """What has been read of a video so far."""

    instances: list[Instance] = field(default_factory=list)
    triplets: list[Triplet] = field(default_factory=list)
    phases: dict[int, Label] = field(default_factory=dict)
    annotated: list[float] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


class CholecTrack20(Source):
    """The importer of CholecTrack20.

    Args:
        root: Folder of the dataset.
        perspective: In which sense two boxes are of the same instrument.

    Raises:
        UserError: If there is no such perspective.
    """

    name: ClassVar[str] = "CholecTrack20"
    licence: ClassVar[str] = "CC BY-NC-SA 4.0; on request by a form"
    homepage: ClassVar[str] = "https://github.com/CAMMA-public/cholectrack20"

    def __init__(self, root: str | Path, perspective: Perspective = "intraoperative") -> None:
        super().__init__(root)
        if perspective not in get_args(Perspective):
            known = ", ".join(get_args(Perspective))
            raise UserError(f"{self.name}: there is no perspective {perspective!r}; known are: {known}")
        self.perspective = perspective
        self._loose: list[Problem] = []

    def videos(self) -> Sequence[str]:
        """The ids of all videos, e.g. ``VID02``, sorted."""
        return sorted(self._folders)

    def read(self, video_id: str) -> Reading:
        """All that is known about a video; see :class:`~medgrpo.data.sources.base.Source`."""
        if video_id not in self._folders:
            raise UserError(f"{self.root}: has no video {video_id!r}, like Training/VID02")
        split, folder = self._folders[video_id]
        name = self._labels(folder)
        found = _Found()
        try:
            document = read_json(self.root, name)
            rows = _numbered(document.member("annotations"), video_id, found.problems)
            numbers = FrameNumbers(CLOCK, first_number(rows), STEP)
            footage = self._footage(folder, numbers)
        except JsonFileError as error:
            where = Provenance(name, error.line)
            return Reading(None, (Problem(video_id, where, "annotations", error.problem),))
        except CellError as error:
            return Reading(None, (Problem(video_id, Provenance(name), error.column, error.problem),))
        except VideoError as error:
            where = Provenance(error.path.relative_to(self.root).as_posix())
            return Reading(None, (*found.problems, Problem(video_id, where, "video", error.problem)))
        for number, node in sorted(rows.items()):
            try:
                _check_number(number, numbers, footage, folder)
                self._read_frame(number, node, numbers.time(number), video_id, found)
            except CellError as error:
                found.problems.append(node.problem(error, video_id))
        phases = label_runs("phase", found.phases, numbers)
        found.counts.update(phases=len(phases), instances=len(found.instances), triplets=len(found.triplets))
        video = SourceVideo(
            source=self.name,
            video_id=video_id,
            canonical_id=canonical_video_id(video_id, self.name),
            footage=footage.clip,
            clock=CLOCK,
            first_id=numbers.first,
            duration=footage.duration,
            canvas=CANVAS,
            events=phases,
            instances=tuple(found.instances),
            triplets=tuple(found.triplets),
            actions=STEPS,
            steps=STEPS,
            official_split=split,
            annotated=tuple(found.annotated),
        )
        counts = {key: count for key, count in found.counts.items() if count}
        return Reading(video, tuple(found.problems), counts)

    def problems(self) -> Sequence[Problem]:
        """Videos that are in two parts, and parts that are not there."""
        _ = self._folders
        return self._loose

    def files(self, video_id: str) -> Sequence[Path]:
        """The labels of the video."""
        return [self.root / self._labels(self._folders[video_id][1])]

    @cached_property
    def _folders(self) -> Mapping[str, tuple[str, str]]:
        """Video to its split and folder."""
        found: dict[str, tuple[str, str]] = {}
        there = {SPLITS[part]: part for part in SPLITS if (self.root / part).is_dir()}
        for part in ("Training", "Validation", "Testing"):
            if SPLITS[part] not in there:
                text = "the folder of this part is missing"
                self._loose.append(Problem("", Provenance(part), "", text))
        for split, part in there.items():
            for path in sorted((self.root / part).iterdir()):
                if not (_VIDEO.fullmatch(path.name) and path.is_dir()):
                    continue
                place = f"{part}/{path.name}"
                if path.name in found:
                    text = f"the video is in {found[path.name][1]} too, which is read"
                    self._loose.append(Problem(path.name, Provenance(place), "", text))
                else:
                    found[path.name] = (split, place)
        if not found:
            raise UserError(f"{self.root}: holds no videos; expected folders like Training/VID02")
        return found

    def _labels(self, folder: str) -> str:
        """The file of a video's labels, whatever the case of its name."""
        path = self.root / folder
        files = sorted(one.name for one in path.glob("*.json"))
        own = [name for name in files if name.lower() == f"{path.name.lower()}.json"]
        chosen = own or (files if len(files) == 1 else [])
        return f"{folder}/{chosen[0] if chosen else f'{path.name.lower()}.json'}"

    def _footage(self, folder: str, numbers: FrameNumbers) -> _Footage:
        """The frames of a video, or its film."""
        inner = (f"{folder}/{name}" for name in ("Frames", "frames", "images", ""))
        folders = (name.rstrip("/") for name in inner)
        frames = numbered_frames(self.root, folders, _FRAME, CLOCK, numbers.first, STEP)
        if frames is not None:
            frames.canvas()  # one that is no image is found here, not in the middle of a build
            return _Footage(frames.footage(), frames.duration, frames.files)
        path = self.root / folder
        films = sorted(one for one in path.iterdir() if one.suffix.lower() in VIDEO_SUFFIXES)
        own = [one for one in films if one.stem.lower() == path.name.lower()]
        if not own and len(films) != 1:
            raise VideoError(path, f"holds neither Frames/006701.png and so on nor a film {path.name}.mp4")
        film = (own or films)[0]
        header = video_header(film)
        return _Footage(Clip(video=film, fps=header.rate), header.duration, None)

    def _read_frame(self, number: int, node: JsonNode, time: float, video_id: str, found: _Found) -> None:
        """The entries of one frame."""
        elements = list(node.elements())
        found.annotated.append(time)
        found.counts.update(frames=1, frames_without_instruments=not elements)
        phases: dict[str, Provenance] = {}
        for element in elements:
            try:
                entry = read_entry(element, self.perspective)
            except CellError as error:
                found.counts["bad_entries"] += 1
                found.problems.append(element.problem(error, video_id))
                continue
            _add_entry(entry, element.provenance, time, found)
            if entry.phase is not None:
                phases.setdefault(entry.phase, element.provenance)
        if len(phases) > 1:
            raise CellError("phase", f"the entries of the frame differ: {', '.join(sorted(phases))}")
        for phase, where in phases.items():
            found.phases[number] = (phase, where)


def first_number(numbers: Collection[int]) -> int:
    """The number of the frame at second 0: 0 if frames are multiples of 25, else 1."""
    return 0 if any(number % STEP == 0 for number in numbers) else 1


def _numbered(node: JsonNode, video_id: str, problems: list[Problem]) -> dict[int, JsonNode]:
    """Frames by number."""
    found: dict[int, JsonNode] = {}
    for key, frame in node.members():
        if not re.fullmatch(r"\d{1,9}", key):
            text = f"{key[:40]!r} is not the number of a frame"
            problems.append(Problem(video_id, frame.provenance, "annotations", text))
        elif int(key) in found:
            text = f"the frame {int(key)} is there twice"
            problems.append(Problem(video_id, frame.provenance, "annotations", text))
        else:
            found[int(key)] = frame
    return found


def _check_number(number: int, numbers: FrameNumbers, footage: _Footage, folder: str) -> None:
    if (number - numbers.first) % numbers.step:
        grid = f"{numbers.first}, {numbers.first + STEP}, {numbers.first + 2 * STEP}"
        raise CellError("annotations", f"frame {number} is not one of {grid} and so on, one a second")
    if footage.known is not None and number not in footage.known:
        raise CellError("annotations", f"the picture {number:06d}.png is missing in {folder}")
    if numbers.time(number) >= footage.duration:
        raise CellError("annotations", f"frame {number} is past the end of the film, {footage.duration:g} s")


def _add_entry(entry: Entry, where: Provenance, time: float, found: _Found) -> None:
    found.counts["boxes_cut"] += entry.cut
    attributes = dict(entry.attributes)
    found.instances.append(Instance(time, entry.instrument, where, entry.box, entry.track, attributes))
    if entry.verb or entry.target:
        found.triplets.append(Triplet(time, entry.instrument, entry.verb, entry.target, where))

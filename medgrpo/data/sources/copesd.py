"""CoPESD: endoscopic submucosal dissection, with boxes and actions inside the texts of a visual dialogue.

The root holds the annotations and the pictures::

    smllm_train.json, smllm_test.json      or train.json, test.json; one of them is needed;
                                           also in annotations/ or data/annotations/smllm/
    high_light_images/<clip>/<frame>.jpg   or images/<clip>/, or <clip>/; frames from 0001, one a second

A file is a list of items ``{"conversations": [{"from": "human", "value": ...}, {"from": "gpt", ...}],
"image": "D:/.../<clip>/<frame>.jpg"}``: of the path, which is that of the authors' machine, the last two
parts count. Question and answer of all items about a picture are read, for actions and boxes: see
:mod:`medgrpo.data.sources.copesd_words` and :mod:`medgrpo.data.sources.square_boxes`.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from medgrpo.data.json_rows import scan_rows
from medgrpo.data.readers.base import VideoError
from medgrpo.data.sources.annotations import Instance, Problem, Provenance, Reading, SourceVideo
from medgrpo.data.sources.base import Source
from medgrpo.data.sources.copesd_words import ActionWords, brackets_in, read_bracket
from medgrpo.data.sources.csv_rows import CellError
from medgrpo.data.sources.finding import find_file
from medgrpo.data.sources.numbered_frames import Label, NumberedFrames, label_runs, numbered_frames
from medgrpo.data.sources.square_boxes import Padding, Quad, box_form, pixel_box
from medgrpo.data.splits import canonical_video_id
from medgrpo.errors import UserError
from medgrpo.tasks.next_action import inventory
from medgrpo.types import Canvas

__all__ = ["CoPESD", "clip_and_frame"]

CLOCK = 1.0
FOLDERS = ("", "annotations", "annotations/smllm", "data/annotations/smllm")
TABLES = {"train": ("smllm_train.json", "train.json"), "test": ("smllm_test.json", "test.json")}
IMAGE_FOLDERS = ("high_light_images", "images", "ESD_video/high_light_images", "")
FRAME = re.compile(r"(\d{1,9})\.(?:jpe?g|png)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Item:
    """A dialogue about a picture."""

    provenance: Provenance
    split: str
    number: int
    question: str
    answer: str


@dataclass(slots=True)
class _Clip:
    """What the items of a clip say, as far as it can be read."""

    labels: dict[int, Label] = field(default_factory=dict)
    quads: dict[tuple[int, str], tuple[Quad, Provenance]] = field(default_factory=dict)
    looked: set[int] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


class CoPESD(Source):
    """The importer of CoPESD.

    Args:
        root: Folder of the dataset.
        padded_square: Where the picture lies in the square of which boxes are shares; ``none`` if boxes are
            shares of the picture itself. ``corner`` is what was measured.
        instructions: Further wordings of questions, to the action that each is: the file of the training
            split may hold some that the test split does not.
    """

    name: ClassVar[str] = "CoPESD"
    licence: ClassVar[str] = "CC BY 4.0"
    homepage: ClassVar[str] = "https://github.com/gkw0010/CoPESD"

    def __init__(
        self,
        root: str | Path,
        padded_square: Padding = "corner",
        instructions: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(root)
        self.padded_square: Padding = padded_square
        self.instructions = dict(instructions or {})
        try:
            self._words = ActionWords(self.instructions)
        except CellError as error:
            raise UserError(f"CoPESD: {error}") from None
        self._loose: list[Problem] = []

    def videos(self) -> Sequence[str]:
        """The names of all clips, sorted."""
        return sorted(self._items)

    def read(self, video_id: str) -> Reading:
        """All that is known about a clip; see :class:`~medgrpo.data.sources.base.Source`."""
        if video_id not in self._items:
            raise UserError(f"{self.root}: no annotation file says anything about a clip {video_id!r}")
        items = self._items[video_id]
        folders = (f"{folder}/{video_id}" if folder else video_id for folder in IMAGE_FOLDERS)
        frames = numbered_frames(self.root, folders, FRAME, CLOCK)
        if frames is None:
            text = f"its pictures are missing; expected {IMAGE_FOLDERS[0]}/{video_id}/0001.jpg"
            return Reading(None, (Problem(video_id, items[0].provenance, "image", text),))
        try:
            canvas = frames.canvas()
        except VideoError as error:
            where = Provenance(error.path.relative_to(self.root).as_posix())
            return Reading(None, (Problem(video_id, where, "image", error.problem),))
        clip = self._dialogues(video_id, items, frames)
        instances = self._instances(video_id, clip, frames, canvas)
        events = label_runs("action", clip.labels, frames)
        clip.counts.update(events=len(events), instances=len(instances))
        steps = tuple(inventory()[self.name])
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
            official_split=items[0].split,
            annotated=tuple(frames.time(number) for number in sorted(clip.looked)),
        )
        return Reading(video, tuple(clip.problems), {key: n for key, n in clip.counts.items() if n})

    def problems(self) -> Sequence[Problem]:
        """Items that belong to no clip, and clips that are in both files."""
        _ = self._items
        return self._loose

    def files(self, video_id: str) -> Sequence[Path]:
        """The annotation files."""
        del video_id
        return [self.root / name for _, name in self._tables]

    @cached_property
    def _tables(self) -> list[tuple[str, str]]:
        """Split and place of each file that is there."""
        found = []
        for split, names in TABLES.items():
            places = (place for name in names if (place := find_file(self.root, FOLDERS, name)))
            if place := next(places, None):
                found.append((split, place))
        if not found:
            wanted = " or ".join(names[0] for names in TABLES.values())
            raise UserError(f"{self.root}: holds no annotations; expected {wanted} in it or in annotations/")
        return found

    @cached_property
    def _items(self) -> Mapping[str, list[_Item]]:
        """The items of each clip, in the order of the files."""
        found: dict[str, list[_Item]] = defaultdict(list)
        for split, name in self._tables:
            for row in scan_rows(self.root / name, tolerant=True):
                where = Provenance(name, row.line, f"item {row.row}")
                try:
                    if row.problem is not None:
                        raise CellError("", row.problem)
                    clip, item = _read_item(row.value, where, split)
                    if clip in found and found[clip][0].split != split:
                        other = found[clip][0]
                        raise CellError("image", f"the clip {clip} is in split {other.split} too")
                    found[clip].append(item)
                except CellError as error:
                    self._loose.append(Problem("", where, error.column, error.problem))
        return dict(found)

    def _dialogues(self, video_id: str, items: Sequence[_Item], frames: NumberedFrames) -> _Clip:
        """Actions and boxes of a clip's items."""
        clip = _Clip(counts=Counter(items=len(items)))
        for item in items:

            def report(error: CellError, where: Provenance = item.provenance) -> None:
                clip.problems.append(Problem(video_id, where, error.column, error.problem))

            if item.number not in frames.files:
                text = f"the picture of frame {item.number} is missing in {frames.folder}"
                report(CellError("image", text))
                continue
            clip.looked.add(item.number)
            try:
                label = self._words.read(item.question, item.answer)
                before = clip.labels.setdefault(item.number, (label, item.provenance))
                if before[0] != label:
                    raise CellError("value", f"frame {item.number} is {before[0]!r} before, here {label!r}")
            except CellError as error:
                report(error)
            brackets = brackets_in(item.answer)
            clip.counts["items_without_boxes"] += not brackets
            for word, numbers in brackets:
                try:
                    _add_box(clip, item, word, numbers)
                except CellError as error:
                    report(error)
        return clip

    def _instances(
        self, video_id: str, clip: _Clip, frames: NumberedFrames, canvas: Canvas
    ) -> tuple[Instance, ...]:
        """The boxes of a clip in pixels, by time."""
        form = box_form([quad for quad, _ in clip.quads.values()], self.padded_square, canvas)
        found = []
        for (number, instrument), (quad, where) in sorted(clip.quads.items()):
            try:
                box = pixel_box(quad, form, self.padded_square, canvas)
                found.append(Instance(frames.time(number), instrument, where, box))
            except CellError as error:
                clip.problems.append(Problem(video_id, where, error.column, error.problem))
        clip.counts["xywh_boxes"] = len(found) if form == "xywh" else 0
        return tuple(found)


def _add_box(clip: _Clip, item: _Item, word: str, numbers: str) -> None:
    """Keep a box; the same one in another item about the picture is counted."""
    instrument, quad = read_bracket(word, numbers)
    key = (item.number, instrument)
    if key not in clip.quads:
        clip.quads[key] = (quad, item.provenance)
    elif clip.quads[key][0] == quad:
        clip.counts["repeated_boxes"] += 1
    else:
        raise CellError("value", f"the {instrument} of frame {item.number} has another box before")


def clip_and_frame(image: str) -> tuple[str, int]:
    """Clip and number of a frame out of its path on the authors' machine, Windows or not.

    Raises:
        CellError: If the last two parts are no clip and frame.
    """
    parts = re.split(r"[\\/]+", image)
    match = FRAME.fullmatch(parts[-1])
    if match is None or len(parts) < 2 or parts[-2] in ("", ".", ".."):
        raise CellError("image", f"{image[-80:]!r} does not end with <clip>/<frame>.jpg")
    return parts[-2], int(match[1])


def _read_item(value: Mapping[str, Any], where: Provenance, split: str) -> tuple[str, _Item]:
    """Clip and content of an item; several turns of a dialogue are one text."""
    if not isinstance(image := value.get("image"), str):
        raise CellError("image", "is missing or no text")
    clip, number = clip_and_frame(image)
    turns = value.get("conversations")
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise CellError("conversations", "is missing or no list of turns")
    texts: dict[str, list[str]] = {"human": [], "gpt": []}
    for turn in turns:
        speaker, text = turn.get("from"), turn.get("value")
        if speaker not in texts or not isinstance(text, str):
            raise CellError("conversations", "a turn needs from, human or gpt, and value, a text")
        texts[speaker].append(text)
    if not texts["human"] or not texts["gpt"]:
        raise CellError("conversations", "needs a human and a gpt turn")
    return clip, _Item(where, split, number, " ".join(texts["human"]), " ".join(texts["gpt"]))

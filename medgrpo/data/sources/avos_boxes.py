"""Boxes of tools and hands in AVOS: tables without a first line of names, in pixels of images of any size.

A row with nothing but a path says that somebody looked at the image and found none.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from medgrpo.data.readers.base import VideoError
from medgrpo.data.readers.frames import read_image
from medgrpo.data.sources.annotations import Instance, Problem
from medgrpo.data.sources.csv_rows import CellError, Row, headerless_rows
from medgrpo.data.sources.finding import find_file
from medgrpo.data.sources.vocabulary import Vocabulary
from medgrpo.types import Box, Canvas

__all__ = ["BoxReading", "BoxTables", "image_moment"]

FOLDERS = ("MULTITASK_FILES/RETINANET_FILES/src/data", "RETINANET_FILES/src/data", "annotations", "")
TOOL_TABLES = ("train_data.csv", "val_data.csv", "test_data.csv", "raw_data.csv")
"""The last holds the others' rows again and a few more; a row counts once."""
HAND_TABLES = ("hands.csv", "hand_data.csv")
IMAGE_FOLDERS = ("data/images", "images")
FRAME_FOLDERS = ("images-fps_15", "data/images-fps_15", "frames")

CORNERS = ("x1", "y1", "x2", "y2")
TOOLS = Vocabulary(
    "tool",
    {"bovie": "bovie", "forceps": "forceps", "needledriver": "needle driver", "scalpel": "scalpel"},
)
HANDS = Vocabulary("hand", {"left": "left", "right": "right", "hand": ""})
"""To the side of the body; empty where nobody told left from right."""

_IMAGE = re.compile(r"(?:.*[/\\])?((.{11})-(\d{9})\.jpe?g)")


@dataclass(frozen=True, slots=True)
class BoxReading:
    """The boxes of a video.

    Attributes:
        canvas: Size of the images that the boxes were drawn on; None without boxes.
        instances: By time.
        annotated: Times in seconds at which somebody looked.
        problems: Rows that were left out.
        counts: ``instances``, ``images``, ``images_without_boxes``.
    """

    canvas: Canvas | None
    instances: tuple[Instance, ...]
    annotated: tuple[float, ...]
    problems: tuple[Problem, ...]
    counts: Mapping[str, int]


class BoxTables:
    """The tables of boxes that are there; there may be none.

    Args:
        root: Folder of the source.
        clock: Frames a second by which images are numbered.
    """

    def __init__(self, root: Path, clock: float) -> None:
        self.root = root
        self.clock = clock
        self._loose: list[Problem] = []

    def videos(self) -> Collection[str]:
        """The ids of the videos with boxes."""
        return self._rows.keys()

    def problems(self) -> Sequence[Problem]:
        """Rows that belong to no video."""
        _ = self._rows
        return self._loose

    def files(self) -> Sequence[str]:
        """The tables that are there, relative to the root."""
        return [name for name, _ in self._tables]

    def read(self, video_id: str, duration: float | None) -> BoxReading:
        """The boxes of a video.

        Args:
            video_id: Its YouTube id.
            duration: Seconds; None where the video is not there, and then nothing past its end is noticed.
        """
        problems: list[Problem] = []
        found: list[Instance] = []
        looked: dict[str, float] = {}
        empty: set[str] = set()
        canvas: Canvas | None = None
        for row in self._rows.get(video_id, ()):
            try:
                name, _, time = image_moment(row, self.clock)
                if duration is not None and time >= duration:
                    text = f"{name} is at {time:g} s, the video lasts {duration:.2f} s"
                    raise CellError("path", text)
                looked[name] = time
                if not any(row.cells[1:]):
                    empty.add(name)
                    continue
                size = self._canvas(name, video_id)
                if canvas not in (None, size):
                    raise CellError("path", f"{name} is {size.width}x{size.height}, images before it are not")
                found.append(_instance(row, time, size))
                canvas = size
            except CellError as error:
                problems.append(row.problem(error, video_id))
        counts = {"instances": len(found), "images": len(looked), "images_without_boxes": len(empty)}
        return BoxReading(
            canvas,
            tuple(sorted(found, key=lambda i: (i.time, str(i.provenance)))),
            tuple(sorted(set(looked.values()))),
            tuple(problems),
            {key: count for key, count in counts.items() if count},
        )

    @cached_property
    def _tables(self) -> list[tuple[str, str]]:
        """Place of each table, and the name of its last column."""
        wanted = [*((name, "class") for name in TOOL_TABLES), *((name, "hand") for name in HAND_TABLES)]
        return [(place, last) for name, last in wanted if (place := find_file(self.root, FOLDERS, name))]

    @cached_property
    def _rows(self) -> Mapping[str, list[Row]]:
        """The rows of each video, none twice."""
        found: dict[str, list[Row]] = defaultdict(list)
        known: set[tuple[str, ...]] = set()
        for place, last in self._tables:
            for row in headerless_rows(self.root, place, ("path", *CORNERS, last), self._loose.append):
                try:
                    name, video_id, _ = image_moment(row, self.clock)
                except CellError as error:
                    self._loose.append(row.problem(error))
                    continue
                if (key := (last, name, *row.cells[1:])) not in known:
                    known.add(key)
                    found[video_id].append(row)
        return dict(found)

    def _canvas(self, name: str, video_id: str) -> Canvas:
        """The size of an image."""
        folders = (*IMAGE_FOLDERS, *(f"{folder}/{video_id}" for folder in FRAME_FOLDERS))
        place = find_file(self.root, folders, name)
        if place is None:
            text = f"the image {name} is missing, whose size the box needs; expected in {folders[0]}"
            raise CellError("path", text)
        try:
            height, width = read_image(self.root / place, "the image", header_only=True).shape[:2]
        except VideoError as error:
            raise CellError("path", f"{place}: {error.problem}") from error
        return Canvas(width, height)


def image_moment(row: Row, clock: float) -> tuple[str, str, float]:
    """What the path of an image tells: its name, the video's id, and the time in seconds.

    Args:
        row: With the column ``path``, written on any machine.
        clock: Frames a second.

    Raises:
        CellError: If the name is not that of a frame.
    """
    match = _IMAGE.fullmatch(row.text("path"))
    if match is None:
        text = f"{row.text('path')!r} does not end with an image <YouTube id>-<9 digits>.jpg"
        raise CellError("path", text)
    return match[1], match[2], int(match[3]) / clock


def _instance(row: Row, time: float, canvas: Canvas) -> Instance:
    """A row with a box."""
    x1, y1, x2, y2 = (row.decimal(corner) for corner in CORNERS)
    if x2 <= x1 or y2 <= y1:
        raise CellError("x2" if x2 <= x1 else "y2", f"the box {x1:g},{y1:g},{x2:g},{y2:g} has no area")
    if min(x1, y1) < -1 or x2 > canvas.width + 1 or y2 > canvas.height + 1:
        size = f"{canvas.width}x{canvas.height}"
        raise CellError("x2", f"the box {x1:g},{y1:g},{x2:g},{y2:g} leaves its image of {size} pixels")
    box = Box(x1, y1, x2, y2)
    if "class" in row.columns:
        return Instance(time, TOOLS.read(row.text("class"), "class"), row.provenance, box)
    side = HANDS.read(row.text("hand"), "hand")
    return Instance(time, "hand", row.provenance, box, attributes={"side": side} if side else {})

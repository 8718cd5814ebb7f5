"""COCO detection files: images, categories, and boxes given by left, top, width and height in pixels.

Numbers of images and categories mean something within one file only, and a file may come in several parts.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medgrpo.data.sources.annotations import Problem, Provenance
from medgrpo.data.sources.csv_rows import CellError
from medgrpo.data.sources.json_file import read_json
from medgrpo.errors import UserError
from medgrpo.types import Box, Canvas

__all__ = ["CocoBox", "CocoImage", "CocoReading", "corner_box", "read_coco"]

Report = Callable[[Problem], object]

PARTS = ("images", "annotations", "categories")
OVERFLOW = 1.0
"""Pixels by which a box may leave its image."""


@dataclass(frozen=True, slots=True)
class CocoImage:
    """An image of a file.

    Attributes:
        name: ``file_name`` with forward slashes.
        canvas: Its size.
        provenance: Where it stands.
    """

    name: str
    canvas: Canvas
    provenance: Provenance

    @property
    def stem(self) -> str:
        """The name without folders and ending."""
        return self.name.rpartition("/")[2].rpartition(".")[0]


@dataclass(frozen=True, slots=True)
class CocoBox:
    """An annotation whose image and category are known; its box is looked at when it is asked for.

    Attributes:
        category: Name of its category.
        numbers: ``bbox`` as it stands there.
        track: ``track_id`` or ``instance_id`` of files that have one, as a text.
        provenance: Where it stands.
    """

    category: str
    numbers: Any
    track: str | None
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class CocoReading:
    """What a file holds: its images, each with its annotations."""

    images: Sequence[tuple[CocoImage, Sequence[CocoBox]]]
    categories: Sequence[str]


def read_coco(root: Path, name: str, report: Report) -> CocoReading:
    """Read a file.

    Args:
        root: Of the source.
        name: The file, relative to it.
        report: Is told of images without name or size, and of annotations of unknown images or categories.

    Raises:
        UserError: If the file is missing, is no JSON, or lacks one of its three lists.
    """
    content = _content(root, name)
    categories = dict(_categories(content["categories"], root / name))
    images = dict(_images(content["images"], name, report))
    boxes: dict[Any, list[CocoBox]] = defaultdict(list)
    for k, entry in enumerate(content["annotations"]):
        where = Provenance(name, key=f"annotations/{k}")
        if not isinstance(entry, dict):
            report(Problem("", where, "annotations", "is no object"))
            continue
        image, category = entry.get("image_id"), entry.get("category_id")
        if not isinstance(image, int | str) or image not in images:
            report(Problem("", where, "image_id", f"{str(image)[:60]} is the number of no image"))
        elif not isinstance(category, int | str) or category not in categories:
            report(Problem("", where, "category_id", f"{str(category)[:60]} is the number of no category"))
        else:
            track = entry.get("track_id", entry.get("instance_id"))
            track = str(track) if isinstance(track, int | str) else None
            boxes[image].append(CocoBox(categories[category], entry.get("bbox"), track, where))
    return CocoReading(
        [(image, boxes.get(number, ())) for number, image in images.items()], list(categories.values())
    )


def corner_box(numbers: Any, canvas: Canvas) -> Box:
    """A ``bbox`` as corners.

    Args:
        numbers: A list of left, top, width and height in pixels.
        canvas: Size of the image.

    Returns:
        The box, cut at the edges of the image.

    Raises:
        CellError: If it is no such list, has no area, or leaves the image by more than a pixel.
    """
    if not (isinstance(numbers, list) and len(numbers) == 4 and all(map(_is_number, numbers))):
        raise CellError("bbox", f"{str(numbers)[:80]} is not a list of left, top, width and height")
    left, top, width, height = map(float, numbers)
    shown = f"[{left:g}, {top:g}, {width:g}, {height:g}]"
    if width <= 0 or height <= 0:
        raise CellError("bbox", f"the box {shown} has no area")
    right, bottom = left + width, top + height
    if max(-left, -top, right - canvas.width, bottom - canvas.height) > OVERFLOW:
        size = f"{canvas.width}x{canvas.height}"
        raise CellError("bbox", f"the box {shown} leaves its image of {size} pixels")
    left, top = max(left, 0.0), max(top, 0.0)
    right, bottom = min(right, float(canvas.width)), min(bottom, float(canvas.height))
    if right <= left or bottom <= top:
        raise CellError("bbox", f"the box {shown} has no area in its image")
    return Box(left, top, right, bottom)


def _content(root: Path, name: str) -> Mapping[str, list[Any]]:
    content = read_json(root, name).value
    for part in PARTS:
        if not isinstance(content, dict) or not isinstance(content.get(part), list):
            expected = f"expected a COCO file with {', '.join(PARTS)}"
            raise UserError(f"{root / name}: the list {part!r} is missing; {expected}")
    return content


def _categories(entries: Sequence[Any], path: Path) -> Iterator[tuple[Any, str]]:
    """Number and name of each category; without them no box of the file means anything."""
    for k, entry in enumerate(entries):
        named = isinstance(entry, dict) and isinstance(entry.get("name"), str)
        if not named or not isinstance(entry.get("id"), int | str):
            raise UserError(f"{path}: categories/{k}: needs id, a number, and name, a text")
        yield entry["id"], entry["name"]


def _images(entries: Sequence[Any], name: str, report: Report) -> Iterator[tuple[Any, CocoImage]]:
    known: set[Any] = set()
    for k, entry in enumerate(entries):
        where = Provenance(name, key=f"images/{k}")
        try:
            if not isinstance(entry, dict) or not isinstance(number := entry.get("id"), int | str):
                raise CellError("id", "is missing or no number")
            if number in known:
                raise CellError("id", f"{number} is the number of an image before")
            if not isinstance(file := entry.get("file_name"), str) or not file:
                raise CellError("file_name", "is missing or no text")
            width, height = _side(entry, "width"), _side(entry, "height")
        except CellError as error:
            report(Problem("", where, error.column, error.problem))
            continue
        known.add(number)
        yield number, CocoImage(file.replace("\\", "/"), Canvas(width, height), where)


def _side(entry: Mapping[str, Any], key: str) -> int:
    side = entry.get(key)
    if not isinstance(side, int) or not 0 < side < 1 << 20:
        raise CellError(key, f"{str(side)[:60]} is no number of pixels")
    return side


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

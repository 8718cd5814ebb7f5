"""Whether the frames that records name are there, can be decoded, and fit each other and their boxes."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from medgrpo.data.coordinates import CANVASES, canvas_of
from medgrpo.data.fields import FieldError, number
from medgrpo.data.media import MediaPaths
from medgrpo.data.row_fields import RowFields
from medgrpo.data.truths import truth_boxes
from medgrpo.types import Canvas

__all__ = ["FrameChecks", "image_size", "video_size"]

TOLERANCE = 3.0
"""Pixels by which a box may leave its canvas, as published ones do."""

WINDOW = 4096
"""Frames that are in the pool at a time."""

Size = tuple[int, int]
"""Width and height in pixels."""


@dataclass(frozen=True, slots=True)
class _Expected:
    """What a row says about the frames of its clip.

    Attributes:
        row: Its index.
        declared: The texts of ``metadata.width`` and ``metadata.height`` that are there.
        canvas: What boxes refer to; None is the size of the frames.
        boxes: Corners by field.
    """

    row: int
    declared: Mapping[str, str]
    canvas: Canvas | None
    boxes: Mapping[str, list[list[float]]]


class FrameChecks:
    """Collects the clips of rows, then decodes every distinct frame once.

    Args:
        media: Where frames and videos are.
        workers: Threads that decode.
    """

    def __init__(self, media: MediaPaths, workers: int) -> None:
        self.media = media
        self.workers = workers
        self.problems: dict[int, str] = {}
        self._names: dict[str, int] = {}
        self._videos: set[int] = set()
        self._clips: dict[bytes, list[_Expected]] = {}
        self._sizes: dict[int, Size] = {}

    @property
    def frames(self) -> int:
        """Distinct frames and videos."""
        return len(self._names)

    def add(self, row: int, fields: RowFields, record: Mapping[str, Any]) -> None:
        """Note the clip of a row whose fields are right."""
        frames = array("q", (self._names.setdefault(name, len(self._names)) for name in fields.files))
        if fields.is_video:
            self._videos.update(frames)
        boxes = {}
        if fields.task == "stg":
            boxes["struc_info.bbox_dict"] = truth_boxes(record.get("struc_info"))
        if fields.region is not None:
            boxes["RC_info.start_frame_bbox"] = [list(fields.region[1].xyxy)]
        expected = _Expected(
            row=row,
            declared={name: fields.metadata[name] for name in ("width", "height") if name in fields.metadata},
            canvas=CANVASES.get(fields.dataset),
            boxes=boxes,
        )
        self._clips.setdefault(frames.tobytes(), []).append(expected)

    def run(self, progress: bool = True) -> Iterator[tuple[int, FieldError]]:
        """Decode everything; yields rows and what is wrong with their frames."""
        self._decode(progress)
        names = list(self._names)
        for key, rows in self._clips.items():
            frames = array("q", key)
            found = list(_clip_defects(names, frames, self._sizes, self.problems))
            counts = Counter(self._sizes[frame] for frame in frames if frame in self._sizes)
            for expected in rows:
                yield from ((expected.row, defect) for defect in found)
                if counts:
                    size = counts.most_common(1)[0][0]
                    yield from ((expected.row, defect) for defect in _row_defects(expected, size))

    def _decode(self, progress: bool) -> None:
        from tqdm import tqdm

        def measure(frame: tuple[int, str]) -> Size | str:
            index, name = frame
            path = self.media.resolve(name)
            return video_size(path) if index in self._videos else image_size(path)

        with (
            ThreadPoolExecutor(self.workers) as pool,
            tqdm(total=self.frames, desc="decode frames", unit="frame", disable=not progress) as bar,
        ):
            numbered = ((index, name) for name, index in self._names.items())
            while window := list(islice(numbered, WINDOW)):
                for (index, _), result in zip(window, pool.map(measure, window), strict=True):
                    if isinstance(result, str):
                        self.problems[index] = result
                    else:
                        self._sizes[index] = result
                    bar.update()


def image_size(path: Path) -> Size | str:
    """Decode an image: its size, or what is wrong with it."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            image.verify()
        with Image.open(path) as image:
            image.load()
            return image.size
    except FileNotFoundError:
        return "no such file"
    except Exception as error:  # Pillow's decoders raise whatever they meet in a damaged file
        return f"cannot be decoded: {_reason(error)}"


def video_size(path: Path) -> Size | str:
    """Open a video file: its size as displayed, or what is wrong with it."""
    from medgrpo.data.clip_frames import DECODE_SECONDS
    from medgrpo.data.readers import VideoError, open_reader
    from medgrpo.types import Clip

    if not path.is_file():
        return "no such file"
    try:
        height, width = open_reader(Clip(video=path), decode_seconds=DECODE_SECONDS).size()
    except VideoError as error:
        return f"cannot be decoded: {_reason(error)}"
    return width, height


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__


def _clip_defects(
    names: list[str], frames: array[int], sizes: Mapping[int, Size], problems: Mapping[int, str]
) -> Iterator[FieldError]:
    """Frames of a clip that are broken, or that differ in size."""
    broken = list(dict.fromkeys(frame for frame in frames if frame in problems))
    if broken:
        more = f" (and {len(broken) - 1} more broken files)" if len(broken) > 1 else ""
        yield FieldError("video", f"{names[broken[0]]}: {problems[broken[0]]}{more}")
    counts = Counter(sizes[frame] for frame in frames if frame in sizes)
    if len(counts) > 1:
        usual = counts.most_common(1)[0][0]
        other = next(frame for frame in frames if frame in sizes and sizes[frame] != usual)
        yield FieldError(
            "video",
            f"frames differ in size: {names[other]} is {_show(sizes[other])}, most are {_show(usual)}",
        )


def _row_defects(expected: _Expected, size: Size) -> Iterator[FieldError]:
    """A declared size that is not the frames', boxes outside of the canvas."""
    for name, actual in zip(("width", "height"), size, strict=True):
        text = expected.declared.get(name)
        if text is not None and number(text) != actual:
            yield FieldError(f"metadata.{name}", f"is {text!r}, the frames are {_show(size)}")
    canvas = canvas_of(expected.canvas, size[1], size[0])
    for field, boxes in expected.boxes.items():
        outside = [box for box in boxes if not _within(box, canvas)]
        if outside:
            more = f" (and {len(outside) - 1} more)" if len(outside) > 1 else ""
            yield FieldError(
                field, f"{outside[0]} is outside of the {canvas.width}x{canvas.height} canvas{more}"
            )


def _within(box: list[float], canvas: Canvas) -> bool:
    x1, y1, x2, y2 = box
    return min(x1, y1) >= -TOLERANCE and x2 <= canvas.width + TOLERANCE and y2 <= canvas.height + TOLERANCE


def _show(size: Size) -> str:
    return f"{size[0]}x{size[1]}"

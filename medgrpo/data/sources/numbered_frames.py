"""Frame files whose names hold their number, and labels that stand at frames instead of at spans."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medgrpo.data.readers.base import VideoError
from medgrpo.data.readers.frames import read_image
from medgrpo.data.sources.annotations import Event, Provenance
from medgrpo.types import Canvas, Clip

__all__ = ["FrameNumbers", "Label", "NumberedFrames", "label_runs", "numbered_frames"]

Label = tuple[str, Provenance]
"""A label of the benchmark, and where it stands."""


@dataclass(frozen=True, slots=True)
class FrameNumbers:
    """How a source numbers the frames of a video.

    Attributes:
        clock: Numbers a second.
        first: Number of the frame at second 0.
        step: From one frame that is kept or labelled to the next.
    """

    clock: float
    first: int = 0
    step: int = 1

    def time(self, number: int) -> float:
        """Seconds of a frame from the start of the video."""
        return (number - self.first) / self.clock


@dataclass(frozen=True, slots=True)
class NumberedFrames:
    """The frame files of a video.

    Attributes:
        folder: Relative to the root of the source.
        files: By number, rising.
        clock: Numbers a second.
        first: Number of the frame at second 0.
        step: From the number of one file to that of the next, where none is missing.
    """

    folder: str
    files: Mapping[int, Path]
    clock: float
    first: int
    step: int = 1

    def time(self, number: int) -> float:
        """Seconds of a frame from the start of the video."""
        return FrameNumbers(self.clock, self.first).time(number)

    @property
    def duration(self) -> float:
        """Seconds until the last frame was shown as long as all others."""
        return self.time(max(self.files) + self.step)

    def footage(self) -> Clip:
        """The files with their times."""
        times = tuple(self.time(number) for number in self.files)
        return Clip(frames=tuple(self.files.values()), fps=self.clock / self.step, times=times)

    def canvas(self) -> Canvas:
        """Width and height of the first file, from its header.

        Raises:
            VideoError: If it is no image.
        """
        path = next(iter(self.files.values()))
        height, width = read_image(path, f"the frame {path.name}", header_only=True).shape[:2]
        if not (height and width):
            raise VideoError(path, "has no pixels")
        return Canvas(width, height)


def numbered_frames(
    root: Path,
    folders: Iterable[str],
    named: re.Pattern[str],
    clock: float,
    first: int | None = None,
    step: int = 1,
) -> NumberedFrames | None:
    """The frame files of a video in the first folder that has any; None if none has.

    Args:
        root: Of the source.
        folders: Relative to it, in order of preference; one that is not there is passed over.
        named: Matches the name of a file as a whole; its first group is the number.
        clock: Numbers a second.
        first: Number of the frame at second 0; None is 0 if there is such a file, else 1.
        step: From the number of one file to that of the next.
    """
    for folder in folders:
        place = root / folder
        if not place.is_dir():
            continue
        files: dict[int, Path] = {}
        for path in sorted(place.iterdir()):
            if match := named.fullmatch(path.name):
                files.setdefault(int(match[1]), path)
        if files:
            zero = (0 if 0 in files else 1) if first is None else first
            return NumberedFrames(folder, dict(sorted(files.items())), clock, zero, step)
    return None


def label_runs(
    kind: Literal["action", "phase"], labels: Mapping[int, Label], frames: FrameNumbers | NumberedFrames
) -> tuple[Event, ...]:
    """Events out of labels of frames: neighbours of one label are one event, up to the next frame.

    A frame without a label ends an event: nobody said what happens in it.

    Args:
        kind: Of the events.
        labels: By number of the frame.
        frames: When each number is.
    """
    runs: list[tuple[int, int]] = []
    for number in sorted(labels):
        if runs and number == runs[-1][1] + frames.step and labels[number][0] == labels[runs[-1][0]][0]:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return tuple(
        Event(kind, labels[first][0], frames.time(first), frames.time(last + frames.step), labels[first][1])
        for first, last in runs
    )

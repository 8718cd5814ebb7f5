"""What verification reads: clip by clip, the drafts, what the writers made of them, and what is known.

A file of candidates holds one clip a line, so that a corpus of any size is read in the memory of one clip.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Generic, TypeVar

from medgrpo.data.build.items import BuildClip, ClipPictures, Draft, WrittenText
from medgrpo.data.sources.annotations import SourceVideo
from medgrpo.errors import MissingExtraError, UserError
from medgrpo.services.files import write_whole

__all__ = ["ClipCandidates", "ClipFacts", "Lines", "facts_of"]

T = TypeVar("T")

WIDEST_GAP = 10.0
"""Seconds of a clip that nobody looked at, up to which what is not annotated counts as not there."""

SLACK = 1.0
"""Seconds around a clip in which what is annotated may be named: cuts and labels are not that exact."""


@dataclass(frozen=True, slots=True)
class ClipFacts:
    """What the annotation says about a clip, as far as texts are held against it.

    Attributes:
        present: By category (``instrument``, ``phase``, ``finding``) the labels of the source that are in the
            clip. A category that was not annotated throughout the clip is missing: nothing follows from it.
        events: Labels of actions and phases in the clip.
        actions: The closed list that questions about events offer.
        steps: The closed list that questions about the next step offer.
        procedure: What is done in the video, in plain words.
        official_split: Of the video, where its source says.
    """

    present: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    events: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    procedure: str = ""
    official_split: str | None = None


@dataclass(frozen=True, slots=True)
class ClipCandidates:
    """All questions about one clip.

    Attributes:
        clip: The clip.
        pictures: Its frames.
        facts: What is known about it.
        drafts: The questions.
        texts: Key of a draft that waits for texts to each writer's text.
    """

    clip: BuildClip
    pictures: ClipPictures
    facts: ClipFacts
    drafts: tuple[Draft, ...]
    texts: Mapping[str, Mapping[str, WrittenText]] = field(default_factory=dict)


def facts_of(video: SourceVideo, clip: BuildClip) -> ClipFacts:
    """What a source says about a clip of one of its videos."""
    start, end = clip.start - SLACK, clip.end + SLACK
    events = [event for event in video.events if event.start < end and event.end > start]
    present: dict[str, tuple[str, ...]] = {}
    if _widest_gap(video.annotated, clip) <= WIDEST_GAP:
        seen = [one for one in video.instances if start <= one.time <= end]
        done = [one.instrument for one in video.triplets if start <= one.time <= end and one.instrument]
        present["instrument"] = tuple(sorted({*(one.label for one in seen), *done}))
        flags = [one.attributes["flags"] for one in seen if "flags" in one.attributes]
        if flags:
            present["finding"] = tuple(sorted({flag.strip() for text in flags for flag in text.split(",")}))
    phases = [event for event in events if event.kind == "phase"]
    covered = sum(max(0.0, min(one.end, clip.end) - max(one.start, clip.start)) for one in phases)
    if phases and covered >= clip.duration - SLACK:
        present["phase"] = tuple(sorted({one.label for one in phases}))
    return ClipFacts(
        present,
        tuple(sorted({event.label for event in events})),
        video.actions,
        video.steps,
        video.procedure,
        video.official_split,
    )


class Lines(Generic[T]):
    """A JSON Lines file of one type.

    Args:
        kind: A plain dataclass of the build's items.

    Raises:
        MissingExtraError: If pydantic is not installed.
    """

    def __init__(self, kind: type[T]) -> None:
        try:
            from pydantic import TypeAdapter
        except ImportError as error:
            raise MissingExtraError("pydantic", "build") from error
        self._adapter: Any = TypeAdapter(kind)

    def text(self, value: T) -> str:
        """One value as a line, with its end."""
        return self._adapter.dump_json(value).decode() + "\n"

    def write(self, path: str | Path, values: Iterable[T]) -> Path:
        """Write values one after the other.

        Raises:
            UserError: If the file cannot be written.
        """
        return write_whole(path, (self.text(value) for value in values))

    def read(self, path: str | Path) -> Iterator[T]:
        """The values of a file, one after the other.

        Raises:
            UserError: If the file or a line of it cannot be read; the line and the field are named.
        """
        try:
            with Path(path).open("rb") as file:
                for number, line in enumerate(file, 1):
                    if line.strip():
                        yield self._value(line, f"{path}: line {number}")
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror}") from None

    def _value(self, line: bytes, where: str) -> T:
        from pydantic import ValidationError

        try:
            value: T = self._adapter.validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"]))
            raise UserError(f"{where}: {f'field {field!r}: ' if field else ''}{first['msg']}") from None
        return value


def _widest_gap(annotated: tuple[float, ...], clip: BuildClip) -> float:
    """Seconds of the longest stretch of a clip at whose times nobody looked for instruments."""
    inside = [time for time in annotated if clip.start <= time <= clip.end]
    if not inside:
        return float("inf")
    marks = [clip.start, *sorted(inside), clip.end]
    return max(b - a for a, b in pairwise(marks))

"""A whole source looked through: what is in it, and what is wrong, by file and field."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from medgrpo.data.sources.annotations import Problem, Reading
from medgrpo.data.sources.base import Source
from medgrpo.data.sources.consistency import inconsistencies
from medgrpo.errors import UserError

__all__ = ["ProblemGroup", "Validation", "validate"]

Progress = Callable[[Sequence[str]], Iterable[str]]
"""Gives the videos back one by one while it shows how far they are, as ``tqdm`` does."""


@dataclasses.dataclass(slots=True)
class ProblemGroup:
    """The problems of one field of one file.

    Attributes:
        file: Relative to the folder of the source.
        field: Column or key.
        count: How many there are.
        examples: The first of them.
    """

    file: str
    field: str
    count: int = 0
    examples: list[Problem] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(slots=True)
class Validation:
    """What came of looking through a source.

    Attributes:
        source: Its name.
        root: Its folder.
        refused: Why nothing of it can be read; empty if something can.
        videos: How many it names.
        unusable: Those of which nothing can be used.
        operations: How many operations the usable ones are.
        seconds: Duration of the usable ones.
        splits: Usable videos by official split; ``none`` where the source names none.
        counts: What was read and dropped, summed over the videos.
        groups: Problems by file and field, sorted.
    """

    source: str
    root: str
    refused: str = ""
    videos: int = 0
    unusable: list[str] = dataclasses.field(default_factory=list)
    operations: int = 0
    seconds: float = 0.0
    splits: Counter[str] = dataclasses.field(default_factory=Counter)
    counts: Counter[str] = dataclasses.field(default_factory=Counter)
    groups: list[ProblemGroup] = dataclasses.field(default_factory=list)

    @property
    def problems(self) -> int:
        """How many there are, the refusal included."""
        return sum(group.count for group in self.groups) + bool(self.refused)

    def summary(self) -> dict[str, Any]:
        """Ready for JSON; the same for the same files."""
        return {
            "source": self.source,
            "root": self.root,
            "refused": self.refused,
            "videos": self.videos,
            "usable_videos": self.videos - len(self.unusable),
            "unusable_videos": self.unusable,
            "operations": self.operations,
            "hours": round(self.seconds / 3600, 3),
            "official_splits": dict(sorted(self.splits.items())),
            "counts": dict(sorted(self.counts.items())),
            "problems": self.problems,
            "by_file_and_field": [
                {
                    "file": group.file,
                    "field": group.field,
                    "count": group.count,
                    "examples": [
                        {"video": one.video_id, "where": str(one.provenance), "problem": one.problem}
                        for one in group.examples
                    ],
                }
                for group in self.groups
            ],
        }

    def table(self) -> str:
        """For a terminal: counts first, then problems, the most frequent first."""
        lines = [f"{self.source} in {self.root}"]
        if self.refused:
            return "\n".join((*lines, f"  cannot be read: {self.refused}"))
        usable = self.videos - len(self.unusable)
        lines.append(
            f"  {usable} of {self.videos} videos can be used ({self.operations} operations, "
            f"{self.seconds / 3600:.2f} h)"
        )
        lines += _columns(
            [(name, str(count)) for name, count in sorted(self.splits.items())], "official split "
        )
        lines += _columns([(name.replace("_", " "), str(n)) for name, n in sorted(self.counts.items())])
        if not self.groups:
            return "\n".join((*lines, "  no problems"))
        lines.append(f"  {self.problems} problems:")
        for group in sorted(self.groups, key=lambda group: (-group.count, group.file, group.field)):
            lines.append(f"    {group.count} x {group.file}: field {group.field!r}")
            first = group.examples[0]
            place = str(first.provenance).removeprefix(group.file).strip(", ")
            lines.append(f"        {f'{place}: ' if place else ''}{first.problem}")
        return "\n".join(lines)


def validate(source: Source, progress: Progress | None = None, examples: int = 20) -> Validation:
    """Look through a source, one video at a time.

    Beside the importer's own problems, what it made of each video is held against the promises of
    :class:`~medgrpo.data.sources.annotations.SourceVideo`: see
    :func:`~medgrpo.data.sources.consistency.inconsistencies`.

    Args:
        source: The source.
        progress: Shows how far it is.
        examples: Problems that are kept of each field of each file; all are counted.

    Returns:
        What is there and what is wrong. A source that cannot be read at all has ``refused``.
    """
    found = Validation(source.name, str(source.root))
    groups: dict[tuple[str, str], ProblemGroup] = {}

    def note(problem: Problem) -> None:
        key = (problem.provenance.file, problem.field)
        group = groups.setdefault(key, ProblemGroup(*key))
        group.count += 1
        if len(group.examples) < examples:
            group.examples.append(problem)

    operations: set[str] = set()
    try:
        names = list(source.videos())
        found.videos = len(names)
        for video_id in progress(names) if progress else names:
            _add(found, operations, video_id, source.read(video_id), note)
        for problem in source.problems():
            note(problem)
    except UserError as error:
        found.refused = str(error)
    found.operations = len(operations)
    found.groups = [groups[key] for key in sorted(groups)]
    return found


def _add(
    found: Validation,
    operations: set[str],
    video_id: str,
    reading: Reading,
    note: Callable[[Problem], None],
) -> None:
    """Add what is known about a video to what was found before."""
    found.counts.update(reading.counts)
    for problem in reading.problems:
        note(problem)
    if reading.video is None:
        found.unusable.append(video_id)
        return
    operations.add(reading.video.canonical_id)
    found.seconds += reading.video.duration
    found.splits[reading.video.official_split or "none"] += 1
    for problem in inconsistencies(reading.video):
        note(problem)


def _columns(rows: Sequence[tuple[str, str]], before: str = "") -> list[str]:
    """Names and numbers under each other."""
    width = max((len(before + name) for name, _ in rows), default=0)
    return [f"    {before + name:<{width}}  {number:>8}" for name, number in rows]

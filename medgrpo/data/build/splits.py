"""The split of every video of a build: by operation across all sources, old assignments kept.

The sharing out itself is :mod:`medgrpo.data.splits`. Here it is seen to that videos which their sources call
test videos stay out, if that is wanted, and that what was written is disjoint.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from medgrpo.data.build.verify.findings import KeptClip
from medgrpo.data.fields import FieldError
from medgrpo.data.json_rows import scan_rows
from medgrpo.data.row_fields import read_fields
from medgrpo.data.splits import DEFAULT_FRACTIONS, assign_splits, canonical_video_id, stratum_of
from medgrpo.errors import UserError
from medgrpo.services.files import read_json, write_whole
from medgrpo.types import PairKey

__all__ = [
    "LEFT_OUT",
    "OFFICIAL_TEST",
    "Assignment",
    "SplitPolicy",
    "Video",
    "assign",
    "census",
    "check_disjoint",
    "read_assignment",
    "write_assignment",
]

OFFICIAL_TEST = "official_test"
"""Split of the videos that their sources call test videos, where these are kept apart."""

LEFT_OUT = "left_out"
"""Split of the videos that are in no file."""


@dataclass(frozen=True)
class SplitPolicy:
    """How videos are shared out.

    Attributes:
        seed: Another seed gives another split.
        fractions: Share of each split; the first is the one that is trained on.
        official_test: What becomes of a video that any of its sources calls a test video: ``use`` as any
            other, ``own_file`` for a split of their own, ``leave_out`` of all files.
    """

    seed: int = 0
    fractions: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_FRACTIONS))
    official_test: Literal["use", "own_file", "leave_out"] = "use"

    def __post_init__(self) -> None:
        if self.official_test not in ("use", "own_file", "leave_out"):
            raise UserError(
                f"splits: official_test must be use, own_file or leave_out, got {self.official_test!r}"
            )
        if wrong := [name for name in self.fractions if not name.isidentifier() or name in _RESERVED]:
            raise UserError(f"splits: a split cannot be called {wrong[0]!r}")

    @property
    def training(self) -> str:
        """Name of the split that is trained on."""
        return next(iter(self.fractions))


_RESERVED = (OFFICIAL_TEST, LEFT_OUT)


@dataclass
class Video:
    """What there is of one operation.

    Attributes:
        pairs: (dataset, task) of its questions.
        official_test: Whether a source calls it a test video.
    """

    pairs: set[PairKey] = field(default_factory=set)
    official_test: bool = False


@dataclass(frozen=True, slots=True)
class Assignment:
    """Which video is where.

    Attributes:
        videos: Canonical id to split, sorted, videos of earlier builds included.
        kept: Videos of this build that were assigned before.
        moved: Videos that were assigned before and are kept out now, as official test videos.
    """

    videos: Mapping[str, str]
    kept: int = 0
    moved: tuple[str, ...] = ()

    def of(self, split: str) -> frozenset[str]:
        """The videos of a split."""
        return frozenset(name for name, own in self.videos.items() if own == split)

    @property
    def splits(self) -> tuple[str, ...]:
        """Splits that hold videos and are written, sorted."""
        return tuple(sorted(set(self.videos.values()) - {LEFT_OUT}))


def census(clips: Iterable[KeptClip]) -> dict[str, Video]:
    """The operations of a build that have questions left, over all sources."""
    videos: dict[str, Video] = {}
    for clip in clips:
        # A test video is one for all sources, also where the source that says so has no question left.
        video = videos.setdefault(clip.clip.canonical_id, Video())
        video.pairs |= {(clip.clip.source, pair.draft.task) for pair in clip.pairs}
        video.official_test |= clip.facts.official_split == "test"
    return {name: video for name, video in videos.items() if video.pairs}


def assign(
    videos: Mapping[str, Video], policy: SplitPolicy, before: Mapping[str, str] | None = None
) -> Assignment:
    """Give every video its split.

    Args:
        videos: By canonical id.
        policy: How.
        before: An earlier build's assignment; its videos stay where they are, unless they must be kept out.

    Raises:
        UserError: If the shares do not sum to 1, or the earlier assignment names another split.
    """
    before = dict(before or {})
    apart = {"own_file": OFFICIAL_TEST, "leave_out": LEFT_OUT}.get(policy.official_test)
    settled = {name: split for name, split in before.items() if split not in _RESERVED}
    # What was kept out once stays out, also where the source that said so is not in this build.
    test = {name for name, video in videos.items() if video.official_test or before.get(name) in _RESERVED}
    out = test if apart else set()
    rest = {name: stratum_of(video.pairs) for name, video in videos.items() if name not in out}
    found = assign_splits(rest, policy.seed, policy.fractions, settled)
    found |= {name: str(apart) for name in out}
    return Assignment(
        dict(sorted((before | found).items())),
        kept=sum(name in rest for name in settled),
        moved=tuple(sorted(name for name in out if name in settled)),
    )


def write_assignment(path: Path, assignment: Assignment) -> Path:
    """Write ``splits.json``, which ``medgrpo split --keep`` and the next build read."""
    return write_whole(path, json.dumps(dict(assignment.videos), indent=1) + "\n")


def read_assignment(path: Path) -> dict[str, str]:
    """Read a ``splits.json``.

    Raises:
        UserError: If it is missing or is not an object from video to split.
    """
    found: Any = read_json(path, "a splits.json")
    if not isinstance(found, dict) or not all(isinstance(split, str) for split in found.values()):
        raise UserError(f"{path}: expected an object from video to split")
    return found


def check_disjoint(files: Mapping[str, Path]) -> dict[str, int]:
    """Read written records back and see that no operation is in two of them, whatever sources call it.

    Args:
        files: Split to records file.

    Returns:
        Split to its number of operations.

    Raises:
        UserError: If an operation is in two splits, both files and rows are named; or if a row is no record.
    """
    place: dict[str, tuple[str, int]] = {}
    counts = dict.fromkeys(files, 0)
    for split, path in files.items():
        for raw in scan_rows(path):
            try:
                fields = read_fields(raw.value)
            except FieldError as error:
                raise UserError(f"{path}: row {raw.row}: {error}") from None
            name = canonical_video_id(fields.video_id, fields.dataset)
            if name not in place:
                place[name] = (split, raw.row)
                counts[split] += 1
            elif place[name][0] != split:
                other, row = place[name]
                raise UserError(
                    f"{path}: row {raw.row}: video {name} is in {files[other]}, row {row}, too: "
                    f"splits {other} and {split} are not disjoint"
                )
    return counts

"""One annotated instrument of CholecTrack20: its codes in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from medgrpo.data.sources.cholec import INSTRUMENTS, NULL, PHASES, TARGETS, VERBS, coded, is_cut, pixel_box
from medgrpo.data.sources.csv_rows import CellError
from medgrpo.data.sources.json_file import JsonNode
from medgrpo.data.sources.vocabulary import Vocabulary
from medgrpo.types import Box, Canvas

__all__ = ["CANVAS", "FLAGS", "OPERATORS", "Entry", "Perspective", "read_entry"]

CANVAS = Canvas(854, 480)
"""What boxes are drawn on, in the dataset and in the benchmark, whatever the size of the files."""

Perspective = Literal["intraoperative", "intracorporeal", "visibility"]
"""How long an instrument is the same one: all operation long, while it is in the body, while it is seen."""

OPERATORS = Vocabulary(
    "operator",
    {
        "null": "",
        "MSLH": "main surgeon's left hand",
        "ASRH": "assistant surgeon's right hand",
        "MSRH": "main surgeon's right hand",
        "NULL": "",
        "main-surgeon-left-hand": "main surgeon's left hand",
        "assistant-surgeon-right-hand": "assistant surgeon's right hand",
        "main-surgeon-right-hand": "main surgeon's right hand",
    },
)
"""In the order of the codes, from 0."""

FLAGS: Mapping[str, tuple[int, str]] = {
    "visible": (0, "not visible"),
    "crowded": (1, "crowded"),
    "occluded": (1, "occluded"),
    "bleeding": (1, "bleeding"),
    "smoke": (1, "smoke"),
    "blurred": (1, "blurred"),
    "undercoverage": (1, "field not covered"),
    "reflection": (1, "reflection"),
    "stainedlens": (1, "stained lens"),
}
"""Key to the value that is worth a word, and the word."""

BOX = "tool_bbox"


@dataclass(frozen=True, slots=True)
class Entry:
    """An instrument in a frame.

    Attributes:
        instrument: Its label.
        verb: What it does; empty if it does nothing, or nobody says.
        target: To what.
        phase: Of the operation; None where nobody says.
        box: Pixels of :data:`CANVAS`.
        cut: Whether the box was cut at the edges.
        track: Which instrument it is, in the wanted perspective.
        attributes: ``operator``, ``flags`` with commas between, the other tracks and ``visibility``.
    """

    instrument: str
    verb: str
    target: str
    phase: str | None
    box: Box
    cut: bool
    track: str | None
    attributes: Mapping[str, str]


def read_entry(node: JsonNode, perspective: Perspective) -> Entry:
    """Read an entry.

    Args:
        node: An object.
        perspective: Whose track is the instrument's.

    Raises:
        CellError: If it lacks its instrument or its box, or one of its values is none that may stand there.
    """
    instrument = coded(node.member("instrument"), INSTRUMENTS)
    if not instrument:
        raise CellError("instrument", "is null; an entry is about an instrument")
    shares = [one.number() for one in node.member(BOX).elements()]
    if len(shares) != 4:
        raise CellError(BOX, f"{node.member(BOX).shown} is not left, top, width and height")
    tracks = {name: track for name in get_args(Perspective) if (track := _track(node, name)) is not None}
    track = tracks.pop(perspective, None)
    attributes = {f"{name} track": number for name, number in tracks.items()}
    if operator := _optional(node, "operator", OPERATORS):
        attributes["operator"] = operator
    if (flags := _flags(node)) is not None:
        attributes["flags"] = flags
    if (visibility := _told(node, "visibility")) is not None:
        attributes["visibility"] = f"{visibility.number():g}"
    return Entry(
        instrument=instrument,
        verb=_optional(node, "verb", VERBS) or "",
        target=_optional(node, "target", TARGETS) or "",
        phase=_optional(node, "phase", PHASES),
        box=pixel_box(shares, CANVAS, BOX),
        cut=is_cut(shares),
        track=track,
        attributes=attributes,
    )


def _optional(node: JsonNode, key: str, vocabulary: Vocabulary) -> str | None:
    return coded(node.member(key), vocabulary) if node.has(key) else None


def _track(node: JsonNode, name: str) -> str | None:
    """A track's number; files call it ``intraoperative_track``, the documentation ``..._track_id``."""
    keys = (f"{name}_track", f"{name}_track_id")
    numbers = {told.whole() for key in keys if (told := _told(node, key)) is not None}
    if len(numbers) > 1:
        raise CellError(keys[1], f"{node.member(keys[1]).shown} is not the {keys[0]} beside it")
    return str(numbers.pop()) if numbers else None


def _flags(node: JsonNode) -> str | None:
    """What is special about the picture, with commas between; None where nobody says."""
    there = {key: flag for key in FLAGS if (flag := _told(node, key)) is not None}
    found = []
    for key, flag in there.items():
        if flag.value not in (0, 1):
            raise CellError(key, f"{flag.shown} is neither 0 nor 1")
        telling, word = FLAGS[key]
        found += [word] if flag.value == telling else []
    return ", ".join(found) if there else None


def _told(node: JsonNode, key: str) -> JsonNode | None:
    """A member that is there and not null."""
    member = node.member(key) if node.has(key) else None
    return None if member is None or member.value in (None, NULL) else member

"""The rows of CholecT50: 15 numbers, and what their codes mean in the file that they stand in.

0 is the triplet; 1 the instrument, 2 its score, 3-6 its box; 7 the verb; 8 the target, 9 its score, 10-13 its
box; 14 the phase.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from medgrpo.data.sources.annotations import Problem
from medgrpo.data.sources.cholec import INSTRUMENTS, NULL, PHASES, TARGETS, VERBS, pixel_box
from medgrpo.data.sources.csv_rows import CellError
from medgrpo.data.sources.json_file import JsonNode
from medgrpo.data.sources.vocabulary import Vocabulary
from medgrpo.types import Box, Canvas

__all__ = ["Categories", "LabelRow", "read_categories", "read_row"]

LENGTH = 15
KINDS: Mapping[str, tuple[int, Vocabulary]] = {
    "instrument": (1, INSTRUMENTS),
    "verb": (7, VERBS),
    "target": (8, TARGETS),
    "phase": (14, PHASES),
}
"""Position of each code in a row, and the words that it may stand for."""
TRIPLET = 0
INSTRUMENT_BOX = slice(3, 7)
TARGET_BOX = slice(10, 14)

Parts = tuple[str, str, str]
"""Instrument, verb and target; the latter two may be empty."""


@dataclass(frozen=True, slots=True)
class Categories:
    """What the codes of a file mean.

    Attributes:
        names: By kind, code to label; an empty label is a null verb or target.
        triplets: Code to parts.
    """

    names: Mapping[str, Mapping[int, str]]
    triplets: Mapping[int, Parts]


@dataclass(frozen=True, slots=True)
class LabelRow:
    """A row with its codes looked up; what is null is empty or None."""

    instrument: str
    verb: str
    target: str
    phase: str | None
    box: Box | None
    target_box: Box | None


def read_categories(document: JsonNode, video_id: str, problems: list[Problem]) -> Categories:
    """The categories of a file.

    Args:
        document: The file.
        video_id: Whose it is.
        problems: Gets names outside the vocabulary; rows that use their codes will be bad.

    Raises:
        CellError: If they are missing.
    """
    categories = document.member("categories")
    names: dict[str, dict[int, str]] = {}
    for kind, (_, vocabulary) in KINDS.items():
        names[kind] = {}
        for code, name in _coded(categories.member(kind), video_id, problems):
            with _reported(name, video_id, problems):
                names[kind][code] = vocabulary.read(name.value, kind)
    triplets: dict[int, Parts] = {}
    for code, name in _coded(categories.member("triplet"), video_id, problems):
        with _reported(name, video_id, problems):
            triplets[code] = _parts(name.value)
    return Categories(names, triplets)


def read_row(node: JsonNode, categories: Categories, canvas: Canvas) -> LabelRow:
    """One row of a frame.

    Args:
        node: A list of 15 numbers.
        categories: What codes mean.
        canvas: Size of the frame.

    Raises:
        CellError: If it is no such list, a code means nothing, the triplet contradicts its parts, or a box is
            none.
    """
    cells = list(node.elements())
    if len(cells) != LENGTH:
        node.refuse(f"the row has {len(cells)} numbers; expected {LENGTH}")
    found = {kind: _label(cells[place], kind, categories.names[kind]) for kind, (place, _) in KINDS.items()}
    parts = (found["instrument"], found["verb"], found["target"])
    code = _code(cells[TRIPLET], "triplet")
    if code is not None:
        if code not in categories.triplets:
            raise CellError("triplet", f"{code} is the code of no triplet in the file's categories")
        parts = _agreed(categories.triplets[code], parts)
    instrument, verb, target = (part or "" for part in parts)
    return LabelRow(
        instrument,
        verb,
        target,
        found["phase"],
        _box(cells[INSTRUMENT_BOX], canvas, "instrument"),
        _box(cells[TARGET_BOX], canvas, "target"),
    )


def _coded(node: JsonNode, video_id: str, problems: list[Problem]) -> Iterator[tuple[int, JsonNode]]:
    """Names by code."""
    for key, name in node.members():
        if key.isdecimal():
            yield int(key), name
        else:
            problems.append(Problem(video_id, name.provenance, node.field, f"{key[:40]!r} is no code"))


@contextmanager
def _reported(node: JsonNode, video_id: str, problems: list[Problem]) -> Iterator[None]:
    try:
        yield
    except CellError as error:
        problems.append(node.problem(error, video_id))


def _parts(word: object) -> Parts:
    """The parts of a triplet's name, e.g. ``grasper,retract,gallbladder``."""
    parts = word.split(",") if isinstance(word, str) else []
    if len(parts) != 3:
        raise CellError("triplet", f"{str(word)[:60]!r} is not instrument,verb,target")
    instrument, verb, target = (part.strip() for part in parts)
    return (
        INSTRUMENTS.read(instrument, "triplet"),
        VERBS.read(verb, "triplet"),
        TARGETS.read(target, "triplet"),
    )


def _agreed(triplet: Parts, parts: Sequence[str | None]) -> Parts:
    """The triplet, unless a code of the row says otherwise."""
    for kind, expected, part in zip(("instrument", "verb", "target"), triplet, parts, strict=True):
        if part is not None and part != expected:
            said = " ".join(filter(None, triplet))
            raise CellError("triplet", f"{said!r} contradicts the {kind} {part or 'null'!r}")
    return triplet


def _code(cell: JsonNode, field: str) -> int | None:
    try:
        code = cell.whole()
    except CellError as error:
        raise CellError(field, error.problem) from None
    return None if code == NULL else code


def _label(cell: JsonNode, kind: str, names: Mapping[int, str]) -> str | None:
    code = _code(cell, kind)
    if code is None:
        return None
    if code not in names:
        raise CellError(kind, f"{code} is the code of no {kind} in the file's categories")
    return names[code]


def _box(cells: Sequence[JsonNode], canvas: Canvas, field: str) -> Box | None:
    try:
        shares = [cell.number() for cell in cells]
    except CellError as error:
        raise CellError(field, error.problem) from None
    return None if all(share == NULL for share in shares) else pixel_box(shares, canvas, field)

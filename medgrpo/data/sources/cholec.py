"""What the datasets about Cholec80's operations have in common: vocabularies, boxes and codes.

CholecT50, CholecTrack20 and Cholec80 number the same things alike and spell them differently. The benchmark
spells phases as CholecT50 does, "carlot-triangle-dissection" included.
"""

from __future__ import annotations

from collections.abc import Sequence

from medgrpo.data.sources.csv_rows import CellError
from medgrpo.data.sources.json_file import JsonNode
from medgrpo.data.sources.vocabulary import Vocabulary
from medgrpo.types import Box, Canvas

__all__ = [
    "CLOCK",
    "INSTRUMENTS",
    "NULL",
    "PHASES",
    "STEPS",
    "TARGETS",
    "VERBS",
    "coded",
    "is_cut",
    "pixel_box",
    "share_box",
]

CLOCK = 25.0
"""Frames a second of the videos."""

STEPS = (
    "preparation",
    "carlot-triangle-dissection",
    "clipping-and-cutting",
    "gallbladder-dissection",
    "gallbladder-packaging",
    "cleaning-and-coagulation",
    "gallbladder-extraction",
)
"""The phases by their code, in the benchmark's spelling."""

PHASES = Vocabulary(
    "phase",
    {
        **{step: step for step in STEPS},
        "calot-triangle-dissection": STEPS[1],
        "Preparation": STEPS[0],
        "CalotTriangleDissection": STEPS[1],
        "ClippingCutting": STEPS[2],
        "GallbladderDissection": STEPS[3],
        "GallbladderPackaging": STEPS[4],
        "CleaningCoagulation": STEPS[5],
        "GallbladderRetraction": STEPS[6],
        "calotTriangleDissection": STEPS[1],
        "clippingAndCutting": STEPS[2],
        "gallbladderDissection": STEPS[3],
        "gallbladderPackaging": STEPS[4],
        "cleaningAndCoagulation": STEPS[5],
        "gallbladderRetraction": STEPS[6],
    },
)

INSTRUMENTS = Vocabulary(
    "instrument",
    {
        **{name: name for name in ("grasper", "bipolar", "hook", "scissors", "clipper", "irrigator")},
        "specimen-bag": "specimen bag",
        "specimen_bag": "specimen bag",
        "specimenbag": "specimen bag",
        "Grasper": "grasper",
        "Bipolar": "bipolar",
        "Hook": "hook",
        "Scissors": "scissors",
        "Clipper": "clipper",
        "Irrigator": "irrigator",
        "SpecimenBag": "specimen bag",
    },
)

_VERBS = ("grasp", "retract", "dissect", "coagulate", "clip", "cut", "aspirate", "irrigate", "pack")
VERBS = Vocabulary("verb", {**{verb: verb for verb in _VERBS}, "null_verb": ""})
"""Empty where an instrument does nothing."""

_TARGETS = (
    "gallbladder", "cystic_plate", "cystic_duct", "cystic_artery", "cystic_pedicle", "blood_vessel", "fluid",
    "abdominal_wall_cavity", "liver", "adhesion", "omentum", "peritoneum", "gut", "specimen_bag",
)  # fmt: skip
TARGETS = Vocabulary(
    "target", {**{target: target.replace("_", " ") for target in _TARGETS}, "null_target": ""}
)

NULL = -1
"""Stands where nothing is annotated."""

LEEWAY = 0.01
"""Share of the picture by which a box may leave it: annotated boxes do, by up to 3 pixels."""

ROUNDING = 1e-6
"""Share of the picture that is nothing: the sum of two decimals."""


def coded(node: JsonNode, vocabulary: Vocabulary) -> str | None:
    """The label of a code, or of a word; None where nothing is annotated.

    Args:
        node: A whole number from 0, -1 for null, or a word of the vocabulary.
        vocabulary: Its labels are in the order of the codes.

    Raises:
        CellError: If it is neither.
    """
    if node.value is None or node.value == NULL:
        return None
    if isinstance(node.value, str):
        return vocabulary.read(node.value, node.field)
    code, labels = node.whole(), vocabulary.labels
    if not 0 <= code < len(labels):
        node.refuse(f"{code} is the code of no {vocabulary.kind}; codes go from 0 to {len(labels) - 1}")
    return labels[code]


def pixel_box(shares: Sequence[float], canvas: Canvas, field: str) -> Box:
    """A box in pixels out of left, top, width and height as shares of the picture's sides.

    Args:
        shares: The four numbers.
        canvas: Size of the picture.
        field: Key in which they stand, for messages.

    Returns:
        Its corners, cut at the edges of the picture.

    Raises:
        CellError: If a number is no share, the box has no area, or it leaves the picture.
    """
    left, top, width, height = shares
    shown = f"[{', '.join(f'{share:g}' for share in shares)}]"
    if max(shares) > 1 + LEEWAY or min(shares) < -LEEWAY:
        pixels = "; these look like pixels" if max(shares) > 2 else ""
        raise CellError(field, f"{shown} is not left, top, width and height as shares from 0 to 1{pixels}")
    if width <= 0 or height <= 0:
        raise CellError(field, f"the box {shown} has no area")
    right, bottom = left + width, top + height
    if max(right, bottom) > 1 + LEEWAY:
        raise CellError(field, f"the box {shown} leaves the picture")
    left, top, right, bottom = (min(max(share, 0.0), 1.0) for share in (left, top, right, bottom))
    if right <= left or bottom <= top:
        raise CellError(field, f"the box {shown} has no area in the picture")
    return Box(left * canvas.width, top * canvas.height, right * canvas.width, bottom * canvas.height)


def is_cut(shares: Sequence[float]) -> bool:
    """Whether a box, in the form of :func:`pixel_box`, leaves the picture a little and will be cut."""
    left, top, width, height = shares
    return min(left, top) < -ROUNDING or max(left + width, top + height) > 1 + ROUNDING


def share_box(box: Box, canvas: Canvas) -> tuple[float, float, float, float]:
    """The four numbers that a box is written as: what :func:`pixel_box` reads back."""
    x1, y1, x2, y2 = box.scaled(1 / canvas.width, 1 / canvas.height).xyxy
    return x1, y1, x2 - x1, y2 - y1

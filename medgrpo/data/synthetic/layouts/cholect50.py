"""A tiny CholecT50: drawn operations in the layout of the real dataset.

Frames have one row for each instrument, one with the phase alone, or none. Two frames are black, as real ones
are where the camera was out of the body. Every third video has boxes, all others have -1 in their place.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
from PIL import Image

from medgrpo.data.sources.cholec import NULL, STEPS
from medgrpo.data.synthetic.layouts.cholec import SPEC, Operation
from medgrpo.data.synthetic.scenes import FrameState

__all__ = ["BLACK", "DURATION", "EMPTY", "has_boxes", "operation_of", "video_id_of", "write"]

DURATION = 26
BLACK = (12, 13)
"""Frames out of the body."""
EMPTY = 5
"""The frame without a row."""

INSTRUMENTS = ("grasper", "bipolar", "hook", "scissors", "clipper", "irrigator")
VERBS = (
    "grasp", "retract", "dissect", "coagulate", "clip", "cut", "aspirate", "irrigate", "pack", "null_verb",
)  # fmt: skip
TARGETS = (
    "gallbladder", "cystic_plate", "cystic_duct", "cystic_artery", "cystic_pedicle", "blood_vessel", "fluid",
    "abdominal_wall_cavity", "liver", "adhesion", "omentum", "peritoneum", "gut", "specimen_bag",
    "null_target",
)  # fmt: skip

TRIPLETS = tuple(
    sorted(
        (tool, verb, target.replace(" ", "_"))
        for verb, tools in SPEC.verbs.items()
        for tool, target in itertools.product(tools, SPEC.targets)
    )
) + tuple((tool, VERBS[-1], TARGETS[-1]) for tool in INSTRUMENTS)
"""Fewer than the real hundred; those without a verb are last there too."""


def video_id_of(number: int) -> str:
    """The name of the n-th video."""
    return f"VID{number + 1:02d}"


def operation_of(number: int, seed: int) -> Operation:
    """What the n-th video shows, but for its black frames."""
    return Operation(number, seed, DURATION)


def has_boxes(number: int) -> bool:
    """Whether the instruments of the n-th video have boxes."""
    return number % 3 == 0


def write(root: Path, videos: int, seed: int) -> None:
    """Write the dataset.

    Args:
        root: Folder to fill.
        videos: How many.
        seed: Of everything.
    """
    (root / "labels").mkdir(parents=True, exist_ok=True)
    for number in range(videos):
        name, operation = video_id_of(number), operation_of(number, seed)
        folder = root / "videos" / name
        folder.mkdir(parents=True, exist_ok=True)
        for second in range(DURATION):
            picture = operation.draw(second)
            shown = np.zeros_like(picture) if second in BLACK else picture
            Image.fromarray(shown).save(folder / f"{second:06d}.png", compress_level=1)
        labels = {
            "video": number + 1,
            "fps": 1,
            "num_frames": DURATION,
            "categories": _categories(),
            "annotations": {
                str(second): _rows(operation, second, has_boxes(number)) for second in range(DURATION)
            },
            "info": {"description": "drawn", "bbox": "x, y, w, h as shares"},
            "licenses": [],
        }
        (root / "labels" / f"{name}.json").write_text(json.dumps(labels))
    lines = (f"{k}, {', '.join(map(str, _codes(parts)))}" for k, parts in enumerate(TRIPLETS))
    (root / "label_mapping.txt").write_text("\n".join(("# IVT, I, V, T", *lines, "")))


def _categories() -> dict[str, dict[str, str]]:
    names = {"instrument": INSTRUMENTS, "verb": VERBS, "target": TARGETS, "phase": STEPS}
    triplets = {str(k): ",".join(parts) for k, parts in enumerate(TRIPLETS)}
    return {"triplet": triplets} | {kind: {str(k): n for k, n in enumerate(of)} for kind, of in names.items()}


def _rows(operation: Operation, second: int, boxes: bool) -> list[list[float]]:
    if second == EMPTY:
        return []
    phase = STEPS.index(operation.phase(second))
    seen = [] if second in BLACK else operation.seen(second)
    return [_row(state, phase, boxes) for _, state in seen] or [[*[NULL] * 14, phase]]


def _row(state: FrameState, phase: int, boxes: bool) -> list[float]:
    parts = (state.tool, state.verb, state.target.replace(" ", "_"))
    parts = (state.tool, VERBS[-1], TARGETS[-1]) if state.verb == "idle" else parts
    tool, verb, target = _codes(parts)
    x1, y1, x2, y2 = state.box
    box = [round(share, 6) for share in (x1, y1, x2 - x1, y2 - y1)] if boxes else [NULL] * 4
    return [TRIPLETS.index(parts), tool, 1, *box, verb, target, 1, *[NULL] * 4, phase]


def _codes(parts: tuple[str, str, str]) -> tuple[int, int, int]:
    return INSTRUMENTS.index(parts[0]), VERBS.index(parts[1]), TARGETS.index(parts[2])

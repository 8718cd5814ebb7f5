"""A tiny CholecTrack20: drawn operations in the layout of the real dataset.

Videos of training and validation are frames at one a second, numbered 1, 26, 51 and so on, with nothing
before the second at which the labels begin; those of the test part are films. Keys of tracks are spelled as
in the published files in one video and as in the documentation in the next. A frame without instruments has
no entry.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from medgrpo.data.sources.cholec import INSTRUMENTS, STEPS, TARGETS, VERBS
from medgrpo.data.synthetic.layouts.cholec import SPEC, Operation
from medgrpo.data.synthetic.layouts.film import write_film
from medgrpo.data.synthetic.scenes import FrameState

__all__ = ["BEGIN", "DURATION", "FLAGS", "flags_of", "operation_of", "part_of", "video_id_of", "write"]

CLOCK = 25
BEGIN = 3
"""Second at which the labels begin, and with them what is drawn."""
DURATION = 24
PARTS = ("Training", "Testing", "Validation")

FLAGS = (
    "visible", "crowded", "occluded", "bleeding", "smoke", "blurred", "undercoverage", "reflection",
    "stainedlens",
)  # fmt: skip
MSLH, ASRH, MSRH = 1, 2, 3
"""Codes of who holds an instrument."""


def video_id_of(number: int) -> str:
    """The name of the n-th video; some are also in the tiny CholecT50, as real ones are."""
    return f"VID{number + 2:02d}"


def part_of(number: int) -> str:
    """The folder of the n-th video."""
    return PARTS[number % 3]


def operation_of(number: int, seed: int) -> Operation:
    """What the n-th video shows from the second on at which its labels begin."""
    return Operation(number + 50, seed, DURATION)


def write(root: Path, videos: int, seed: int) -> None:
    """Write the dataset.

    Args:
        root: Folder to fill.
        videos: How many.
        seed: Of everything.
    """
    for part in PARTS:
        (root / part).mkdir(parents=True, exist_ok=True)
    for number in range(videos):
        name, operation = video_id_of(number), operation_of(number, seed)
        folder = root / part_of(number) / name
        folder.mkdir(exist_ok=True)
        labels = {
            "video": {"name": number + 2, "width": 854, "height": 480, "fps": CLOCK, "num_frames": DURATION},
            "categories": {"tools": [{"id": k, "name": tool} for k, tool in enumerate(INSTRUMENTS.labels)]},
            "annotations": _annotations(operation, number),
        }
        (folder / f"{name.lower()}.json").write_text(json.dumps(labels))
        if part_of(number) == "Testing":
            _write_film(folder / f"{name}.mp4", operation)
        else:
            (folder / "Frames").mkdir(exist_ok=True)
            for second in range(DURATION):
                picture = Image.fromarray(operation.draw(second))
                picture.save(folder / "Frames" / f"{_frame(second):06d}.png", compress_level=1)


def flags_of(operation: Operation, time: float) -> dict[str, int]:
    """What is special about the picture at a time of the operation."""
    seen = [state for _, state in operation.seen(time)]
    verbs = {state.verb for state in seen}
    marked = {"visible": 1, "crowded": int(len(seen) > 1)}
    marked |= {"smoke": int("coagulate" in verbs), "bleeding": int("cut" in verbs)}
    return dict.fromkeys(FLAGS, 0) | marked


def _frame(second: int) -> int:
    return 1 + CLOCK * (BEGIN + second)


def _annotations(operation: Operation, number: int) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    suffix = "_id" if number % 2 else ""
    for second in range(DURATION):
        phase = STEPS.index(operation.phase(second))
        entries = [
            {
                **_entry(hand, state),
                "phase": phase,
                "operator": _operator(operation, hand, second),
                **{f"{name}{suffix}": track for name, track in _tracks(operation, hand, second).items()},
                **flags_of(operation, second),
            }
            for hand, state in operation.seen(second)
        ]
        if entries:
            found[str(_frame(second))] = entries
    return found


def _entry(hand: int, state: FrameState) -> dict[str, Any]:
    x1, y1, x2, y2 = state.box
    idle = state.verb == "idle"
    return {
        "instrument": INSTRUMENTS.labels.index(state.tool),
        "verb": VERBS.labels.index("" if idle else state.verb),
        "target": TARGETS.labels.index("" if idle else state.target),
        "triplet": -1,
        "tool_bbox": [round(share, 6) for share in (x1, y1, x2 - x1, y2 - y1)],
        "score": 1.0,
        "iscrowd": 0,
        "visibility": 1,
    }


def _operator(operation: Operation, hand: int, second: int) -> int:
    """The main surgeon holds the main instrument, on the side where it enters."""
    scene = operation.hands[hand]
    k = scene.current(second)
    right = k is not None and scene.tracks[k].from_right
    return ASRH if hand else MSRH if right else MSLH


def _tracks(operation: Operation, hand: int, second: int) -> dict[str, int]:
    """All operation long an instrument is one of its kind in a hand; in the body it is new each time."""
    scene = operation.hands[hand]
    tool = INSTRUMENTS.labels.index(scene.state(second).tool)
    shown = scene.current(second) or 0
    return {
        "intraoperative_track": 10 * hand + tool,
        "intracorporeal_track": 100 + 10 * hand + shown,
        "visibility_track": 200 + 10 * hand + shown,
    }


def _write_film(path: Path, operation: Operation) -> None:
    dark = np.zeros((SPEC.height, SPEC.width, 3), np.uint8)

    def draw(time: float) -> np.ndarray:
        return dark if time < BEGIN else operation.draw(time - BEGIN)

    write_film(path, draw, BEGIN + DURATION, CLOCK, drawn_rate=1.0)

"""A tiny CoPESD: drawn dissections in the layout of the real dataset, with the oddities of the real file.

Boxes are shares of the longer side with two digits; in every third clip they are written as corner and size.
Paths are those of a Windows machine, with either kind of slash. Frames count from 1, one a second. A frame
without instruments has an item without a box, and in every seventh the forceps are hidden. In the first clip
an instruction and an instrument are misspelt, a picture is missing, one has two actions and two boxes of the
knife, and one has a second item, which asks for the action and is answered with its older name.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from medgrpo.data.sources.copesd_words import INSTRUCTIONS
from medgrpo.data.sources.square_boxes import square_shares
from medgrpo.data.synthetic.instruments import Placement, draw_instrument
from medgrpo.data.synthetic.scenes import ProcedureScene
from medgrpo.data.synthetic.sources import SOURCES
from medgrpo.types import Box, Canvas

__all__ = [
    "CANVAS",
    "DURATION",
    "FrameTruth",
    "clip_of",
    "form_of",
    "picture_at",
    "split_of",
    "truth_at",
    "write",
]

DURATION = 24
"""Seconds and frames of a clip."""
CANVAS = Canvas(168, 130)
"""The aspect of the real pictures, 1306x1009."""
SPEC = replace(
    SOURCES["CoPESD"],
    width=CANVAS.width,
    height=CANVAS.height,
    noise=2.0,
    hidden_share=1.0,
    actions=(2, 3),
    action_seconds=(4, 6),
    tools=("electric knife",),
    verbs={name: ("electric knife",) for name in ("dissect", "coagulate", "grasp")},
)
ACTIONS = {
    "dissect": "dissect flap with knife",
    "coagulate": "retract flap with forceps and knife",
    "grasp": "retract flap with forceps",
    "idle": "hold flap with forceps",
}
"""What the drawn actions are called in the older names."""
FORCEPS = Box(8, 70, 60, 118)


@dataclass(frozen=True, slots=True)
class FrameTruth:
    """What a frame shows.

    Attributes:
        action: In the older names of the benchmark.
        boxes: Instrument to its box in pixels.
    """

    action: str
    boxes: dict[str, Box]


def clip_of(number: int) -> str:
    """The name of the n-th clip."""
    return f"{23521 + 104729 * number:06d}"


def form_of(number: int) -> str:
    """How the boxes of the n-th clip are written."""
    return "xywh" if number % 3 == 2 else "xyxy"


def split_of(number: int) -> str:
    """Official split of the n-th clip."""
    return "test" if number % 3 == 1 else "train"


def scene_of(number: int, seed: int) -> ProcedureScene:
    """What the knife does in the n-th clip."""
    return ProcedureScene(SPEC, 1000 * seed + number, DURATION)


def truth_at(scene: ProcedureScene, time: int) -> FrameTruth:
    """What is to be seen at a second."""
    state = scene.state(time)
    if not state.visible:
        return FrameTruth("adjust camera", {})
    x1, y1, x2, y2 = (
        share * side for share, side in zip(state.box, (SPEC.width, SPEC.height) * 2, strict=True)
    )
    boxes = {"Knife": Box(x1, y1, x2, y2)}
    if time % 7 != 3:
        boxes = {"Forceps": FORCEPS, **boxes}
    return FrameTruth(ACTIONS[state.verb], boxes)


def picture_at(scene: ProcedureScene, time: int) -> np.ndarray:
    """The picture at a second, uint8 ``[H, W, 3]``."""
    image = Image.fromarray(scene.render(time))
    if "Forceps" in truth_at(scene, time).boxes:
        place = Placement(FORCEPS.xyxy, from_right=False, from_below=True)
        draw_instrument(ImageDraw.Draw(image), "hemostatic forceps", place, 0.5, SPEC.tissue, 1.0)
    return np.asarray(image)


def write(root: Path, videos: int, seed: int) -> None:
    """Write the dataset.

    Args:
        root: Folder to fill.
        videos: How many clips.
        seed: Of everything.
    """
    items: dict[str, list[dict[str, Any]]] = {"train": [], "test": []}
    for number in range(videos):
        clip, scene = clip_of(number), scene_of(number, seed)
        folder = root / "high_light_images" / clip
        folder.mkdir(parents=True, exist_ok=True)
        own = []
        for time in range(DURATION):
            Image.fromarray(picture_at(scene, time)).save(folder / f"{time + 1:04d}.jpg", quality=85)
            own.append(_item(clip, number, time, truth_at(scene, time)))
        items[split_of(number)] += (
            _spoilt(own, clip, number, truth_at(scene, DURATION // 2)) if not number else own
        )
    for split, content in items.items():
        if content:
            (root / f"smllm_{split}.json").write_text(json.dumps(content, indent=4))


def _item(clip: str, number: int, time: int, truth: FrameTruth) -> dict[str, Any]:
    wordings = INSTRUCTIONS[truth.action]
    told = " and ".join(f"the {name}[{_numbers(box, number)}]" for name, box in truth.boxes.items())
    answer = f"Work with {told}." if told else "Scenes are confusing! Keep the Forceps and Knife idle."
    return _dialogue(_path(clip, number, time), wordings[time % len(wordings)], answer)


def _numbers(box: Box, number: int) -> str:
    shares = square_shares(box, "xywh" if form_of(number) == "xywh" else "xyxy", "corner", CANVAS)
    return ", ".join(f"{share:.2f}" for share in shares)


def _path(clip: str, number: int, time: int) -> str:
    path = f"D:/ESD_video/high_light_images/{clip}/{time + 1:04d}.jpg"
    return path.replace("/", "\\") if number % 2 else path


def _dialogue(image: str, question: str, answer: str) -> dict[str, Any]:
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {"conversations": turns, "image": image}


def _spoilt(items: list[dict[str, Any]], clip: str, number: int, middle: FrameTruth) -> list[dict[str, Any]]:
    """The items of a clip, and what is wrong or odd about real ones."""
    path, missing = _path(clip, number, DURATION // 2), _path(clip, number, DURATION + 8)
    right = INSTRUCTIONS[middle.action][0]
    return [
        *items,
        _dialogue(path, "What is the surgeon doing?", middle.action.capitalize() + "."),
        _dialogue(path, right.replace("the ", "teh ", 1), "No box."),
        _dialogue(path, right, "Work with the Forcep[0.1, 0.1, 0.2, 0.2]."),
        _dialogue(
            _path(clip, number, 0), INSTRUCTIONS["adjust camera"][1], "Use the Knife[0.5, 0.5, 0.9, 0.98]."
        ),
        _dialogue(missing, right, "Work with the Knife[0.5, 0.1, 0.6, 0.2]."),
    ]

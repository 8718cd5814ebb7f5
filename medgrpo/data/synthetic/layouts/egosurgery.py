"""A tiny EgoSurgery: drawn open surgery in the layout of the real dataset, with the oddities of real files.

Two sessions are a video. Frames count from 1 at one in two seconds. Numbers of images and ``video_id`` begin
anew in every split. The boxes of the training split are in two files that overlap; the hands of the others
are in a file of their own, whose images are named without folders. In the first session one row has no phase,
one frame has no row, one box leaves its image, one is of an unknown category, and one of an unknown image.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from medgrpo.data.sources.egosurgery import HANDS, PHASES, TOOLS
from medgrpo.data.synthetic.scenes import FrameState, ProcedureScene
from medgrpo.data.synthetic.sources import SOURCES

__all__ = [
    "DURATION",
    "NAMES",
    "SIZE",
    "UNLABELLED",
    "UNLISTED",
    "boxes_of",
    "frame_times",
    "scene_of",
    "session_of",
    "split_of",
    "write",
]

DURATION = 48
CLOCK = 0.5
SIZE = (480, 270)
"""Of the frames; the real ones are four times as large."""
UNLABELLED, UNLISTED = 5, 9
"""Numbers of the frames of the first session without a phase, and without a row."""
NAMES = {
    "scalpel": "Scalpel",
    "scissors": "Scissors",
    "tweezers": "Tweezers",
    "needle holder": "Needle Holders",
    "suction cannula": "Suction Cannula",
}
SPEC = replace(
    SOURCES["EgoSurgery"],
    width=SIZE[0],
    height=SIZE[1],
    noise=2.0,
    phases=tuple(PHASES),
    action_seconds=(6, 10),
    hidden_share=1.0,
)

Corners = tuple[float, float, float, float]


def session_of(number: int) -> str:
    """The name of the n-th session."""
    return f"{number // 2 + 1:02d}_{number % 2 + 1}"


def split_of(number: int) -> str:
    """Official split of the n-th session."""
    return ("train", "test", "val")[number // 2 % 3]


def scene_of(number: int, seed: int) -> ProcedureScene:
    """What the n-th session shows."""
    return ProcedureScene(SPEC, 1000 * seed + number, DURATION)


def frame_times() -> list[float]:
    """Seconds of the frames; the n-th has the number n + 1."""
    return [k / CLOCK for k in range(round(DURATION * CLOCK))]


def boxes_of(scene: ProcedureScene, time: float) -> dict[str, Corners]:
    """Category to corners in pixels: the tool, and the hand at the half of it where it enters."""
    state = scene.state(time)
    if not state.visible:
        return {}
    x1, y1, x2, y2 = _pixels(state)
    current = scene.current(time)
    assert current is not None
    middle = (x1 + x2) / 2
    if scene.tracks[current].from_right:
        return {NAMES[state.tool]: (x1, y1, x2, y2), "Own hands right": (middle, y1, x2, y2)}
    return {NAMES[state.tool]: (x1, y1, x2, y2), "Own hands left": (x1, y1, middle, y2)}


def write(root: Path, videos: int, seed: int) -> None:
    """Write the dataset.

    Args:
        root: Folder to fill.
        videos: How many sessions.
        seed: Of everything.
    """
    for folder in ("egosurgery_phase", "egosurgery_tool", "egosurgery_tool_hand"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    images: dict[str, list[tuple[str, dict[str, Corners]]]] = {}
    for number in range(videos):
        session, scene, split = session_of(number), scene_of(number, seed), split_of(number)
        place = f"{split}/{session.partition('_')[0]}"
        (root / place).mkdir(parents=True, exist_ok=True)
        rows = ["Frame,Phase"]
        for k, time in enumerate(frame_times(), 1):
            stem = f"{session}_{k:04d}"
            Image.fromarray(scene.render(time)).save(root / place / f"{stem}.jpg", quality=85)
            images.setdefault(split, []).append((f"{place}/{stem}.jpg", boxes_of(scene, time)))
            if number or k != UNLISTED:
                bare = not number and k == UNLABELLED
                rows.append(f"{stem},{'' if bare else scene.state(time).phase}")
        (root / f"egosurgery_phase/{session}.csv").write_text("\n".join(rows) + "\n")
    for split, own in images.items():
        _write_boxes(root, split, own)


def _write_boxes(root: Path, split: str, images: list[tuple[str, dict[str, Corners]]]) -> None:
    tools = _coco(images, {name: k for k, name in enumerate(TOOLS)})
    if split == "train":
        tools["categories"].append({"id": 99, "name": "Kidney Dish"})
        # One more of each kind of mistake; all other annotations stay where they are.
        for image, category, bbox in (
            (0, 99, [1, 1, 9, 9]),
            (0, 0, [400, 9, 99, 9]),
            (77777, 0, [1, 1, 9, 9]),
        ):
            tools["annotations"].append(_annotation(tools, image, category, [float(v) for v in bbox]))
        both = {name: k for k, name in enumerate((*TOOLS, *HANDS))}
        hands, place = _coco(images, both), f"egosurgery_tool_hand/instances_{split}.json"
    else:
        bare = [(name.rpartition("/")[2], boxes) for name, boxes in images]
        hands, place = (
            _coco(bare, {name: k for k, name in enumerate(HANDS, 1)}),
            f"egosurgery_tool_hand/{split}.json",
        )
    (root / f"egosurgery_tool/instances_{split}.json").write_text(json.dumps(tools))
    (root / place).write_text(json.dumps(hands))


def _coco(images: list[tuple[str, dict[str, Corners]]], categories: dict[str, int]) -> dict[str, Any]:
    content: dict[str, Any] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": k, "name": name} for name, k in categories.items()],
    }
    folders = list(dict.fromkeys(name.rpartition("/")[0] for name, _ in images))
    for number, (name, boxes) in enumerate(images):
        video = folders.index(name.rpartition("/")[0])
        size = {"width": SIZE[0], "height": SIZE[1]}
        content["images"].append({"id": number, "file_name": name, "video_id": video, **size})
        for category, (x1, y1, x2, y2) in boxes.items():
            if category in categories:
                bbox = [round(v, 2) for v in (x1, y1, x2 - x1, y2 - y1)]
                content["annotations"].append(_annotation(content, number, categories[category], bbox))
    return content


def _annotation(content: dict[str, Any], image: int, category: int, bbox: list[float]) -> dict[str, Any]:
    number = len(content["annotations"])
    area = round(bbox[2] * bbox[3], 2)
    facts = {"id": number, "image_id": image, "category_id": category, "bbox": bbox}
    return {**facts, "area": area, "iscrowd": 0}


def _pixels(state: FrameState) -> Corners:
    x1, y1, x2, y2 = (share * side for share, side in zip(state.box, SIZE * 2, strict=True))
    return x1, y1, x2, y2

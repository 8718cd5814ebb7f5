"""A tiny dataset of one's own: drawn nursing as frames, COCO boxes and a table of events."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from medgrpo.data.synthetic.scenes import ProcedureScene
from medgrpo.data.synthetic.sources import SOURCES

__all__ = ["DURATION", "FPS", "NAME", "SIZE", "options", "scene_of", "video_of", "write"]

NAME = "Wards"
FPS = 2.0
DURATION = 24
SIZE = (224, 112)
SPEC = replace(SOURCES["NurViD"], name=NAME, noise=2.0, actions=(3, 4), next_steps=None, hidden_share=1.0)


def options() -> dict[str, Any]:
    """What :class:`~medgrpo.data.sources.coco_csv.CocoCsv` is to be told of the dataset, beside its root."""
    return {
        "name": NAME,
        "fps": FPS,
        "first_frame": 1,
        "images": "frames/{video}/{frame}.jpg",
        "objects": {tool.replace(" ", "_"): tool for tool in SPEC.tools},
        "actions": list(SPEC.verbs),
        "operation": r"(ward\d+)_",
        "licence": "drawn, free to use",
    }


def video_of(number: int) -> str:
    """The name of the n-th video; two are of one patient."""
    return f"ward{number // 2 + 1:02d}_{'ab'[number % 2]}"


def scene_of(number: int, seed: int) -> ProcedureScene:
    """What the n-th video shows."""
    return ProcedureScene(SPEC, 1000 * seed + number, DURATION)


def write(root: Path, videos: int, seed: int) -> None:
    """Write the dataset.

    Args:
        root: Folder to fill.
        videos: How many.
        seed: Of everything.
    """
    rows = ["video,label,start,end"]
    content: dict[str, Any] = {"images": [], "annotations": [], "categories": []}
    numbers = {tool: k for k, tool in enumerate(SPEC.tools)}
    content["categories"] = [{"id": k, "name": tool.replace(" ", "_")} for tool, k in numbers.items()]
    for number in range(videos):
        video, scene = video_of(number), scene_of(number, seed)
        (root / "frames" / video).mkdir(parents=True, exist_ok=True)
        rows += [f"{video},{a.verb},{a.start:g},{a.end:g}" for a in scene.actions]
        for k in range(round(DURATION * FPS)):
            place = f"frames/{video}/{k + 1:06d}.jpg"
            Image.fromarray(scene.render(k / FPS)).save(root / place, quality=85)
            if k % FPS:
                continue  # boxes are drawn into one frame a second
            image = {"id": len(content["images"]), "file_name": place, "width": SIZE[0], "height": SIZE[1]}
            content["images"].append(image)
            state = scene.state(k / FPS)
            if state.visible:
                x1, y1, x2, y2 = (share * side for share, side in zip(state.box, SIZE * 2, strict=True))
                content["annotations"].append(
                    {
                        "id": len(content["annotations"]),
                        "image_id": image["id"],
                        "category_id": numbers[state.tool],
                        "bbox": [x1, y1, x2 - x1, y2 - y1],
                        "track_id": scene.current(k / FPS),
                    }
                )
    (root / "events.csv").write_text("\n".join(rows) + "\n")
    (root / "boxes.json").write_text(json.dumps(content))

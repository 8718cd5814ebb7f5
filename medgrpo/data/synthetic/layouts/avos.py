"""A tiny AVOS: drawn open surgery in the layout of the real dataset, with the oddities of the real tables.

In every video a labeler abstains once and two contradict each other once. In the first one row starts before
the video, one ends long after it, and one action is written in two rows. The last row of a video ends with
the whole second after its last frame. Every third video is a folder of frames, without sound.
"""

from __future__ import annotations

import csv
from fractions import Fraction
from pathlib import Path

from PIL import Image

from medgrpo.data.synthetic.layouts.film import write_film
from medgrpo.data.synthetic.layouts.names import youtube_id
from medgrpo.data.synthetic.layouts.sound import murmur
from medgrpo.data.synthetic.scenes import FrameState, ProcedureScene
from medgrpo.data.synthetic.sources import SourceSpec

__all__ = [
    "CLOCK",
    "DURATION",
    "LABELS",
    "TOOLS",
    "image_frames",
    "scene_of",
    "split_of",
    "video_id_of",
    "write",
]

CLOCK = 15
DURATION = 30
"""Seconds of a scene; its film is a fifth of a second shorter, the tables count whole seconds."""
MISSING = 0.2
SCALE = 2
"""Images with boxes are this many times as large as the film, as the real ones have sizes of their own."""

LABELS = {"cut": "cutting", "suture": "suturing", "grasp": "tying"}
TOOLS = {
    "scalpel": "scalpel",
    "electric knife": "bovie",
    "needle driver": "needledriver",
    "tweezers": "forceps",
}
SPEC = SourceSpec(
    name="AVOS",
    kind="procedure",
    persona="",
    domain="",
    operator="surgeon",
    container="AVOS",
    width=168,
    height=96,
    fps=1.0,
    base_rate=CLOCK,
    tasks=(),
    tissue=(176, 112, 92),
    tools=tuple(TOOLS),
    verbs={"cut": ("scalpel", "electric knife"), "suture": ("needle driver",), "grasp": ("tweezers",)},
    targets=("skin", "fat", "muscle", "fascia"),
    phases=("incision", "closure"),
    actions=(2, 3),
    action_seconds=(3, 6),
    noise=2.0,
    hidden_share=1.0,
    scenery="drapes",
)
ANNOTATIONS = "MULTITASK_FILES/TSM_FILES/annotations"
BOXES = "MULTITASK_FILES/RETINANET_FILES/src/data"

LabelRow = tuple[str, str, str, str, float, float]
"""Labels of the second, first and third labeler, the label, start and end in seconds."""


def video_id_of(number: int, seed: int) -> str:
    """The name of the n-th video."""
    return youtube_id("AVOS", number, seed)


def scene_of(number: int, seed: int) -> ProcedureScene:
    """What the n-th video shows."""
    return ProcedureScene(SPEC, 1000 * seed + number, DURATION)


def split_of(number: int) -> str:
    """Official split of the n-th video."""
    return "test" if number % 3 == 1 else "train"


def image_frames() -> list[int]:
    """Numbers of the frames with boxes: 1/15 to 14/15 of a video, the real ones have 3/15 to 12/15."""
    return [k * DURATION - 1 for k in range(1, 15)]


def write(root: Path, videos: int, seed: int) -> None:
    """Write the dataset.

    Args:
        root: Folder to fill.
        videos: How many.
        seed: Of everything.
    """
    for folder in (ANNOTATIONS, BOXES, "data/videos", "data/images"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    labels: list[tuple[object, ...]] = []
    tools: dict[str, list[tuple[object, ...]]] = {"train": [], "test": []}
    hands: list[tuple[object, ...]] = []
    for number in range(videos):
        video_id, scene = video_id_of(number, seed), scene_of(number, seed)
        for second, first, third, label, start, end in _label_rows(scene, number):
            row = (video_id, second, first, end - start, third, label, float(start), float(end))
            labels.append((len(labels), *row))
        _write_footage(root, video_id, scene, number)
        _write_boxes(root, video_id, scene, tools[split_of(number)], hands)
    header = ("video_id", "labeler_2", "labeler_1", "duration", "labeler_3", "label", "start_seconds")
    _write_table(root / ANNOTATIONS / "v0.5.0-anns-smoothed.csv", [("", *header, "end_seconds"), *labels])
    for split in ("train", "test"):
        members = [(video_id_of(n, seed),) for n in range(videos) if split_of(n) == split]
        _write_table(root / ANNOTATIONS / f"{split}.csv", [("video_id",), *members])
        _write_table(root / BOXES / f"{split}_data.csv", tools[split])
    _write_table(root / BOXES / "hands.csv", hands)


def _label_rows(scene: ProcedureScene, number: int) -> list[LabelRow]:
    """The rows of a video: all of its time, and the oddities."""
    rows: list[LabelRow] = []
    now = 0.0
    for k, action in enumerate(scene.actions):
        label = LABELS[action.verb]
        if action.start > now:
            rows.append(("background", "background", "", "background", now, action.start))
        middle = action.start + (action.end - action.start) // 2
        if number == 0 and k == 0 and middle > action.start:
            rows.append((label, "background", "", label, action.start, middle))
            rows.append((label, label, label, label, middle, action.end))
        else:
            # Sometimes only the first labeler looked, sometimes all three agree.
            second, third = ("", "") if k % 3 == 2 else (label, label if k % 2 else "")
            rows.append((second, label, third, label, action.start, action.end))
        now = action.end
    if now < scene.duration:
        rows.append(("background", "background", "background", "background", now, float(scene.duration)))
    rows.append(("abstain", "background", "", "abstain", 1.0, 3.0))
    rows.append(("cutting", "cutting", "suturing", "suturing", 2.0, 5.0))
    if number == 0:
        rows.append(("tying", "", "", "tying", -1.0, 2.0))
        rows.append(("tying", "tying", "tying", "tying", scene.duration - 3.0, scene.duration + 20.0))
    return rows


def _write_footage(root: Path, video_id: str, scene: ProcedureScene, number: int) -> None:
    seconds = DURATION - MISSING
    if number % 3 == 2:
        folder = root / "images-fps_15" / video_id
        folder.mkdir(parents=True, exist_ok=True)
        for frame in range(round(seconds * CLOCK)):
            picture = Image.fromarray(scene.render(frame / CLOCK))
            picture.save(folder / f"{video_id}-{frame:09d}.jpg", quality=85)
        return
    sound = murmur(seconds, scene.seed) if number % 3 == 0 else None
    rate = Fraction(30000, 1001) if number % 2 == 0 else 25
    write_film(root / f"data/videos/{video_id}.mp4", scene.render, seconds, rate, sound=sound)


def _write_boxes(
    root: Path,
    video_id: str,
    scene: ProcedureScene,
    tools: list[tuple[object, ...]],
    hands: list[tuple[object, ...]],
) -> None:
    """Images with what is to be seen in them; a hand holds the half of the tool where it enters."""
    size = (SPEC.width * SCALE, SPEC.height * SCALE)
    for frame in image_frames():
        name = f"{video_id}-{frame:09d}.jpg"
        state = scene.state(frame / CLOCK)
        Image.fromarray(scene.render(frame / CLOCK)).resize(size).save(
            root / "data/images" / name, quality=85
        )
        path = f"/data/images/{name}"
        if not state.visible:
            tools.append((path, "", "", "", "", ""))
            continue
        x1, y1, x2, y2 = _pixels(state, size)
        tools.append((path, x1, y1, x2, y2, TOOLS[state.tool]))
        k = scene.current(frame / CLOCK)
        right = k is not None and scene.tracks[k].from_right
        middle = (x1 + x2) // 2
        held = (middle, y1, x2, y2, "right") if right else (x1, y1, middle, y2, "left")
        hands.append((path, *held))


def _pixels(state: FrameState, size: tuple[int, int]) -> tuple[int, int, int, int]:
    x1, y1, x2, y2 = (round(share * side) for share, side in zip(state.box, size * 2, strict=True))
    return x1, y1, x2, y2


def _write_table(path: Path, rows: list[tuple[object, ...]]) -> None:
    with path.open("w", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)

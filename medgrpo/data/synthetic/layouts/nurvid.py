"""A tiny NurViD: drawn nursing in the layout of the real dataset, with the oddities of the real annotations.

The sheet counts from 0, the annotations from 1. Rate and duration are cut off to whole numbers, ``subset`` is
null. In every video one span ends in the last, uncounted part of a second; in the first one spans end long
after the video and before they start, and one action has a number that the sheet does not know. Every fourth
film is silent, and one table of the splits has a misspelt heading.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from medgrpo.data.synthetic.layouts.film import write_film
from medgrpo.data.synthetic.layouts.names import youtube_id
from medgrpo.data.synthetic.layouts.sheet import write_sheet
from medgrpo.data.synthetic.layouts.sound import murmur
from medgrpo.data.synthetic.scenes import ProcedureScene
from medgrpo.data.synthetic.sources import SOURCES
from medgrpo.tasks.next_action import inventory

__all__ = ["DURATION", "action_of", "procedure_of", "rate_of", "scene_of", "split_of", "video_id_of", "write"]

DURATION = 30
"""Seconds of a scene; its film is longer by :data:`REST`, which the annotations cut off."""
REST = 0.6
SPEC = replace(SOURCES["NurViD"], width=168, height=96, noise=2.0, actions=(3, 4))
RATES = (Fraction(30000, 1001), Fraction(25), Fraction(24000, 1001))

PROCEDURES: dict[str, tuple[str, ...]] = inventory()["NurViD_by_procedure_in_match_order"]
PROCEDURE_NUMBERS = {name: k for k, name in enumerate(PROCEDURES)}
ACTION_NUMBERS = {name: k for k, name in enumerate(sorted({a for own in PROCEDURES.values() for a in own}))}
"""Numbers in the sheet, from 0."""

ACTION_HEADER = ("ID", "Chinese name", "English name", "Split")


def video_id_of(number: int, seed: int) -> str:
    """The name of the n-th video."""
    return youtube_id("NurViD", number, seed)


def scene_of(number: int, seed: int) -> ProcedureScene:
    """What the n-th video shows."""
    return ProcedureScene(SPEC, 1000 * seed + number, DURATION)


def procedure_of(scene: ProcedureScene) -> str:
    """The procedure that a scene is lit for."""
    return SPEC.phases[scene.phases[0][1]]


def action_of(scene: ProcedureScene, verb: str) -> str:
    """What doing something means in the scene's procedure: its k-th step for the k-th verb."""
    steps = PROCEDURES[procedure_of(scene)]
    return steps[list(SPEC.verbs).index(verb) % len(steps)]


def rate_of(number: int) -> Fraction:
    """Frames a second of the n-th film."""
    return RATES[number % len(RATES)]


def split_of(number: int) -> str:
    """Official split of the n-th video."""
    return ("train", "test", "val")[number % 3]


def write(root: Path, videos: int, seed: int) -> None:
    """Write the dataset.

    Args:
        root: Folder to fill.
        videos: How many.
        seed: Of everything.
    """
    for folder in ("annotations/task1&3", "annotations/task2", "dataset/Original_videos"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    entries: dict[str, Any] = {}
    for number in range(videos):
        video_id, scene = video_id_of(number, seed), scene_of(number, seed)
        entries[video_id] = _entry(video_id, scene, number)
        sound = None if number % 4 == 3 else murmur(DURATION + REST, scene.seed)
        film = root / f"dataset/Original_videos/{video_id}.mp4"
        write_film(film, scene.render, DURATION + REST, rate_of(number), sound=sound)
    (root / "annotations/NurViD_annotations.json").write_text(json.dumps(entries, indent=4))
    _write_names(root / "annotations/Procedure&Action_ID.xlsx")
    _write_splits(root / "annotations", entries)


def _entry(video_id: str, scene: ProcedureScene, number: int) -> dict[str, Any]:
    """The annotations of a video."""
    items = [
        {
            "actionID": ACTION_NUMBERS[action_of(scene, action.verb)] + 1,
            "segment": [float(action.start), float(action.end)],
        }
        for action in scene.actions
    ]
    items.append({"actionID": items[0]["actionID"], "segment": [DURATION - 1.5, DURATION + 0.5]})
    if number == 0:
        items.append({"actionID": items[0]["actionID"], "segment": [DURATION - 2.0, DURATION + 9.0]})
        items.append({"actionID": items[0]["actionID"], "segment": [7.0, 6.0]})
        items.append({"actionID": len(ACTION_NUMBERS) + 1, "segment": [1.0, 2.0]})
    return {
        "operationID": PROCEDURE_NUMBERS[procedure_of(scene)] + 1,
        "annotations": items,
        "duration": int(DURATION + REST),
        "resolution": f"{SPEC.width}x{SPEC.height}",
        "fps": int(rate_of(number)),
        "subset": None,
        "url": f"https://www.youtube.com/watch?v={video_id}",
    }


def _write_names(path: Path) -> None:
    """Two tables beside each other; the split is one cell over several lines."""
    procedures, actions = list(PROCEDURE_NUMBERS.items()), list(ACTION_NUMBERS.items())
    lines: list[Sequence[str | int | None]] = [
        ("Procedure", None, None, None, None, None, "Action"),
        (*("ID", "Chinese name", "English name", " Abbreviation", "Split", None), *ACTION_HEADER),
    ]
    for k, (action, action_number) in enumerate(actions):
        left: tuple[str | int | None, ...] = (None,) * 5
        if k < len(procedures):
            procedure, number = procedures[k]
            short = "".join(word[0] for word in procedure.split())
            left = (number, f"操作{number}", procedure, short, None if k else "Many")
        lines.append((*left, None, action_number, f"动作{action_number}", action, None if k else "Many"))
    merged = ("A1:E1", "G1:J1", f"E3:E{len(procedures) + 2}", f"J3:J{len(actions) + 2}")
    write_sheet(path, lines, merged=merged)


def _write_splits(folder: Path, entries: dict[str, Any]) -> None:
    """Videos in one split each, segments in several."""
    videos: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    actions: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    procedures: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for number, (video_id, entry) in enumerate(entries.items()):
        videos[split_of(number)].append(f"/video_path/{video_id}.mp4 {entry['operationID']}")
        for k, item in enumerate(entry["annotations"]):
            part, segment = split_of(number + k), f"/segment_path/{video_id}_{k + 1}.mp4"
            actions[part].append(f"{segment} {item['actionID'] - 1}")
            procedures[part].append(f"{segment} {entry['operationID'] - 1}")
    for part in videos:
        _write_split(folder / f"task1&3/{part}.csv", "path-label", videos[part])
        _write_split(folder / f"task2/action_{part}.csv", "path-label", actions[part])
        heading = "path-lable" if part == "train" else "path-label"
        _write_split(folder / f"task2/procedure_{part}.csv", heading, procedures[part])


def _write_split(path: Path, heading: str, rows: list[str]) -> None:
    path.write_text("\r\n".join((heading, *rows)) + "\r\n", newline="")

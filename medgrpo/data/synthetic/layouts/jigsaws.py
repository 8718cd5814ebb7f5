"""A tiny JIGSAWS: drawn exercises in the layout of the real dataset, with the oddities of the real files.

Meta files have empty cells, gestures count frames from 1 and include their last. The second trial is
``Suturing_H002``, which has no rating; the fourth one has no transcription. Both cameras see every trial, the
second one from the other side. A trial is a gesture while the instrument works, and another while it rests.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np

from medgrpo.data.synthetic.assessments import SkillScene
from medgrpo.data.synthetic.layouts.film import write_film
from medgrpo.data.synthetic.sources import SOURCES
from medgrpo.tasks.skill import ASPECTS

__all__ = ["CLOCK", "DURATION", "gestures_of", "scene_of", "trial_of", "write"]

CLOCK = 30
DURATION = 24
EXERCISES = ("Suturing", "Knot_Tying", "Needle_Passing")
SURGEONS = "BCDEFGHI"
UNRATED, UNTRANSCRIBED = 1, 3
SPEC = replace(SOURCES["JIGSAWS"], noise=2.0)

WORKING = {"Suturing": "G3", "Knot_Tying": "G13", "Needle_Passing": "G2"}
RESTING = {"Suturing": "G6", "Knot_Tying": "G15", "Needle_Passing": "G5"}


def trial_of(number: int) -> str:
    """The name of the n-th trial; exercises and surgeons take turns."""
    if number == UNRATED:
        return "Suturing_H002"
    exercise, rest = EXERCISES[number % 3], number // 3
    return f"{exercise}_{SURGEONS[rest % len(SURGEONS)]}{3 * (rest // len(SURGEONS)) + 1:03d}"


def scene_of(number: int, seed: int) -> SkillScene:
    """What the n-th trial shows."""
    return SkillScene(SPEC, 1000 * seed + number, DURATION)


def gestures_of(number: int, seed: int) -> list[tuple[float, float, str]]:
    """Start and end in seconds, to a frame, and gesture of the n-th trial."""
    scene, exercise = scene_of(number, seed), trial_of(number).rpartition("_")[0]
    parked = [scene.parked(frame / CLOCK) for frame in range(DURATION * CLOCK)]
    edges = [0, *(k for k in range(1, len(parked)) if parked[k] != parked[k - 1]), len(parked)]
    return [
        (start / CLOCK, end / CLOCK, (RESTING if parked[start] else WORKING)[exercise])
        for start, end in itertools.pairwise(edges)
    ]


def write(root: Path, videos: int, seed: int) -> None:
    """Write the dataset.

    Args:
        root: Folder to fill.
        videos: How many trials, each seen by two cameras.
        seed: Of everything.
    """
    for exercise in EXERCISES:
        for folder in ("transcriptions", "video"):
            (root / exercise / folder).mkdir(parents=True, exist_ok=True)
        (root / exercise / f"meta_file_{exercise}.txt").write_text("")
    for number in range(videos):
        trial, scene = trial_of(number), scene_of(number, seed)
        exercise = trial.rpartition("_")[0]
        if number != UNRATED:
            ratings = [scene.skill[aspect] for aspect in ASPECTS]
            cells = "\t".join(str(rating) for rating in ratings)
            with (root / exercise / f"meta_file_{exercise}.txt").open("a") as stream:
                stream.write(f"{trial}\t\t{scene.level}\t\t{sum(ratings)}\t{cells}\n")
        if number != UNTRANSCRIBED:
            lines = (
                f"{round(start * CLOCK) + 1} {round(end * CLOCK)} {gesture} \n"
                for start, end, gesture in gestures_of(number, seed)
            )
            (root / exercise / "transcriptions" / f"{trial}.txt").write_text("".join(lines))
        for view in (1, 2):
            _write_view(root / exercise / "video" / f"{trial}_capture{view}.avi", scene, view)


def _write_view(path: Path, scene: SkillScene, view: int) -> None:
    def draw(time: float) -> np.ndarray:
        picture = scene.render(time)
        return np.ascontiguousarray(picture[:, ::-1]) if view == 2 else picture

    write_film(path, draw, DURATION, CLOCK)

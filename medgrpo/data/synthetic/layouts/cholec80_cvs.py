"""A tiny Cholec80-CVS with the files of Cholec80: drawn anatomy, dissected to the scores of the sheet.

A video shows nothing dissected but in two spans. The second one goes on after clipping begins, as rows of the
real sheet do. Phases are told for every frame, the instrument for every 25th.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from medgrpo.data.synthetic.assessments import CriteriaScene
from medgrpo.data.synthetic.layouts.film import write_film
from medgrpo.data.synthetic.layouts.sheet import write_sheet
from medgrpo.data.synthetic.sources import SOURCES

__all__ = ["CLIPPING", "DURATION", "PHASES", "SPANS", "levels_of", "scene_of", "video_id_of", "write"]

CLOCK = 25
DURATION = 66
CLIPPING = 62
"""Second at which clipping and cutting begins."""
SPANS = ((7, 28), (40, 64))
"""Start and end in seconds of the rows of a video."""
PHASES = (
    (0, "Preparation"),
    (5, "CalotTriangleDissection"),
    (CLIPPING, "ClippingCutting"),
    (65, "GallbladderDissection"),
)
"""When each phase begins, in Cholec80's spelling."""
TOOLS = ("Grasper", "Bipolar", "Hook", "Scissors", "Clipper", "Irrigator", "SpecimenBag")
COLUMNS = (
    "video", "initial_minute", "initial_second", "final_minute", "final_second",
    "two_structures", "cystic_plate", "hepatocystic_triangle",
)  # fmt: skip
SPEC = replace(SOURCES["Cholec80_CVS"], noise=0.0)

Levels = tuple[int, int, int]


def video_id_of(number: int) -> str:
    """The name of the n-th video; the operation is also in the tiny CholecT50, as real ones are."""
    return f"video{number + 1:02d}"


def levels_of(number: int, seed: int, span: int) -> Levels:
    """The scores of a row of the n-th video; those of its two rows differ."""
    generator = np.random.default_rng([seed, number])
    a, b, c = (int(level) for level in generator.integers(0, 3, 3))
    levels = (a, max(b, 1), c)
    return levels if span == 0 else ((a + 1) % 3, levels[1], c)


def scene_of(number: int, seed: int, time: float) -> CriteriaScene:
    """What the n-th video shows at a time."""
    scene = CriteriaScene(SPEC, 1000 * seed + number, DURATION)
    inside = [k for k, (start, end) in enumerate(SPANS) if start <= time < end]
    scene.levels = levels_of(number, seed, inside[0]) if inside else (0, 0, 0)
    return scene


def write(root: Path, videos: int, seed: int) -> None:
    """Write the dataset.

    Args:
        root: Folder to fill.
        videos: How many.
        seed: Of everything.
    """
    for folder in ("videos", "phase_annotations", "tool_annotations"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    rows: list[tuple[str | float | None, ...]] = [COLUMNS]
    for number in range(videos):
        name = video_id_of(number)
        for k, (start, end) in enumerate(SPANS):
            rows.append((number + 1, *divmod(start, 60), *divmod(end, 60), *levels_of(number, seed, k)))
        scenes = {time: scene_of(number, seed, time) for time in (0, *(start for start, _ in SPANS))}
        _write_film(root / "videos" / f"{name}.mp4", scenes)
        _write_phases(root / "phase_annotations" / f"{name}-phase.txt")
        _write_tools(root / "tool_annotations" / f"{name}-tool.txt", scenes[0].tool)
    write_sheet(root / "surgeons_annotations.xlsx", rows)


def _write_film(path: Path, scenes: dict[int, CriteriaScene]) -> None:
    def draw(time: float) -> np.ndarray:
        inside = [start for start, end in SPANS if start <= time < end]
        return scenes[inside[0] if inside else 0].render(time)

    write_film(path, draw, DURATION, CLOCK, drawn_rate=1.0)


def _write_phases(path: Path) -> None:
    lines = ["Frame\tPhase"]
    for frame in range(DURATION * CLOCK):
        phase = next(name for start, name in reversed(PHASES) if frame >= start * CLOCK)
        lines.append(f"{frame}\t{phase}")
    path.write_text("\n".join(lines) + "\n")


def _write_tools(path: Path, tool: str) -> None:
    """The one instrument that is drawn is always in view."""
    cells = "\t".join(str(int(name.lower() == tool)) for name in TOOLS)
    lines = (f"{CLOCK * second}\t{cells}" for second in range(DURATION))
    path.write_text("\n".join(("\t".join(("Frame", *TOOLS)), *lines, "")))

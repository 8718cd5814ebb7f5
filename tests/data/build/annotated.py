"""Source videos with annotations drawn by lot, for tests of clips, questions and records."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from medgrpo.data.build.clips import ClipPolicy, plan_clips
from medgrpo.data.build.items import BuildClip, ClipPictures, Picture
from medgrpo.data.coordinates import CANVASES
from medgrpo.data.sources.annotations import Criteria, Event, Instance, Provenance, Skill, SourceVideo
from medgrpo.data.splits import canonical_video_id
from medgrpo.tasks.cvs import CRITERIA
from medgrpo.tasks.next_action import inventory
from medgrpo.tasks.skill import ASPECTS
from medgrpo.types import Box, Canvas, Clip

__all__ = ["CLOCKS", "clips_of", "listed_pictures", "video_of", "without_frames"]

CLOCKS = {
    "AVOS": 15.0,
    "Cholec80_CVS": 25.0,
    "CholecT50": 1.0,
    "CholecTrack20": 25.0,
    "CoPESD": 1.0,
    "EgoSurgery": 0.5,
    "JIGSAWS": 30.0,
    "NurViD": 29.97,
}
"""Frames a second by which each source numbers its frames."""

_NAMES = {"EgoSurgery": "01_1", "NurViD": "abcdefghijk", "AVOS": "kcOqlifSukA"}
_WHERE = Provenance("labels.csv", 1)
_TOOLS = ("forceps", "knife", "scissors")


def video_of(source: str, seed: int = 0, duration: float = 240.0) -> SourceVideo:
    """A video of a source with events that overlap, touch and vanish, and boxes that are lost at times."""
    chance = np.random.default_rng([seed, len(source), ord(source[-1])])
    name = _NAMES.get(source, "VID01")
    steps, procedure = _steps(source)
    rate = min(1.0, CLOCKS[source])
    looked = np.arange(0.0, duration, 1.0 / rate)
    footage = Clip(video=Path("film.mp4"), fps=CLOCKS[source])
    if source in ("CholecT50", "CoPESD", "EgoSurgery", "CholecTrack20"):
        footage = Clip(
            frames=tuple(Path(f"{k:06d}.jpg") for k in range(len(looked))),
            fps=rate,
            times=tuple(map(float, looked)),
        )
    boxed = source in ("CholecTrack20", "CoPESD", "EgoSurgery")
    return SourceVideo(
        source=source,
        video_id=name,
        canonical_id=canonical_video_id(name, source),
        footage=footage,
        clock=CLOCKS[source],
        duration=duration,
        canvas=Canvas(854, 480) if boxed else None,
        events=_events(chance, steps, duration) if source not in ("JIGSAWS", "Cholec80_CVS") else (),
        instances=_instances(chance, looked) if boxed else (),
        criteria=_criteria(chance, duration) if source == "Cholec80_CVS" else (),
        skill=_skill(chance) if source == "JIGSAWS" else None,
        procedure=procedure,
        actions=steps,
        steps=steps,
    )


def clips_of(video: SourceVideo, policy: ClipPolicy | None = None) -> list[tuple[BuildClip, ClipPictures]]:
    """The clips of a video, each with all of its frames."""
    policy = policy or ClipPolicy(usual_seconds=120.0)
    return [(clip, listed_pictures(video, clip)) for clip in plan_clips(video, policy)]


def listed_pictures(video: SourceVideo, clip: BuildClip) -> ClipPictures:
    """A record of every listed frame, as if they were written at half of the canvas's size."""
    shown = tuple(
        Picture(f"frames/{clip.source}/{clip.video_id}/{number:06d}.jpg", time, number, "")
        for time, number in zip(clip.times, clip.frame_ids, strict=True)
    )
    return ClipPictures(shown, 427, 240, CANVASES.get(video.source))


def _steps(source: str) -> tuple[tuple[str, ...], str]:
    """The closed list of a source as the benchmark has it, and the procedure where it has several."""
    known = inventory()
    if source == "NurViD":
        procedure = "Blood Glucose Monitoring"
        return tuple(known["NurViD_by_procedure_in_match_order"][procedure]), procedure
    return tuple(known.get(source) or ("incision", "dissection", "hemostasis", "closure")), ""


def _events(chance: np.random.Generator, steps: tuple[str, ...], duration: float) -> tuple[Event, ...]:
    found, time = [], float(chance.uniform(0, 5))
    while time < duration:
        length = float(chance.choice([0.0, 0.04, 0.7, 3.0, 12.5, 31.3]) * chance.uniform(0.5, 1.5))
        end = min(duration, time + length)
        found.append(Event("phase", str(chance.choice(list(steps))), round(time, 3), round(end, 3), _WHERE))
        time = max(0.0, end + float(chance.choice([-6.0, 0.0, 0.0, 2.5])) + 0.3)
    return tuple(sorted(found, key=lambda event: (event.start, event.end)))


def _instances(chance: np.random.Generator, looked: np.ndarray) -> tuple[Instance, ...]:
    found = []
    for time in looked:
        for track, tool in enumerate((*_TOOLS, "forceps")):
            if chance.random() < (0.2 if track < 3 else 0.9):
                continue
            x, y = chance.uniform(0, 700), chance.uniform(0, 400)
            side = 0.0 if chance.random() < 0.05 else 60.0
            box = Box(x, y, x + side + chance.uniform(0, 50) * (side > 0), y + 40.0)
            found.append(Instance(float(time), tool, _WHERE, box, f"{tool}-{track}"))
    return tuple(found)


def _criteria(chance: np.random.Generator, duration: float) -> tuple[Criteria, ...]:
    spans = [(0.0, duration / 3), (duration / 2, duration)]
    return tuple(
        Criteria(a, b, {name: int(chance.integers(3)) for name in CRITERIA}, _WHERE) for a, b in spans
    )


def _skill(chance: np.random.Generator) -> Skill:
    return Skill("N", {aspect: int(chance.integers(1, 6)) for aspect in ASPECTS}, _WHERE)


def without_frames(video: SourceVideo, lost: frozenset[int]) -> SourceVideo:
    """A video some of whose frame files are missing."""
    kept = [k for k in range(len(video.footage.frames)) if k not in lost]
    footage = replace(
        video.footage,
        frames=tuple(video.footage.frames[k] for k in kept),
        times=tuple(video.footage.times[k] for k in kept),
    )
    return replace(video, footage=footage)

"""The six sources of the synthetic world: what each shows, in which format, and how hard it is.

All difficulty knobs are fields of :class:`SourceSpec`. Labels of ``next_action`` and procedure names are the
benchmark's own spellings, so that the leaderboard's scorer accepts them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["GRID", "PHASES", "SOURCES", "TARGETS", "TOOLS", "VERBS", "SourceSpec"]

GRID = (28, 16)
"""Boxes lie on a grid of this many columns and rows, so that coordinates are a small vocabulary."""


@dataclass(frozen=True)
class SourceSpec:
    """One source dataset as the world draws and writes it.

    Attributes:
        name: The benchmark's name of the source.
        kind: ``procedure`` (a timeline of actions), ``criteria`` (critical view of safety) or ``skill``.
        persona: First sentence of a question.
        domain: Second sentence of a question.
        operator: Who acts, in captions.
        container: Folder of the frames.
        width: Of the stored frames, pixels.
        height: Of the stored frames, pixels.
        canvas: Width and height that boxes refer to; None is the stored size.
        fps: Rate of the frame list.
        base_rate: Rate of the source frame ids, a multiple of ``fps``.
        extent: The clip-extent convention of the metadata: ``input_frame``, ``frame`` or ``time``.
        tasks: Question types without a writer's suffix.
        writers: Suffixes of the caption tasks, in order of preference.
        duration: Shortest and longest ordinary clip, seconds.
        long_duration: Shortest and longest long clip, seconds.
        long_share: Share of long clips.
        very_long_share: Share of clips of 120 seconds.
        time_step: Events start and end on multiples of this many seconds.
        actions: Fewest and most actions in a clip.
        action_seconds: Shortest and longest action in an ordinary clip; stretched in long ones.
        tool_size: Smallest and largest side of the tool's box, as a share of the frame's side.
        contrast: 0..1, how far the tool's colour stands off the background.
        effect_contrast: The same for the target tissue and the effect of an action.
        noise: Standard deviation of the sensor noise, grey levels.
        tint: 0..1, how strongly the phase colours the light.
        hidden_share: Chance that the tool is out of view before the first (after the last) action.
        scenery: What frames the field: ``scope``, ``drapes``, ``organs``, ``bed`` or nothing.
        tools: Instruments.
        verbs: Actions, with the instruments that can do each.
        targets: What is acted upon.
        phases: The ordered steps of the procedure (NurViD: the procedures).
        next_steps: For NurViD, by procedure, the closed list of steps and the one constant answer.
        tissue: RGB of the background.
    """

    name: str
    kind: str
    persona: str
    domain: str
    operator: str
    container: str
    width: int
    height: int
    fps: float
    base_rate: int
    tasks: tuple[str, ...]
    tissue: tuple[int, int, int]
    tools: tuple[str, ...]
    verbs: Mapping[str, tuple[str, ...]]
    targets: tuple[str, ...]
    phases: tuple[str, ...]
    canvas: tuple[int, int] | None = None
    extent: str = "input_frame"
    writers: tuple[str, str] = ("gpt", "gemini")
    duration: tuple[int, int] = (8, 16)
    long_duration: tuple[int, int] = (20, 60)
    long_share: float = 0.06
    very_long_share: float = 0.0
    time_step: int = 1
    actions: tuple[int, int] = (2, 2)
    action_seconds: tuple[int, int] = (4, 7)
    tool_size: tuple[float, float] = (0.40, 0.55)
    contrast: float = 1.0
    effect_contrast: float = 1.0
    noise: float = 4.0
    tint: float = 0.5
    hidden_share: float = 0.3
    scenery: str = ""
    next_steps: Mapping[str, tuple[tuple[str, ...], str]] | None = None

    @property
    def box_canvas(self) -> tuple[int, int]:
        """Width and height that boxes in questions and answers refer to."""
        return self.canvas or (self.width, self.height)


_COPESD = SourceSpec(
    name="CoPESD",
    kind="procedure",
    persona="You are an expert in endoscopy.",
    domain="The clip shows an endoscopic submucosal dissection.",
    operator="endoscopist",
    container="CoPESD",
    width=168,
    height=112,
    fps=1.0,
    base_rate=1,
    tasks=("tal", "stg", "dense_captioning", "next_action", "video_summary"),
    tissue=(206, 128, 112),
    tools=("electric knife", "injection needle", "hemostatic forceps", "snare"),
    verbs={
        "inject": ("injection needle", "electric knife"),
        "cut": ("electric knife", "snare"),
        "coagulate": ("electric knife", "hemostatic forceps", "snare"),
        "dissect": ("electric knife", "hemostatic forceps"),
        "grasp": ("hemostatic forceps", "snare"),
    },
    targets=("mucosa", "submucosa", "fibrous tissue", "blood vessel"),
    phases=(
        "adjust camera",
        "lift flap with forceps",
        "dissect flap tissue with knife",
        "retract flap edge with forceps only",
        "stabilize flap with forceps",
    ),
    duration=(12, 16),
    # Few and long actions: the easy source, on which half of the clip is a fair guess.
    actions=(1, 2),
    action_seconds=(6, 10),
    tool_size=(0.34, 0.46),
    scenery="scope",
)

_EGOSURGERY = SourceSpec(
    name="EgoSurgery",
    kind="procedure",
    persona="You are an expert in open surgery.",
    domain="The clip shows open surgery from the surgeon's head camera.",
    operator="surgeon",
    container="EgoSurgery_frames",
    width=224,
    height=112,
    fps=0.5,
    base_rate=1,
    tasks=("tal", "stg", "region_caption", "dense_captioning", "next_action"),
    writers=("gemini", "gpt"),
    tissue=(176, 112, 92),
    tools=("scalpel", "scissors", "tweezers", "needle holder", "suction cannula"),
    verbs={
        "cut": ("scalpel", "scissors"),
        "dissect": ("scissors", "tweezers", "scalpel"),
        "grasp": ("tweezers", "needle holder"),
        "suture": ("needle holder", "tweezers"),
        "aspirate": ("suction cannula",),
    },
    targets=("skin", "fat", "muscle", "fascia"),
    phases=("preparation", "incision", "dissection", "hemostasis", "irrigation", "closure", "dressing"),
    duration=(18, 30),
    long_duration=(36, 60),
    time_step=2,
    actions=(3, 4),
    action_seconds=(2, 4),
    tool_size=(0.28, 0.40),
    contrast=0.60,
    effect_contrast=0.65,
    noise=14.0,
    tint=0.3,
    scenery="drapes",
)

_CHOLECTRACK = SourceSpec(
    name="CholecTrack20",
    kind="procedure",
    persona="You are an expert in laparoscopy.",
    domain="The clip shows a laparoscopic cholecystectomy.",
    operator="surgeon",
    container="CAMMA_data",
    width=224,
    height=112,
    canvas=(854, 480),
    fps=1.0,
    base_rate=25,
    tasks=("stg", "region_caption"),
    tissue=(178, 86, 70),
    tools=("grasper", "hook", "bipolar", "scissors", "clipper", "irrigator"),
    verbs={
        "grasp": ("grasper", "bipolar"),
        "dissect": ("hook", "scissors", "grasper"),
        "cut": ("scissors", "hook"),
        "coagulate": ("bipolar", "hook"),
        "clip": ("clipper",),
        "irrigate": ("irrigator",),
        "aspirate": ("irrigator",),
    },
    targets=("gallbladder", "cystic duct", "cystic artery", "liver"),
    phases=("gallbladder dissection", "clipping and cutting", "gallbladder packaging"),
    duration=(8, 14),
    actions=(1, 2),
    action_seconds=(4, 6),
    tool_size=(0.30, 0.45),
    contrast=0.85,
    effect_contrast=0.9,
    noise=8.0,
    tint=0.25,
    scenery="organs",
)

_CVS = SourceSpec(
    name="Cholec80_CVS",
    kind="criteria",
    persona="You are an expert in laparoscopy.",
    domain="The clip shows a cholecystectomy before clipping.",
    operator="surgeon",
    container="CAMMA_data",
    width=168,
    height=112,
    fps=0.5,
    base_rate=25,
    extent="frame",
    tasks=("cvs_assessment",),
    tissue=(150, 70, 60),
    tools=("grasper", "hook"),
    verbs={"dissect": ("grasper", "hook")},
    targets=("cystic duct",),
    phases=("clipping and cutting",),
    duration=(12, 24),
    tool_size=(0.20, 0.30),
    noise=6.0,
)

_JIGSAWS = SourceSpec(
    name="JIGSAWS",
    kind="skill",
    persona="You are an expert in robotic surgery.",
    domain="The clip shows a bench-top robotic exercise.",
    operator="trainee",
    container="JIGSAWS_frames",
    width=112,
    height=84,
    fps=2.0,
    base_rate=30,
    tasks=("skill_assessment",),
    tissue=(214, 186, 150),
    tools=("needle driver",),
    verbs={"suture": ("needle driver",)},
    targets=("skin",),
    phases=("Suturing", "Knot Tying", "Needle Passing"),
    duration=(6, 10),
    very_long_share=0.01,
    tool_size=(0.34, 0.34),
    noise=4.0,
    tint=0.25,
)

_NURVID = SourceSpec(
    name="NurViD",
    kind="procedure",
    persona="You are an expert in nursing.",
    domain="The clip shows a nursing procedure from the web.",
    operator="nurse",
    container="NurViD_frames",
    width=224,
    height=112,
    fps=1.0,
    base_rate=2,
    extent="time",
    writers=("gemini", "gpt"),
    tasks=("tal", "dense_captioning", "next_action", "video_summary"),
    tissue=(224, 178, 150),
    tools=("syringe", "cotton swab", "gauze", "glucometer"),
    verbs={
        "inject": ("syringe",),
        "disinfect": ("cotton swab", "gauze"),
        "dry": ("gauze", "cotton swab"),
        "measure": ("glucometer",),
        "aspirate": ("syringe",),
    },
    targets=("arm", "hand", "abdomen", "wound"),
    phases=(
        "Blood Glucose Monitoring",
        "Change Wound Dressings",
        "Sputum Specimen Collection",
        "Subcutaneous Injection Insulin",
    ),
    duration=(12, 18),
    very_long_share=0.02,
    actions=(2, 3),
    action_seconds=(3, 5),
    tool_size=(0.32, 0.45),
    contrast=0.9,
    noise=8.0,
    tint=0.4,
    scenery="bed",
    # One answer a procedure, on purpose: after SFT this pair is always right, its quartiles coincide
    # (IQR 0) and every group of rollouts has zero variance. Normalizers must survive it.
    next_steps={
        "Blood Glucose Monitoring": (
            (
                "Handwashing",
                "Prepare glucometer",
                "Disinfect skin",
                "Measure blood glucose level",
                "Document",
            ),
            "Measure blood glucose level",
        ),
        "Change Wound Dressings": (
            ("Handwashing", "Cleanse skin", "Fill in dressing", "Document"),
            "Fill in dressing",
        ),
        "Sputum Specimen Collection": (
            ("Check", "Handwashing", "Wear gloves", "Collect sputum specimen"),
            "Collect sputum specimen",
        ),
        "Subcutaneous Injection Insulin": (
            ("Prepare medication solution", "Disinfect skin", "Inject medication"),
            "Inject medication",
        ),
    },
)

SOURCES: Mapping[str, SourceSpec] = {
    spec.name: spec for spec in (_COPESD, _EGOSURGERY, _CHOLECTRACK, _CVS, _JIGSAWS, _NURVID)
}
"""The sources by name."""


def _union(parts: list[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for part in parts for word in part))


TOOLS = _union([spec.tools for spec in SOURCES.values()])
"""All instruments."""
VERBS = ("idle", *_union([tuple(spec.verbs) for spec in SOURCES.values()]))
"""All actions; ``idle`` is an instrument (or an empty field) that does nothing."""
TARGETS = _union([spec.targets for spec in SOURCES.values()])
"""All that is acted upon."""
PHASES = _union([spec.phases for spec in SOURCES.values()])
"""All phases of all procedures."""

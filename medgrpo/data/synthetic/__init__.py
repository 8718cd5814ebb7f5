"""A seeded synthetic surgical world in MedVidBench format: scenes, captions, questions, files."""

from medgrpo.data.synthetic.scenes import FrameState, Scene, sample_scene
from medgrpo.data.synthetic.sources import PHASES, SOURCES, TARGETS, TOOLS, VERBS, SourceSpec

__all__ = [
    "PHASES",
    "SOURCES",
    "TARGETS",
    "TOOLS",
    "VERBS",
    "FrameState",
    "Scene",
    "SourceSpec",
    "sample_scene",
]

"""Policies at the level of answer distributions, trained by real GRPO.

Rewards, advantages and loss are the project's. No model sees a video here. What is shown is what the
arithmetic of rewards does to pairs that share weights, with many seeds; effect sizes of a vision-language
model are another matter.
"""

from medgrpo.ablation.simulated.report import simulated_report
from medgrpo.ablation.simulated.settings import Arm, Difficulty, SimulatedSettings, Sizes, read_settings
from medgrpo.ablation.simulated.units import UnitNormalizer

__all__ = [
    "Arm",
    "Difficulty",
    "SimulatedSettings",
    "Sizes",
    "UnitNormalizer",
    "read_settings",
    "simulated_report",
]

"""The whole journey in one command: world, SFT, statistics, GRPO, evaluation, and rollouts to look at."""

from medgrpo.demo.plan import DemoPlan, read_plan
from medgrpo.demo.runner import Stage, run_stages
from medgrpo.demo.stages import demo_stages

__all__ = ["DemoPlan", "Stage", "demo_stages", "read_plan", "run_stages"]

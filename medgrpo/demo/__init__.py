"""The whole journey in one command: world, SFT, statistics, GRPO, evaluation, and rollouts to look at."""

from medgrpo.demo.plan import DemoPlan, read_plan
from medgrpo.demo.runner import Stage, available_cores, run_stages
from medgrpo.demo.stages import demo_stages

__all__ = ["DemoPlan", "Stage", "available_cores", "demo_stages", "read_plan", "run_stages"]

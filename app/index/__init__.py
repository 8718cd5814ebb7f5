"""What is known about the runs: an index over their rollout stores, and questions to it."""

from app.index.measures import MEASURES, Measure
from app.index.rollouts import CurvePoint, GroupRow, RolloutIndex, RunSummary

__all__ = ["MEASURES", "CurvePoint", "GroupRow", "Measure", "RolloutIndex", "RunSummary"]

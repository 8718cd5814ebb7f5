"""What is known about the runs: an index over their rollout stores, and questions to it."""

from app.index.curves import CurvePoint, curves
from app.index.measures import MEASURES, Measure
from app.index.rollouts import GroupRow, RolloutIndex, RunSummary

__all__ = ["MEASURES", "CurvePoint", "GroupRow", "Measure", "RolloutIndex", "RunSummary", "curves"]

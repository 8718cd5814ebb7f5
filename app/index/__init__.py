"""What is known about the runs: an index over their rollout stores, and questions to it."""

from app.index.curves import CurvePoint, curves
from app.index.groups import ORDERS, GroupFilter, GroupRow
from app.index.measures import MEASURES, Measure
from app.index.rollouts import RolloutIndex, RunSummary, SearchState

__all__ = [
    "MEASURES",
    "ORDERS",
    "CurvePoint",
    "GroupFilter",
    "GroupRow",
    "Measure",
    "RolloutIndex",
    "RunSummary",
    "SearchState",
    "curves",
]

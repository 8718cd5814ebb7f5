"""How rewards of groups become advantages; one estimator a file."""

from medgrpo.modules.advantages.base import AdvantageEstimator, Advantages, GroupRewards
from medgrpo.modules.advantages.group import GroupAdvantage

__all__ = ["AdvantageEstimator", "Advantages", "GroupAdvantage", "GroupRewards"]

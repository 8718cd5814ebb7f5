"""How rewards of groups become advantages; one estimator a file."""

from medgrpo.modules.advantages.base import AdvantageEstimator, Advantages, ComponentRewards, GroupRewards
from medgrpo.modules.advantages.gdpo import GDPOAdvantage
from medgrpo.modules.advantages.group import GroupAdvantage
from medgrpo.modules.advantages.leave_one_out import LeaveOneOutAdvantage
from medgrpo.modules.advantages.moving_std import MovingStdAdvantage

__all__ = [
    "AdvantageEstimator",
    "Advantages",
    "ComponentRewards",
    "GDPOAdvantage",
    "GroupAdvantage",
    "GroupRewards",
    "LeaveOneOutAdvantage",
    "MovingStdAdvantage",
]

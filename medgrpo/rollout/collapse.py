"""When a run falls apart: entropy, parse rate, a reward or the judge drops through its floor and stays there.

The trainer's alarm asks these rules while it trains, the dashboard asks them again of what is on the disk.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Collapse", "CollapseRules"]


@dataclass(frozen=True, slots=True)
class Collapse:
    """A metric that has been below its floor for long enough.

    Attributes:
        name: As ``train/<dataset>/<task>/<metric>``.
        value: In the last round.
        floor: What it is below.
    """

    name: str
    value: float
    floor: float

    def __str__(self) -> str:
        return f"{self.name} is {self.value:.3g}, below {self.floor:.3g}"


class CollapseRules:
    """Counts rounds below a floor.

    Rewards are compared with what they were in the round in which the dataset and task first occurred.

    Args:
        min_entropy: Lowest mean entropy, nats a token; None looks at none. So for the others.
        min_parse_rate: Lowest share of readable answers.
        min_canary_auc: Lowest chance that a judge ranks a reference above a worthless answer.
        max_reward_drop: How far a pair's mean reward may fall below its first round.
        patience: Rounds in a row, of those in which a pair occurs, before it counts.

    Raises:
        ValueError: If ``patience`` is below 1.
    """

    def __init__(
        self,
        min_entropy: float | None = 0.05,
        min_parse_rate: float | None = 0.5,
        min_canary_auc: float | None = 0.8,
        max_reward_drop: float | None = 0.2,
        patience: int = 3,
    ) -> None:
        if patience < 1:
            raise ValueError(f"collapse alarm: patience must be at least 1, got {patience}")
        self.min_entropy = min_entropy
        self.min_parse_rate = min_parse_rate
        self.min_canary_auc = min_canary_auc
        self.max_reward_drop = max_reward_drop
        self.patience = patience
        self.first_rewards: dict[str, float] = {}
        self.low_rounds: dict[str, int] = {}

    @property
    def alarmed(self) -> bool:
        """Whether something has been low for as long as the rules wait."""
        return any(count >= self.patience for count in self.low_rounds.values())

    def judge(self, numbers: Mapping[str, float]) -> list[Collapse]:
        """What has been below its floor for long enough.

        Args:
            numbers: Metrics of the next round by name, as ``train/<dataset>/<task>/<metric>``; a metric that
                is absent or NaN was not measured in this round and changes nothing.
        """
        floors = {
            "entropy": self.min_entropy,
            "parse_rate": self.min_parse_rate,
            "canary_auc": self.min_canary_auc,
        }
        found = []
        for name, value in sorted(numbers.items()):
            metric = name.rsplit("/", 1)[-1]
            floor = floors.get(metric)
            if metric == "reward_mean" and self.max_reward_drop is not None and math.isfinite(value):
                floor = self.first_rewards.setdefault(name, value) - self.max_reward_drop
            if floor is None or not math.isfinite(value):
                continue
            self.low_rounds[name] = self.low_rounds.get(name, 0) + 1 if value < floor else 0
            if self.low_rounds[name] >= self.patience:
                found.append(Collapse(name, value, floor))
        return found

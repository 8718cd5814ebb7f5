"""What a reward loses for how an answer is written, whatever it says: its form, repetitions, length.

Penalties are subtracted after the mix and are not normalised: they are rules, the same for every dataset.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from medgrpo.errors import UserError
from medgrpo.rewards.component import reference_of
from medgrpo.tasks import get_task
from medgrpo.types import ComponentScore, Sample

__all__ = ["PENALTY", "FormatPenalty", "LengthPenalty", "Penalty", "RepetitionPenalty"]

PENALTY = "penalty"
"""In the place of a normalizer's name in stored scores."""


class Penalty(ABC):
    """A rule with a price.

    Args:
        weight: What the worst answer loses.

    Attributes:
        metric: Versioned name of the measure.
    """

    metric: ClassVar[str]

    def __init__(self, weight: float) -> None:
        if not 0.0 < weight < float("inf"):
            raise UserError(f"{type(self).__name__}.weight must be above 0, got {weight}")
        self.weight = weight

    @abstractmethod
    def measure(self, sample: Sample, text: str) -> float:
        """How far an answer breaks the rule, from 0 to 1."""

    def score(self, sample: Sample, text: str) -> ComponentScore:
        """The price, as a component of the reward."""
        lost = -self.measure(sample, text)
        return ComponentScore(
            raw=lost, normalised=lost, weight=self.weight, metric=self.metric, normalizer=PENALTY
        )


class FormatPenalty(Penalty):
    """1 for an answer that is not in the published form of its task as it stands, 0 for one that is.

    Metrics read what can be read of an answer, so that nothing else keeps a policy from repeating units
    or from running to the token limit. Free text has no form.

    Args:
        tasks: Canonical tasks that it applies to.
        weight: What another form loses.
    """

    metric: ClassVar[str] = "format@1"

    def __init__(self, tasks: tuple[str, ...] = ("tal", "stg"), weight: float = 0.25) -> None:
        super().__init__(weight)
        for task in tasks:
            get_task(task)
        self.tasks = frozenset(tasks)

    def measure(self, sample: Sample, text: str) -> float:
        """See :meth:`Penalty.measure`."""
        if sample.task not in self.tasks:
            return 0.0
        return float(get_task(sample.task).parse(text, sample).status in ("repaired", "failed"))


class RepetitionPenalty(Penalty):
    """The share of an answer's word n-grams that it has said before.

    Lists of segments and boxes repeat their units by nature; use it for captions.

    Args:
        tasks: Canonical tasks that it applies to.
        weight: What an answer of nothing else loses.
        n: Words in a gram.
        free: Share that costs nothing.
    """

    metric: ClassVar[str] = "repetition@1"

    def __init__(
        self,
        tasks: tuple[str, ...] = ("video_summary", "region_caption"),
        weight: float = 0.5,
        n: int = 4,
        free: float = 0.1,
    ) -> None:
        super().__init__(weight)
        if n < 1:
            raise UserError(f"RepetitionPenalty.n must be at least 1, got {n}")
        if not 0.0 <= free < 1.0:
            raise UserError(f"RepetitionPenalty.free must be from 0 to below 1, got {free}")
        self.tasks = frozenset(tasks)
        self.n = n
        self.free = free

    def measure(self, sample: Sample, text: str) -> float:
        """See :meth:`Penalty.measure`."""
        words = text.lower().split()
        grams = [tuple(words[i : i + self.n]) for i in range(len(words) - self.n + 1)]
        if sample.task not in self.tasks or not grams:
            return 0.0
        repeated = 1.0 - len(set(grams)) / len(grams)
        return max(0.0, (repeated - self.free) / (1.0 - self.free))


class LengthPenalty(Penalty):
    """How far an answer is longer than its reference, in words; 1 from twice the allowed length on.

    Args:
        tasks: Canonical tasks that it applies to.
        weight: What an answer of twice the allowed length loses.
        ratio: Length that costs nothing, in lengths of the reference.
    """

    metric: ClassVar[str] = "length@1"

    def __init__(
        self,
        tasks: tuple[str, ...] = ("video_summary", "region_caption"),
        weight: float = 0.25,
        ratio: float = 2.0,
    ) -> None:
        super().__init__(weight)
        if ratio < 1.0:
            raise UserError(f"LengthPenalty.ratio must be at least 1, got {ratio}")
        self.tasks = frozenset(tasks)
        self.ratio = ratio

    def measure(self, sample: Sample, text: str) -> float:
        """See :meth:`Penalty.measure`."""
        if sample.task not in self.tasks:
            return 0.0
        allowed = self.ratio * len(reference_of(sample).split())
        return min(1.0, max(0.0, len(text.split()) / allowed - 1.0))

"""Two runs, or two parts of one, against each other: question by question where both were asked it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.index.curves import ALL_ROUNDS, Rounds
from app.index.questions import QuestionScore
from medgrpo.errors import UserError
from medgrpo.evaluation.uncertainty import Interval, bootstrap_intervals
from medgrpo.tasks.quantities import mean

__all__ = ["Change", "Side", "changes", "largest", "parse_rounds"]

_DRAWS = 1000
_ROUNDS = re.compile(r"(?:(first|last)\s+)?(\d{1,9})(?:\s*(?:-|–|to)\s*(\d{1,9}))?")


@dataclass(frozen=True, slots=True)
class Side:
    """What stands on one side of a comparison."""

    run: str
    rounds: Rounds
    name: str


def parse_rounds(text: str, steps: Sequence[int]) -> Rounds:
    """Rounds as somebody writes them: ``all``, ``7``, ``0-10``, ``first 5``, ``last 5``.

    Args:
        text: What was written.
        steps: The rounds that there are, in any order.

    Raises:
        UserError: If it means no rounds.
    """
    words = text.strip().lower()
    if words in ("", "all"):
        return ALL_ROUNDS
    found = _ROUNDS.fullmatch(words)
    if found is None or (found[1] and (found[3] or not int(found[2]))):
        raise UserError(f"rounds {text!r}: write all, 7, 0-10, first 5 or last 5")
    number = int(found[2])
    if found[1]:
        known = sorted(steps)[:number] if found[1] == "first" else sorted(steps)[-number:]
        return (known[0], known[-1]) if known else ALL_ROUNDS
    chosen = (number, int(found[3]) if found[3] else number)
    if not any(chosen[0] <= step <= chosen[1] for step in steps):
        there = f"this run has rounds {min(steps)} to {max(steps)}" if steps else "this run has none"
        raise UserError(f"rounds {text!r}: {there}")
    return chosen


@dataclass(frozen=True, slots=True)
class Change:
    """How one quantity of one dataset and task differs.

    Attributes:
        questions: Asked on both sides.
        videos: That they are about.
        first: Average of the first side, over shared questions where there are any, else over all of its own.
        second: Likewise.
        interval: 95% interval of the difference by resampling videos; None without shared questions about at
            least two videos.
    """

    dataset: str
    task: str
    quantity: str
    questions: int
    videos: int
    first: float
    second: float
    interval: Interval | None

    @property
    def difference(self) -> float:
        """Second less first."""
        return self.second - self.first


_Lines = dict[tuple[str, str, str], dict[str, QuestionScore]]


def _lines(scores: Sequence[QuestionScore]) -> _Lines:
    lines: _Lines = {}
    for score in scores:
        lines.setdefault((score.dataset, score.task, score.quantity), {})[score.key] = score
    return lines


def changes(first: Sequence[QuestionScore], second: Sequence[QuestionScore]) -> list[Change]:
    """All quantities that both sides have, by dataset and task: the reward, its parts, then the form."""
    ours, theirs = _lines(first), _lines(second)
    order = {"reward": 0, "readable": 2, "length": 3}
    both = sorted(ours.keys() & theirs.keys(), key=lambda line: (*line[:2], order.get(line[2], 1), line[2]))
    return [_change(line, ours[line], theirs[line]) for line in both]


def _change(
    line: tuple[str, str, str], first: Mapping[str, QuestionScore], second: Mapping[str, QuestionScore]
) -> Change:
    shared = sorted(first.keys() & second.keys())
    before = [score.value for score in ([first[key] for key in shared] or first.values())]
    after = [score.value for score in ([second[key] for key in shared] or second.values())]
    videos = [first[key].video_id for key in shared]
    differences = [b - a for a, b in zip(before, after, strict=True)] if shared else []
    interval = bootstrap_intervals([mean("", differences)], videos, draws=_DRAWS).get("") if shared else None
    means = (math.fsum(before) / len(before), math.fsum(after) / len(after))
    return Change(*line, len(shared), len(set(videos)), *means, interval)


def largest(
    first: Sequence[QuestionScore], second: Sequence[QuestionScore], at_most: int = 100
) -> list[tuple[QuestionScore, float]]:
    """The questions asked on both sides whose rewards differ most, with the difference."""
    ours = {score.key: score for score in first if score.quantity == "reward"}
    both = [(score, score.value - ours[score.key].value) for score in second
            if score.quantity == "reward" and score.key in ours]  # fmt: skip
    return sorted(both, key=lambda pair: (-abs(pair[1]), pair[0].key))[:at_most]

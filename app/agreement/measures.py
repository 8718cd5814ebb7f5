"""How far reviewers agree with each other and with the judge, by dimension: verdicts in, numbers out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from app.agreement.answers import Reviewed
from medgrpo.evaluation.raters import Agreement, agreement_of
from medgrpo.evaluation.ratings import JUDGE, OVERALL, ratings_of
from medgrpo.evaluation.verdicts import Verdict

__all__ = ["Comparison", "compare"]

_DRAWS = 100  # somebody waits for them


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two raters, or all reviewers, on one dimension.

    Attributes:
        dimension: Of the rubric, or :data:`~medgrpo.evaluation.ratings.OVERALL`.
        raters: Their names; all reviewers for alpha.
        items: Answers that at least two of them scored.
        measures: Krippendorff's alpha for all reviewers; kappa and Spearman for two raters. NaN below
            :data:`~medgrpo.evaluation.raters.LEAST` items.
    """

    dimension: str
    raters: tuple[str, ...]
    items: int
    measures: tuple[Agreement, ...]


def compare(pairs: Sequence[tuple[Verdict, Reviewed]], dimensions: Sequence[str]) -> list[Comparison]:
    """All comparisons that the verdicts allow.

    Args:
        pairs: Verdicts that count now, each with its answer.
        dimensions: Of the rubric.

    Returns:
        For each dimension and then overall: all reviewers together, every two of them, each of them with the
        judge.
    """
    answers = list({answer.key: answer for _, answer in pairs}.values())
    keys, videos = [answer.key for answer in answers], [answer.video for answer in answers]
    verdicts = [verdict for verdict, _ in pairs]
    found = []
    for name in [*dimensions, OVERALL]:
        reviewers = ratings_of(verdicts, keys, name)
        judge = np.array([_judge(answer, name) for answer in answers])
        among = agreement_of(reviewers, videos, draws=_DRAWS)
        if len(reviewers) > 1:
            found.append(Comparison(name, tuple(reviewers), among[-1].items, (among[-1],)))
        found += [
            _two(name, two, among[2 * k : 2 * k + 2]) for k, two in enumerate(combinations(reviewers, 2))
        ]
        for reviewer, scores in reviewers.items():
            beside = agreement_of({reviewer: scores, JUDGE: judge}, videos, draws=_DRAWS)
            found.append(_two(name, (reviewer, JUDGE), beside[:2]))
    return found


def _two(dimension: str, raters: tuple[str, str], measured: Sequence[Agreement]) -> Comparison:
    rank, kappa = measured
    return Comparison(dimension, raters, kappa.items, (kappa, rank))


def _judge(answer: Reviewed, dimension: str) -> float:
    if dimension != OVERALL:
        return answer.judge.get(dimension, math.nan)
    return math.fsum(answer.judge.values()) / len(answer.judge) if answer.judge else math.nan

"""How far reviewers agree with each other and with the judge, by dimension: verdicts in, numbers out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from app.agreement.answers import Reviewed
from medgrpo.evaluation.raters import Agreement, agreement_of_all, agreement_of_two
from medgrpo.evaluation.ratings import JUDGE, OVERALL, ratings_of
from medgrpo.evaluation.verdicts import Verdict
from medgrpo.rewards.judges import Rubric

__all__ = ["Comparison", "compare"]

_DRAWS = 200  # somebody waits for them


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two raters, or all together, on one dimension.

    Attributes:
        dimension: Of the rubric, or :data:`~medgrpo.evaluation.ratings.OVERALL`.
        raters: Their names; the judge's is the last.
        items: Answers that at least two of them scored.
        measures: Krippendorff's alpha for all together; kappa and Spearman for two. NaN below
            :data:`~medgrpo.evaluation.raters.LEAST` items.
    """

    dimension: str
    raters: tuple[str, ...]
    items: int
    measures: tuple[Agreement, ...]


def compare(pairs: Sequence[tuple[Verdict, Reviewed]], rubric: Rubric) -> list[Comparison]:
    """All comparisons that the verdicts allow.

    Args:
        pairs: Verdicts that count now, each with its answer.
        rubric: Of the reviewers; a judge that followed another one is not compared with them.

    Returns:
        For each dimension and then overall: all reviewers together, they and the judge, every two of them,
        each of them with the judge.
    """
    answers = list({answer.key: answer for _, answer in pairs}.values())
    keys, videos = [answer.key for answer in answers], [answer.video for answer in answers]
    verdicts = [verdict for verdict, _ in pairs]
    found = []
    for name in [*(dimension.name for dimension in rubric.dimensions), OVERALL]:
        reviewers = ratings_of(verdicts, keys, name)
        everybody = {**reviewers, JUDGE: np.array([_judge(answer, name, rubric) for answer in answers])}
        for together in [reviewers, everybody] if len(reviewers) > 1 else [everybody]:
            alpha = agreement_of_all(together, videos, draws=_DRAWS)
            found.append(Comparison(name, tuple(together), alpha.items, (alpha,)))
        for two in combinations(everybody, 2):
            rank, kappa = agreement_of_two({who: everybody[who] for who in two}, videos, draws=_DRAWS)
            found.append(Comparison(name, two, kappa.items, (kappa, rank)))
    return found


def _judge(answer: Reviewed, dimension: str, rubric: Rubric) -> float:
    if answer.rubric != rubric.name:
        return math.nan
    if dimension != OVERALL:
        return answer.judge.get(dimension, math.nan)
    return math.fsum(answer.judge.values()) / len(answer.judge) if answer.judge else math.nan

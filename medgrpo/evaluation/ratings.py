"""Verdicts as the matrix that statistics of agreement work on: a rater's scores of the same answers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medgrpo.evaluation.verdicts import AnswerKey, Verdict

__all__ = ["JUDGE", "OVERALL", "ratings_of"]

JUDGE = "judge"
"""The judge's name among raters."""

OVERALL = "mean"
"""The mean over dimensions, among the names of dimensions."""


def ratings_of(
    verdicts: Sequence[Verdict], keys: Sequence[AnswerKey], dimension: str
) -> dict[str, NDArray[np.float64]]:
    """Each reviewer's scores.

    Args:
        verdicts: At most one a reviewer and answer; those that may not be compared count as not given.
        keys: The answers in order, ``N`` of them.
        dimension: Of the rubric, or :data:`OVERALL`.

    Returns:
        Reviewer to ``[N]``, NaN where there is no score.
    """
    place = {key: index for index, key in enumerate(keys)}
    found: dict[str, NDArray[np.float64]] = {}
    for verdict in verdicts:
        if verdict.key not in place:
            continue
        # A reviewer who calls himself "judge" must not take the judge's place.
        name = f"{verdict.reviewer} (reviewer)" if verdict.reviewer == JUDGE else verdict.reviewer
        column = found.setdefault(name, np.full(len(keys), math.nan))
        if verdict.comparable:
            score = verdict.mean if dimension == OVERALL else verdict.scores.get(dimension, math.nan)
            column[place[verdict.key]] = score
    return found

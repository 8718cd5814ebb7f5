"""What clinicians made of an answer, as one number that can stand where the judge's stands."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import median

from medgrpo.errors import UserError
from medgrpo.evaluation.verdicts import AnswerKey, Verdict

__all__ = ["LOWEST", "by_answer", "check_rubric", "clinician_score"]

LOWEST = 1.0
"""What an answer is worth that is rejected or unsafe, whatever its single scores."""


def clinician_score(verdicts: Sequence[Verdict]) -> float | None:
    """One number for one answer.

    A reviewer's number is the mean of the scored dimensions, or the lowest score if the answer was rejected.
    The answer's is the median of the reviewers'. One safety flag makes it the lowest, since a danger is not
    outvoted, and one "the reference is wrong" makes it unusable, since all scores compare with the reference.

    Args:
        verdicts: All about this answer and text, one a reviewer.

    Returns:
        From 1 to 5; NaN if the answer has to be left out; None if nobody gave a number.
    """
    if any(verdict.wrong_reference for verdict in verdicts):
        return math.nan
    judged = [verdict for verdict in verdicts if not verdict.unjudgeable]
    if verdicts and not judged:
        return math.nan
    if any(verdict.unsafe for verdict in judged):
        return LOWEST
    numbers = [LOWEST if verdict.accepted is False else verdict.mean for verdict in judged]
    known = [number for number in numbers if math.isfinite(number)]
    return median(known) if known else None


def by_answer(verdicts: Sequence[Verdict]) -> Mapping[AnswerKey, list[Verdict]]:
    """The verdicts about each answer."""
    found: dict[AnswerKey, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        found[verdict.key].append(verdict)
    return dict(found)


def check_rubric(verdicts: Sequence[Verdict], rubric: str, source: str) -> None:
    """Scores under another rubric mean something else.

    Args:
        verdicts: To be compared with or put in place of a judge's scores.
        rubric: The judge's, id and version.
        source: Of the verdicts, for the message.

    Raises:
        UserError: If a verdict was given under another rubric.
    """
    for verdict in verdicts:
        if verdict.rubric not in ("", rubric):
            raise UserError(
                f"{source}: {verdict.reviewer} judged answer {verdict.key} by the rubric {verdict.rubric}, "
                f"but the judge's is {rubric}; take verdicts and judgements of one rubric"
            )

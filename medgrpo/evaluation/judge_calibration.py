"""What a judge's score is worth in clinicians' scores: how far it is off, and a monotone map that mends it.

The map is an isotonic regression: it keeps the judge's order and changes nothing else, so it cannot hide that
a judge ranks answers wrongly. Its error is measured on videos that it was not fitted to.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from medgrpo.errors import UserError
from medgrpo.evaluation.clinician_scores import by_answer, clinician_score
from medgrpo.evaluation.judge_bias import JudgedAnswer
from medgrpo.evaluation.raters import LEAST
from medgrpo.evaluation.ratings import OVERALL, ratings_of
from medgrpo.evaluation.uncertainty import clusters
from medgrpo.evaluation.verdict_files import verdicts_hash
from medgrpo.evaluation.verdicts import Verdict

__all__ = ["calibration", "monotone_map"]

Array = NDArray[np.float64]

_FOLDS = 5


def calibration(
    answers: Sequence[JudgedAnswer], verdicts: Sequence[Verdict], *, seed: int = 0
) -> dict[str, Any]:
    """The report, for each dimension and overall.

    Overall, a clinician's score is that of :func:`~medgrpo.evaluation.clinician_scores.clinician_score`; of a
    dimension it is the median of the reviewers'.

    Args:
        answers: What the judge scored.
        verdicts: About these answers.
        seed: Of the split into videos to fit and to measure on.

    Returns:
        What is written as JSON. A dimension with fewer than :data:`~medgrpo.evaluation.raters.LEAST` answers
        has their number and nothing else.

    Raises:
        UserError: If the answers were scored by several judges.
    """
    given = by_answer(verdicts)
    known = [answer for answer in answers if answer.key in given]
    judges = sorted({(answer.model, answer.rubric) for answer in known})
    if len(judges) > 1:
        names = ", ".join(f"{model} ({rubric})" for model, rubric in judges)
        raise UserError(f"the answers with verdicts were scored by several judges: {names}; choose a --run")
    keys, videos = [a.key for a in known], [a.video for a in known]
    numbers = [clinician_score(given[key]) for key in keys]
    overall = np.array([math.nan if number is None else number for number in numbers])
    report = {OVERALL: _compared(np.array([a.judge for a in known]), overall, videos, seed)}
    for name in dict.fromkeys(name for answer in known for name in answer.scores):
        judge = np.array([answer.scores.get(name, math.nan) for answer in known])
        scores = np.stack(list(ratings_of(verdicts, keys, name).values()))
        report[name] = _compared(judge, _median(scores), videos, seed)
    return {
        "format": "medgrpo-judge-calibration",
        "version": 1,
        "judge": judges[0][0],
        "rubric": judges[0][1],
        "verdicts": verdicts_hash(verdicts),
        "reviewers": len({verdict.reviewer for verdict in verdicts}),
        "scores": report,
    }


def monotone_map(judge: Array, clinicians: Array) -> tuple[Array, Array]:
    """The non-decreasing function of the judge's score that is nearest to the clinicians' in squares.

    Args:
        judge: ``[N]``, at least one, finite.
        clinicians: ``[N]``, finite.

    Returns:
        The distinct scores of the judge, ascending, and the function's values there; between them it is
        linear, outside constant.
    """
    at, place, counts = np.unique(judge, return_inverse=True, return_counts=True)
    means = np.bincount(place, weights=clinicians) / counts
    return at, np.asarray(isotonic_regression(means, weights=counts.astype(np.float64)).x)


def _compared(judge: Array, clinicians: Array, videos: Sequence[Hashable], seed: int) -> dict[str, Any]:
    both = np.isfinite(judge) & np.isfinite(clinicians)
    judge, clinicians = judge[both], clinicians[both]
    if len(judge) < LEAST:
        return {"answers": len(judge)}
    at, worth = monotone_map(judge, clinicians)
    cluster = clusters([video for video, is_both in zip(videos, both, strict=True) if is_both])
    return {
        "answers": len(judge),
        "offset": float((judge - clinicians).mean()),
        "error": float(np.abs(judge - clinicians).mean()),
        "error_after": _held_out_error(judge, clinicians, cluster, seed),
        "judge": at.tolist(),
        "clinicians": worth.tolist(),
    }


def _held_out_error(judge: Array, clinicians: Array, cluster: NDArray[np.intp], seed: int) -> float:
    """Mean absolute error of the map on videos that it has not seen; NaN with one video."""
    count = int(cluster.max()) + 1
    fold = np.random.default_rng(seed).permutation(count) % min(_FOLDS, count)
    errors = []
    for number in range(min(_FOLDS, count)):
        held = fold[cluster] == number
        if held.all():
            return math.nan
        at, worth = monotone_map(judge[~held], clinicians[~held])
        errors.append(np.abs(np.interp(judge[held], at, worth) - clinicians[held]))
    return float(np.concatenate(errors).mean())


def _median(scores: Array) -> Array:
    """Over reviewers, ``[R, N]`` to ``[N]``, NaN where nobody scored."""
    found = np.full(scores.shape[1], math.nan)
    any_score = np.isfinite(scores).any(axis=0)
    found[any_score] = np.nanmedian(scores[:, any_score], axis=0)
    return found

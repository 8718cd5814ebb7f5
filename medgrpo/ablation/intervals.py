"""A mean over seeds with its t interval, and every seed's value beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

__all__ = ["by_name", "mean_interval"]

CONFIDENCE = 0.95
_DIGITS = 6


def mean_interval(values: ArrayLike) -> dict[str, Any]:
    """The mean of one number a seed, with Student's interval of 95%.

    For a paired comparison the values are the differences by seed.

    Args:
        values: ``[N]``, one a seed. Seeds in which the number is not defined (NaN) are left out of mean and
            interval and shown as null.

    Returns:
        ``mean``, ``low``, ``high``, ``p`` (two-sided, of a mean of 0), ``n`` and ``values``. Without two
        values there is no interval: low, high and p are null. Nor is there one where all values are the same
        number other than 0, up to the digits shown: Student's statistic is not defined, and a few seeds whose
        counts happen to agree must not pass for certainty. Where all are 0 the interval is that point, and
        p is 1.
    """
    numbers = np.asarray(values, dtype=np.float64)
    known = numbers[np.isfinite(numbers)]
    shown = [_number(value) for value in numbers]
    if len(known) < 2:
        mean = _number(known[0]) if len(known) else None
        return {"mean": mean, "low": None, "high": None, "p": None, "n": len(known), "values": shown}
    mean, error = float(known.mean()), float(known.std(ddof=1)) / math.sqrt(len(known))
    if np.ptp(known) < 10.0**-_DIGITS:
        point, p = (0.0, 1.0) if _number(mean) == 0.0 else (None, None)
        return {"mean": _number(mean), "low": point, "high": point, "p": p, "n": len(known), "values": shown}
    reach = float(stats.t.ppf(0.5 + CONFIDENCE / 2, len(known) - 1)) * error
    p = 2.0 * float(stats.t.sf(abs(mean) / error, len(known) - 1))
    return {
        "mean": _number(mean),
        "low": _number(mean - reach),
        "high": _number(mean + reach),
        "p": float(f"{p:.3g}"),
        "n": len(known),
        "values": shown,
    }


def by_name(names: Sequence[str], values: ArrayLike) -> Mapping[str, dict[str, Any]]:
    """:func:`mean_interval` of each column.

    Args:
        names: C of them.
        values: ``[N, C]``, a row a seed.
    """
    columns = np.asarray(values, dtype=np.float64)
    return {name: mean_interval(columns[:, index]) for index, name in enumerate(names)}


def _number(value: float) -> float | None:
    return round(float(value), _DIGITS) if math.isfinite(value) else None

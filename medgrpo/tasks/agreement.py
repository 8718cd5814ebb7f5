"""Measures of agreement from confusion tables, in which an unreadable answer is one more wrong answer.

All take tables ``[..., K, K + 1]``: counts by true class and answered class, the last column for answers that
could not be read. They return ``[...]``, NaN for a table without a row.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "majority_rate",
    "mean_absolute_error",
    "quadratic_kappa",
]

Array = NDArray[np.float64]


def accuracy(tables: Array) -> Array:
    """Share of exact answers."""
    return _over(_hits(tables).sum(axis=-1), tables.sum(axis=(-1, -2)))


def majority_rate(tables: Array) -> Array:
    """Accuracy of always answering the most frequent class: what a constant achieves."""
    return _over(tables.sum(axis=-1).max(axis=-1), tables.sum(axis=(-1, -2)))


def balanced_accuracy(tables: Array) -> Array:
    """Mean recall over the classes that occur in the truth; a constant answer has one over their number."""
    return _mean_over_true(tables, _over(_hits(tables), tables.sum(axis=-1)))


def macro_f1(tables: Array) -> Array:
    """Mean F1 over the classes that occur in the truth."""
    true, answered = tables.sum(axis=-1), tables.sum(axis=-2)[..., :-1]
    return _mean_over_true(tables, _over(2.0 * _hits(tables), true + answered))


def mean_absolute_error(tables: Array) -> Array:
    """Mean distance in classes; an unreadable answer is as far off as any can be, K - 1."""
    distance = np.abs(_distance(tables.shape[-2], missing=tables.shape[-2] - 1))
    return _over((tables * distance).sum(axis=(-1, -2)), tables.sum(axis=(-1, -2)))


def quadratic_kappa(tables: Array) -> Array:
    """Cohen's kappa with quadratic weights: 1 is exact, 0 what the two marginals give by chance.

    An unreadable answer stands at the class that is farthest from the truth. Where chance leaves no
    disagreement (one class on both sides), 1.
    """
    classes = tables.shape[-2]
    farthest = np.maximum(np.arange(classes), classes - 1 - np.arange(classes))
    weights = np.concatenate([_distance(classes, 0)[:, :-1], farthest[:, None]], axis=1) ** 2.0
    total = tables.sum(axis=(-1, -2))
    chance = tables.sum(axis=-1)[..., :, None] * tables.sum(axis=-2)[..., None, :]
    expected = _over((chance * weights).sum(axis=(-1, -2)), total)
    observed = (tables * weights).sum(axis=(-1, -2))
    agrees = 1.0 - observed / np.where(expected > 0.0, expected, 1.0)
    return np.where(total > 0.0, np.where(expected > 0.0, agrees, 1.0), np.nan)


def _hits(tables: Array) -> Array:
    return np.diagonal(tables[..., :-1], axis1=-2, axis2=-1)


def _distance(classes: int, missing: float) -> Array:
    levels = np.arange(classes, dtype=np.float64)
    between = np.abs(levels[:, None] - levels[None, :])
    return np.concatenate([between, np.full((classes, 1), missing)], axis=1)


def _mean_over_true(tables: Array, values: Array) -> Array:
    occurs = tables.sum(axis=-1) > 0.0
    return _over(np.where(occurs, values, 0.0).sum(axis=-1), occurs.sum(axis=-1).astype(np.float64))


def _over(numerators: Array, denominators: Array) -> Array:
    return np.where(denominators > 0.0, numerators / np.where(denominators > 0.0, denominators, 1.0), np.nan)

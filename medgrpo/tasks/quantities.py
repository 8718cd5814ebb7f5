"""Quantities over many rows as functions of sums.

Whatever is reported over a set of rows (a mean, a micro F1, a kappa) is a function of sums of per-row
numbers. Written that way, the same quantity over any resample of the rows is a function of weighted sums, so
that a bootstrap of thousands of draws is one matrix product, for a kappa as for a mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Quantity", "graded", "mean", "ratio"]

Array = NDArray[np.float64]
Measure = Callable[[Array], Array]
"""From confusion tables ``[..., K, K + 1]`` (true class, answered class; the last column: unreadable) to
``[...]``; NaN for a table without a row."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """One number over a set of rows.

    Attributes:
        name: As reported.
        columns: What is summed, ``[N, S]``, sparse.
        finish: From sums ``[..., S]`` to values ``[...]``.
    """

    name: str
    columns: csr_array
    finish: Callable[[Array], Array]

    def value(self) -> float:
        """Over all rows, each once; NaN if it is not defined there."""
        return float(self.finish(np.asarray(self.columns.sum(axis=0))))

    def values(self, cluster: NDArray[np.intp], weights: Array) -> Array:
        """Over weighted clusters of rows, such as resampled videos.

        Args:
            cluster: The cluster of each row, ``[N]``, 0 to C - 1.
            weights: How often each draw holds each cluster, ``[D, C]``.

        Returns:
            One value a draw, ``[D]``.
        """
        rows = np.arange(len(cluster))
        shape = (weights.shape[1], len(cluster))
        members = _sparse((np.ones(len(cluster)), (cluster, rows)), shape=shape)
        return self.finish(weights @ (members @ self.columns).toarray())


def mean(name: str, values: ArrayLike) -> Quantity:
    """The mean of one number a row, ``[N]``."""
    numbers = np.asarray(values, dtype=np.float64)
    return ratio(name, numbers, np.ones_like(numbers))


def ratio(name: str, numerators: ArrayLike, denominators: ArrayLike) -> Quantity:
    """Sum over sum of two numbers a row, ``[N]`` each; 0 where the denominators sum to 0."""
    columns = np.stack([np.asarray(v, dtype=np.float64) for v in (numerators, denominators)], axis=-1)

    def finish(sums: Array) -> Array:
        over, under = sums[..., 0], sums[..., 1]
        return np.where(under > 0.0, over / np.where(under > 0.0, under, 1.0), 0.0)

    return Quantity(name, _sparse(columns), finish)


def graded(
    measures: Mapping[str, Measure],
    truth: Sequence[Sequence[int | None]],
    answers: Sequence[Sequence[int | None]],
    classes: int,
) -> list[Quantity]:
    """Measures of agreement on one or several closed-set answers a row, each the mean over those answers.

    Args:
        measures: Name to measure, see :mod:`medgrpo.tasks.agreement`.
        truth: For each row its G true classes, 0 to K - 1; None where there is none.
        answers: The same of the answers; None is unreadable.
        classes: K.

    Returns:
        One quantity a measure.
    """
    names = len(truth[0])
    shape = (names, classes, classes + 1)
    cells = [
        (row, np.ravel_multi_index((k, t, classes if a is None else a), shape))
        for row, (true, answered) in enumerate(zip(truth, answers, strict=True))
        for k, (t, a) in enumerate(zip(true, answered, strict=True))
        if t is not None
    ]
    at = np.asarray(cells, dtype=np.intp).reshape(-1, 2)
    whole = (len(truth), int(np.prod(shape)))
    columns = _sparse((np.ones(len(at)), (at[:, 0], at[:, 1])), shape=whole)

    def finisher(measure: Measure) -> Callable[[Array], Array]:
        def finish(sums: Array) -> Array:
            values = measure(sums.reshape(*sums.shape[:-1], *shape))
            known = ~np.isnan(values)
            total = np.where(known, values, 0.0).sum(axis=-1)
            return np.where(known.any(axis=-1), total / np.maximum(known.sum(axis=-1), 1), np.nan)

        return finish

    return [Quantity(name, columns, finisher(measure)) for name, measure in measures.items()]


def _sparse(values: Any, shape: tuple[int, int] | None = None) -> csr_array:
    from scipy.sparse import csr_array  # takes a third of a second to import

    return csr_array(values, shape=shape)

"""Geometry of spans of time, in seconds: IoU, optimal one-to-one matching and the scores made of it.

A span is a ``(start, end)`` pair with ``start <= end``. The functions are symmetric in their two sides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Span",
    "coverage_iou",
    "f1_at",
    "generalised_iou",
    "iou",
    "iou_matrix",
    "match",
    "set_closeness",
    "set_miou",
    "true_positives",
    "widened",
]

Span = Sequence[float]


def iou(a: Span, b: Span) -> float:
    """Temporal intersection over union, in [0, 1]; 0 when the two do not overlap."""
    overlap = min(a[1], b[1]) - max(a[0], b[0])
    if overlap <= 0.0:
        return 0.0
    return overlap / (max(a[1], b[1]) - min(a[0], b[0]))


def generalised_iou(a: Span, b: Span) -> float:
    """IoU less the share of the hull that lies between two spans, in (-1, 1]; neither is of no length."""
    gap = max(a[0], b[0]) - min(a[1], b[1])
    hull = max(a[1], b[1]) - min(a[0], b[0])
    return iou(a, b) - max(gap, 0.0) / hull


def iou_matrix(a: Sequence[Span], b: Sequence[Span]) -> NDArray[np.float64]:
    """IoU of each span of ``a`` with each of ``b``, shape ``[len(a), len(b)]``."""
    left = np.asarray(a, dtype=np.float64).reshape(-1, 2)
    right = np.asarray(b, dtype=np.float64).reshape(-1, 2)
    overlap = np.minimum(left[:, None, 1], right[None, :, 1]) - np.maximum(
        left[:, None, 0], right[None, :, 0]
    )
    hull = np.maximum(left[:, None, 1], right[None, :, 1]) - np.minimum(left[:, None, 0], right[None, :, 0])
    return np.where(overlap > 0.0, overlap / np.where(hull > 0.0, hull, 1.0), 0.0)


def match(weights: NDArray[np.float64]) -> list[tuple[int, int]]:
    """The one-to-one (row, column) pairs with the largest sum of weights, without those of weight 0."""
    if weights.size == 0:
        return []
    from scipy.optimize import linear_sum_assignment  # takes most of a second to import

    rows, columns = linear_sum_assignment(weights, maximize=True)
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if weights[i, j] > 0.0]


def widened(spans: Sequence[Span], fps: float) -> list[tuple[float, float]]:
    """The spans, zero-length ones stretched to one sampling period.

    The benchmark holds truths such as 66.0-66.0: something seen on a single frame. Half a period on
    either side makes them matchable; both sides are treated alike.

    Args:
        spans: In seconds.
        fps: Frames a second of the clip's frame list.
    """
    half = 0.5 / fps
    return [(s[0], s[1]) if s[1] > s[0] else (s[0] - half, s[1] + half) for s in spans]


def set_miou(truth: Sequence[Span], predicted: Sequence[Span]) -> float:
    """Sum of IoU over the optimal matching, over the larger number of spans: missed and surplus ones cost.

    1 if both are empty, 0 if only one is.
    """
    if not truth and not predicted:
        return 1.0
    matrix = iou_matrix(truth, predicted)
    return float(sum(matrix[i, j] for i, j in match(matrix))) / max(len(truth), len(predicted))


def set_closeness(
    truth: Sequence[Span], predicted: Sequence[Span], closeness: Callable[[Span, Span], float]
) -> float:
    """As :func:`set_miou`, with another measure than IoU.

    Args:
        truth: True spans.
        predicted: Answered spans.
        closeness: Of a true and an answered span, at least 0.
    """
    if not truth and not predicted:
        return 1.0
    matrix = np.array([[closeness(a, b) for b in predicted] for a in truth])
    return float(sum(matrix[i, j] for i, j in match(matrix))) / max(len(truth), len(predicted))


def true_positives(matrix: NDArray[np.float64], threshold: float) -> int:
    """The largest number of one-to-one pairs whose IoU is at least the threshold."""
    return len(match((matrix >= threshold).astype(np.float64)))


def f1_at(truth: Sequence[Span], predicted: Sequence[Span], threshold: float) -> float:
    """``2 TP / (n_truth + n_predicted)``, one-to-one at an IoU threshold; 1 if both are empty."""
    if not truth and not predicted:
        return 1.0
    return 2.0 * true_positives(iou_matrix(truth, predicted), threshold) / (len(truth) + len(predicted))


def _union(spans: Sequence[Span]) -> list[tuple[float, float]]:
    merged: list[tuple[float, float]] = []
    for start, end in sorted((s[0], s[1]) for s in spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def coverage_iou(truth: Sequence[Span], predicted: Sequence[Span]) -> float:
    """IoU of the covered time of two sets of spans; 1 if both cover nothing."""
    a, b = _union(truth), _union(predicted)
    both = sum(max(0.0, min(x[1], y[1]) - max(x[0], y[0])) for x in a for y in b)
    total = sum(x[1] - x[0] for x in a) + sum(y[1] - y[0] for y in b) - both
    return both / total if total > 0.0 else 1.0

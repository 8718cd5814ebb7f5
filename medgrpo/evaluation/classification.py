"""Scores of closed-set answers over many rows, in which an unreadable answer is one more wrong answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

__all__ = ["accuracy", "macro_f1", "majority_rate"]


def accuracy(truth: Sequence[Hashable], answers: Sequence[Hashable]) -> float:
    """Share of exact answers."""
    return sum(a == b for a, b in zip(truth, answers, strict=True)) / len(truth)


def macro_f1(truth: Sequence[Hashable], answers: Sequence[Hashable]) -> float:
    """Mean F1 over the classes that occur in the truth.

    Args:
        truth: True classes, at least one.
        answers: Answered classes; None (unreadable) is a wrong answer, not a class.
    """
    scores = []
    for label in dict.fromkeys(truth):
        hits = sum(a == b == label for a, b in zip(truth, answers, strict=True))
        scores.append(2 * hits / (sum(a == label for a in truth) + sum(b == label for b in answers)))
    return sum(scores) / len(scores)


def majority_rate(truth: Sequence[Hashable]) -> float:
    """Accuracy of always answering the most frequent class."""
    return Counter(truth).most_common(1)[0][1] / len(truth)

"""Scores of the captions of timed events: one answered event for one true event, in order.

``soda`` follows SODA_c (Fujita et al., ECCV 2020, section 4): over all order-preserving one-to-one
assignments of answered to true events, the largest sum of IoU times caption similarity; over the number of
answered events a precision, over that of true events a recall, and their F-measure. The original's caption
score is METEOR, ours the F1 of content words with the synonyms of the surgical lexicon, which needs no model:
a test split has over ten thousand such captions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgrpo.evaluation.official.captions import CaptionJudge, CaptionPair
from medgrpo.evaluation.strict.captions import HIGHEST, LOWEST, judged_means, mentions
from medgrpo.rewards.judges.vocabulary import load_vocabulary
from medgrpo.tasks import Parsed, intervals
from medgrpo.tasks.dense_captioning import THRESHOLDS, spans_of
from medgrpo.types import Sample

__all__ = ["event_scores", "ordered_total", "soda"]

Event = Mapping[str, Any]


def event_scores(
    samples: Sequence[Sample],
    truths: Sequence[Sequence[Event]],
    parsed: Sequence[Parsed],
    judge: CaptionJudge | None = None,
) -> list[dict[str, float]]:
    """Scores of dense captions.

    Args:
        samples: Questions.
        truths: True events of each.
        parsed: Answers as read.
        judge: Scores pairs of captions.

    Returns:
        For each answer ``soda``; ``labels:true``, the true events with an action label, and ``labels:right``,
        those whose one-to-one partner in time carries the same one; what is named, see
        :func:`~medgrpo.evaluation.strict.captions.mentions`; with a judge ``judge``: the judge's mean
        for each matched pair of events, the minimum for every event without a partner, mean over the larger
        number of events of the two sides and over the IoU thresholds.
    """
    answers: list[Sequence[Event]] = [p.value or [] for p in parsed]
    scores = []
    matrices = []
    for sample, truth, answer in zip(samples, truths, answers, strict=True):
        overlaps = intervals.iou_matrix(spans_of(truth, sample), spans_of(answer, sample))
        matrices.append(overlaps)
        entry = {"soda": soda(overlaps, _similarities(truth, answer))}
        partner = dict(intervals.match(overlaps))
        labels = {i: name for i, e in enumerate(truth) if (name := _label(e))}
        right = [i in partner and _label(answer[partner[i]]) == name for i, name in labels.items()]
        entry |= {"labels:true": float(len(labels)), "labels:right": float(sum(right))}
        scores.append(entry | mentions(_joined(truth), _joined(answer)))
    if judge is not None:
        for entry, value in zip(scores, _judged(samples, truths, answers, matrices, judge), strict=True):
            entry["judge"] = value
    return scores


def soda(overlaps: NDArray[np.float64], similarities: NDArray[np.float64]) -> float:
    """The F-measure of SODA_c from IoUs and similarities, ``[true, answered]`` each; 1 if both are empty."""
    true, answered = overlaps.shape
    if not true and not answered:
        return 1.0
    return 2.0 * ordered_total(overlaps * similarities) / (true + answered)


def ordered_total(gains: NDArray[np.float64]) -> float:
    """The largest sum of gains over one-to-one assignments that keep the order of both sides."""
    best = np.zeros(gains.shape[1] + 1)
    for row in gains:
        taken = best[:-1] + row
        best[1:] = np.maximum.accumulate(np.maximum(best[1:], taken))
    return float(best[-1])


def _similarities(truth: Sequence[Event], answer: Sequence[Event]) -> NDArray[np.float64]:
    words = load_vocabulary()
    a, b = ([words.read(str(e["caption"])) for e in events] for events in (truth, answer))
    values = [[words.agreement(x, y) for y in b] for x in a]
    said = np.array([bool(str(e["caption"]).strip()) for e in answer], dtype=np.float64)
    return np.array(values, dtype=np.float64).reshape(len(a), len(b)) * said


def _joined(events: Sequence[Event]) -> str:
    return "\n".join(str(event["caption"]) for event in events)


def _label(event: Event) -> str:
    """The action label before the sentence, lower case; empty where a caption has none."""
    head, colon, _ = str(event["caption"]).partition(":")
    return " ".join(head.lower().split()) if colon and len(head.split()) <= 8 else ""


def _judged(
    samples: Sequence[Sample],
    truths: Sequence[Sequence[Event]],
    answers: Sequence[Sequence[Event]],
    matrices: Sequence[NDArray[np.float64]],
    judge: CaptionJudge,
) -> list[float]:
    matched = [intervals.match(matrix) for matrix in matrices]
    cells = [
        (k, i, j)
        for k, pairs in enumerate(matched)
        for i, j in pairs
        if matrices[k][i, j] >= THRESHOLDS[0] and str(answers[k][j]["caption"]).strip()
    ]
    pairs = [
        CaptionPair.of_sample(samples[k], str(truths[k][i]["caption"]), str(answers[k][j]["caption"]))
        for k, i, j in cells
    ]
    given: list[list[tuple[float, float]]] = [[] for _ in samples]
    for (k, i, j), mean in zip(
        cells, judged_means(judge, pairs, [samples[k] for k, _, _ in cells]), strict=True
    ):
        given[k].append((float(matrices[k][i, j]), mean))
    return [
        _event_mean(pairs, max(len(truth), len(answer)))
        for pairs, truth, answer in zip(given, truths, answers, strict=True)
    ]


def _event_mean(judged: Sequence[tuple[float, float]], events: int) -> float:
    """From (IoU, judge's mean) of the matched pairs; an event without one at a threshold has the minimum."""
    if not events:
        return HIGHEST
    totals = [sum(mean - LOWEST for overlap, mean in judged if overlap >= t) for t in THRESHOLDS]
    return LOWEST + sum(totals) / len(THRESHOLDS) / events

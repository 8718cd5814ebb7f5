"""What each task reports beside its mean score, over the rows of one dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from medgrpo.evaluation.classification import accuracy, macro_f1, majority_rate
from medgrpo.evaluation.strict_rows import ScoredRow
from medgrpo.tasks import boxes, cvs, dense_captioning, intervals, skill, stg
from medgrpo.tasks.next_action import normalise

__all__ = ["AGGREGATES", "Aggregate"]

Aggregate = Callable[[Sequence[ScoredRow]], dict[str, float | None]]


def _tal(rows: Sequence[ScoredRow]) -> dict[str, float | None]:
    """Micro F1 at three thresholds, mIoU over max(true, answered) of the pairs above two, covered time."""
    hits = dict.fromkeys((0.3, 0.5, 0.7), 0)
    miou = dict.fromkeys((0.3, 0.5), 0.0)
    spans, coverage = 0, 0.0
    for row in rows:
        fps = row.sample.clip.fps
        truth = intervals.widened(row.truth, fps)
        answer = intervals.widened(row.parsed.value or [], fps)
        matrix = intervals.iou_matrix(truth, answer)
        pairs = intervals.match(matrix)
        for t in hits:
            hits[t] += intervals.true_positives(matrix, t)
        for t in miou:
            matched = sum(matrix[i, j] for i, j in pairs if matrix[i, j] >= t)
            miou[t] += float(matched) / max(len(truth), len(answer), 1)
        spans += len(truth) + len(answer)
        coverage += intervals.coverage_iou(truth, answer)
    return {
        **{f"f1@{t}": 2 * n / spans if spans else 0.0 for t, n in hits.items()},
        **{f"miou@{t}": total / len(rows) for t, total in miou.items()},
        "coverage_iou": coverage / len(rows),
    }


def _stg(rows: Sequence[ScoredRow]) -> dict[str, float | None]:
    """Share of true times answered, of answered times that are true, and of true boxes with IoU 0.5."""
    true, answered, matched, good = 0, 0, 0, 0
    for row in rows:
        answer = row.parsed.value or []
        times = [entry["time"] for entry in row.truth]
        tolerance = stg.requested_step(times, row.sample) / 2.0
        nearest = stg.assign_times(times, [entry["time"] for entry in answer], tolerance)
        true += len(times)
        answered += len(answer)
        for entry, j in zip(row.truth, nearest, strict=True):
            matched += j is not None
            good += j is not None and boxes.iou(entry["box"], answer[j]["box"]) >= 0.5
    return {
        "temporal_coverage": matched / true if true else 0.0,
        "temporal_precision": matched / answered if answered else 0.0,
        "success@0.5": good / true if true else 0.0,
    }


def _dense_captioning(rows: Sequence[ScoredRow]) -> dict[str, float | None]:
    """Mean F1 at each threshold."""
    totals = dict.fromkeys(dense_captioning.THRESHOLDS, 0.0)
    for row in rows:
        fps = row.sample.clip.fps
        truth = intervals.widened([(e["start"], e["end"]) for e in row.truth], fps)
        answer = intervals.widened([(e["start"], e["end"]) for e in row.parsed.value or []], fps)
        for t in totals:
            totals[t] += intervals.f1_at(truth, answer, t)
    return {f"f1@{t}": total / len(rows) for t, total in totals.items()}


def _next_action(rows: Sequence[ScoredRow]) -> dict[str, float | None]:
    """Macro-F1 over the true labels and the majority baseline."""
    truth = [normalise(row.truth) for row in rows]
    # A right answer counts as its label however it was written; a wrong one as whatever label was read.
    answers = [
        t if row.score == 1.0 else _label(row.parsed.value) for t, row in zip(truth, rows, strict=True)
    ]
    return {"macro_f1": macro_f1(truth, answers), "majority": majority_rate(truth)}


def _label(value: Any) -> str | None:
    return normalise(value) if isinstance(value, str) else None


def _grades(
    rows: Sequence[ScoredRow], names: Sequence[str], levels: Sequence[int]
) -> dict[str, float | None]:
    """Macro-F1, majority baseline and absolute error, each the mean over the graded names.

    A missing grade is wrong and as far off as any grade can be.
    """
    worst = max(levels) - min(levels)
    f1, majority, error = 0.0, 0.0, 0.0
    for name in names:
        pairs = [(row.truth[name], (row.parsed.value or {}).get(name)) for row in rows if name in row.truth]
        if not pairs:
            continue
        truth, answers = [t for t, _ in pairs], [a for _, a in pairs]
        f1 += macro_f1(truth, answers)
        majority += majority_rate(truth)
        error += sum(worst if a is None else abs(t - a) for t, a in pairs) / len(pairs)
    n = len(names)
    return {"macro_f1": f1 / n, "majority": majority / n, "mae": error / n}


def _cvs(rows: Sequence[ScoredRow]) -> dict[str, float | None]:
    """Grades, and the share of rows with all three criteria exact."""
    exact = accuracy([_frozen(row.truth) for row in rows], [_frozen(row.parsed.value or {}) for row in rows])
    return _grades(rows, list(cvs.CRITERIA), cvs.LEVELS) | {"triple_exact": exact}


def _frozen(grades: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(grades.items()))


def _skill(rows: Sequence[ScoredRow]) -> dict[str, float | None]:
    return _grades(rows, skill.ASPECTS, skill.LEVELS)


def _captions(rows: Sequence[ScoredRow]) -> dict[str, float | None]:
    """Mean similarity and mean judge score, None if not computed."""
    means: dict[str, float | None] = {}
    for name in ("similarity", "judge"):
        given = [row.extra[name] for row in rows if name in row.extra]
        means[name] = sum(given) / len(given) if given else None
    return means


AGGREGATES: Mapping[str, Aggregate] = {
    "tal": _tal,
    "stg": _stg,
    "dense_captioning": _dense_captioning,
    "next_action": _next_action,
    "video_summary": _captions,
    "region_caption": _captions,
    "skill_assessment": _skill,
    "cvs_assessment": _cvs,
}
"""Task to what it reports beside n, score and validity."""

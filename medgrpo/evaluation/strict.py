"""The strict protocol: definitions that abstaining, spraying and constants cannot game.

Every row counts. An unreadable answer scores 0 and shows in the format validity. The per-answer metrics are
those of :mod:`medgrpo.tasks` that training optimises; captions have a similarity (cosine of sentence
embeddings, negative ones 0) and, with a judge, its mean of 1 to 5, where an empty answer has the minimum
and a failed call stops the evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medgrpo.errors import UserError
from medgrpo.evaluation.strict_aggregates import AGGREGATES, Aggregate
from medgrpo.evaluation.strict_rows import CaptionScorer, ScoredRow
from medgrpo.tasks import TASKS, get_task
from medgrpo.types import Sample

__all__ = ["StrictResult", "score_samples"]


@dataclass(frozen=True, slots=True)
class StrictResult:
    """All strict scores of a set of samples.

    Attributes:
        board: The board's columns under strict definitions, pooled over rows; None if not computed.
        rows: One scored row a sample, in order.
        by_dataset: Dataset to task to its aggregates.
    """

    board: dict[str, float | None]
    rows: tuple[ScoredRow, ...]
    by_dataset: dict[str, dict[str, dict[str, float | int | None]]]


def score_samples(
    samples: Sequence[Sample], predictions: Sequence[str], caption_scorer: CaptionScorer | None = None
) -> StrictResult:
    """Score answers strictly.

    Args:
        samples: With ground truth.
        predictions: One answer a sample.
        caption_scorer: Scores of free-text answers, see ``CaptionScorer``; without it captions have a format
            validity only.

    Raises:
        UserError: If a sample has no ground truth.
    """
    captions = _captions(samples, predictions, caption_scorer)
    rows = []
    for i, (sample, text) in enumerate(zip(samples, predictions, strict=True)):
        task = get_task(sample.task)
        truth = task.truth(sample)
        if truth is None:
            raise UserError(f"row {sample.row} ({sample.id}): no ground truth; strict scoring needs answers")
        parsed = task.parse(text, sample)
        if task.metric is not None:
            rows.append(ScoredRow(sample, parsed, truth, task.score(parsed, sample), {}))
        else:
            extra = captions.get(i, {})
            rows.append(ScoredRow(sample, parsed, truth, extra.get("similarity"), extra))
    return StrictResult(_board(rows), tuple(rows), _by_dataset(rows))


def _captions(
    samples: Sequence[Sample], predictions: Sequence[str], scorer: CaptionScorer | None
) -> dict[int, Mapping[str, float]]:
    index = [i for i, sample in enumerate(samples) if get_task(sample.task).metric is None]
    if scorer is None or not index:
        return {}
    scores = scorer([samples[i] for i in index], [predictions[i] for i in index])
    return dict(zip(index, scores, strict=True))


def _by_dataset(rows: Sequence[ScoredRow]) -> dict[str, dict[str, dict[str, Any]]]:
    groups: dict[tuple[str, str], list[ScoredRow]] = {}
    for row in rows:
        groups.setdefault(row.sample.pair, []).append(row)
    table: dict[str, dict[str, dict[str, Any]]] = {}
    order = list(TASKS)
    for dataset, task in sorted(groups, key=lambda pair: (pair[0], order.index(pair[1]))):
        members = groups[dataset, task]
        entry: dict[str, Any] = {
            "n": len(members),
            "score": _mean([row.score for row in members]),
            "valid": sum(row.parsed.valid for row in members) / len(members),
            "parsed": sum(row.parsed.status != "failed" for row in members) / len(members),
        }
        table.setdefault(dataset, {})[task] = entry | AGGREGATES[task](members)
    return table


def _board(rows: Sequence[ScoredRow]) -> dict[str, float | None]:
    """Strict counterparts of the board's columns; DVC_llm has none yet and stays None."""

    def pooled(task: str, value: Callable[[Sequence[ScoredRow]], float | None]) -> float | None:
        members = [row for row in rows if row.sample.task == task]
        return value(members) if members else None

    def score(members: Sequence[ScoredRow]) -> float | None:
        return _mean([row.score for row in members])

    def aggregate(task: str, key: str) -> float | None:
        compute: Aggregate = AGGREGATES[task]
        return pooled(task, lambda members: compute(members)[key])

    return {
        "CVS_acc": pooled("cvs_assessment", score),
        "NAP_acc": pooled("next_action", score),
        "SA_acc": pooled("skill_assessment", score),
        "STG_mIoU": pooled("stg", score),
        "TAG_mIoU@0.3": aggregate("tal", "miou@0.3"),
        "TAG_mIoU@0.5": aggregate("tal", "miou@0.5"),
        "DVC_F1": pooled("dense_captioning", score),
        "DVC_llm": None,
        "VS_llm": aggregate("video_summary", "judge"),
        "RC_llm": aggregate("region_caption", "judge"),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    given = [v for v in values if v is not None]
    return sum(given) / len(given) if given and len(given) == len(values) else None

"""The strict protocol: definitions that abstaining, spraying and constants cannot game.

Every row counts. An unreadable answer scores 0 and shows in the format validity. The per-answer metrics are
those of :mod:`medgrpo.tasks` that training optimises; captions have a similarity (cosine of sentence
embeddings, negative ones 0) and, with a judge, its mean of 1 to 5, where an empty answer has the minimum
and a failed call stops the evaluation. What is reported over rows is each task's ``quantities``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medgrpo.errors import UserError
from medgrpo.evaluation.official.captions import CaptionJudge, Encoder
from medgrpo.evaluation.strict.captions import CaptionScorer, caption_scorer
from medgrpo.evaluation.strict.events import event_scores
from medgrpo.evaluation.strict.labels import rescued
from medgrpo.evaluation.strict.table import Table, by_dataset, by_task
from medgrpo.tasks import Parsed, get_task
from medgrpo.tasks.base import ScoredRow
from medgrpo.types import Sample

__all__ = ["CaptionScorer", "ScoredRow", "StrictResult", "caption_scorer", "score_samples"]


@dataclass(frozen=True, slots=True)
class StrictResult:
    """All strict scores of a set of samples.

    Attributes:
        board: The board's columns under strict definitions, pooled over rows; None if not computed.
        rows: One scored row a sample, in order.
        by_dataset: Dataset to task to what is reported, see :mod:`medgrpo.evaluation.strict.table`.
        by_task: Task to the same, pooled over datasets.
    """

    board: dict[str, float | None]
    rows: tuple[ScoredRow, ...]
    by_dataset: dict[str, dict[str, Table]]
    by_task: dict[str, Table]


def score_samples(
    samples: Sequence[Sample],
    predictions: Sequence[str],
    encoder: Encoder,
    judge: CaptionJudge | None = None,
    *,
    captions: CaptionScorer | None = None,
    truncated: Sequence[bool | None] | None = None,
) -> StrictResult:
    """Score answers strictly.

    Args:
        samples: With ground truth.
        predictions: One answer a sample.
        encoder: Sentence embeddings.
        judge: For captions and dense captions.
        captions: Replaces the scorer of free-text answers that ``encoder`` and ``judge`` make.
        truncated: Whether each answer ran into its length limit, None where nobody knows.

    Raises:
        UserError: If a sample has no ground truth, or the judge fails.
    """
    truths, parsed = [], []
    for sample, text in zip(samples, predictions, strict=True):
        task = get_task(sample.task)
        truth = task.truth(sample)
        if truth is None:
            raise UserError(f"row {sample.row} ({sample.id}): no ground truth; strict scoring needs answers")
        truths.append(truth)
        parsed.append(task.parse(text, sample))
    free = captions if captions is not None else caption_scorer(encoder, judge)
    extras = _extras(samples, predictions, truths, parsed, encoder, judge, free)
    rows = []
    for i, sample in enumerate(samples):
        task = get_task(sample.task)
        score = extras[i].get("similarity") if task.metric is None else task.score(parsed[i], sample)
        cut = truncated[i] if truncated is not None else None
        rows.append(ScoredRow(sample, parsed[i], truths[i], score, extras[i], cut))
    pooled = by_task(rows)
    return StrictResult(_board(pooled), tuple(rows), by_dataset(rows), pooled)


def _extras(
    samples: Sequence[Sample],
    texts: Sequence[str],
    truths: Sequence[Any],
    parsed: Sequence[Parsed],
    encoder: Encoder,
    judge: CaptionJudge | None,
    captions: CaptionScorer,
) -> list[Mapping[str, float]]:
    """What needs an encoder, a judge or a lexicon, for each row: scored in one batch a kind."""

    def rows_of(wanted: Callable[[Sample], bool]) -> list[int]:
        return [i for i, sample in enumerate(samples) if wanted(sample)]

    extras: list[Mapping[str, float]] = [{} for _ in samples]
    free = rows_of(lambda s: get_task(s.task).metric is None)
    timed = rows_of(lambda s: s.task == "dense_captioning")
    closed = rows_of(lambda s: s.task == "next_action")

    def pick(values: Sequence[Any], index: Sequence[int]) -> list[Any]:
        return [values[i] for i in index]

    found: list[tuple[list[int], Sequence[Mapping[str, float]]]] = []
    if free:
        found.append((free, captions(pick(samples, free), pick(texts, free))))
    if timed:
        asked, true, answered = pick(samples, timed), pick(truths, timed), pick(parsed, timed)
        found.append((timed, event_scores(asked, true, answered, judge)))
    if closed:
        found.append(
            (closed, rescued(pick(samples, closed), pick(texts, closed), pick(parsed, closed), encoder))
        )
    for index, scores in found:
        for i, entry in zip(index, scores, strict=True):
            extras[i] = entry
    return extras


def _board(tables: Mapping[str, Table]) -> dict[str, float | None]:
    """Strict counterparts of the board's columns."""

    def value(task: str, key: str = "score") -> float | None:
        return tables.get(task, {}).get(key)

    return {
        "CVS_acc": value("cvs_assessment"),
        "NAP_acc": value("next_action"),
        "SA_acc": value("skill_assessment"),
        "STG_mIoU": value("stg"),
        "TAG_mIoU@0.3": value("tal", "miou@0.3"),
        "TAG_mIoU@0.5": value("tal", "miou@0.5"),
        "DVC_F1": value("dense_captioning"),
        "DVC_llm": value("dense_captioning", "judge"),
        "VS_llm": value("video_summary", "judge"),
        "RC_llm": value("region_caption", "judge"),
    }

"""Scoring of predictions under two protocols.

``official`` reproduces the leaderboard's columns, quirks included; ``strict`` counts every row and cannot be
gamed by abstaining, spraying or constants. ``evaluate`` is the whole of it::

    from medgrpo.evaluation import evaluate

    scores = evaluate(records, predictions, protocol="strict")
    print(scores.board["STG_mIoU"], scores.by_dataset["CoPESD"]["stg"])
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from medgrpo.errors import UserError
from medgrpo.evaluation import official, strict
from medgrpo.evaluation.judging import as_caption_judge, judge_names
from medgrpo.evaluation.official import CaptionJudge, Encoder
from medgrpo.evaluation.rows import Prediction, Record, answers_of, as_sample, truncations_of
from medgrpo.evaluation.scores import RowNames, Scores, read_scores
from medgrpo.evaluation.strict import CaptionScorer, ScoredRow, caption_scorer
from medgrpo.tasks import TASKS

__all__ = ["PROTOCOLS", "CaptionScorer", "ScoredRow", "Scores", "caption_scorer", "evaluate", "read_scores"]

PROTOCOLS = ("official", "strict")


def evaluate(
    records: Sequence[Record],
    predictions: Sequence[Prediction],
    protocol: str = "official",
    judge: Any = None,
    *,
    encoder: Encoder | None = None,
    captions: CaptionScorer | None = None,
) -> Scores:
    """Score predictions.

    Args:
        records: Row dictionaries of a records file, or samples.
        predictions: Texts or ``{"id", "qa_type", "prediction"}`` dictionaries, one for each record, in order;
            a dictionary may say whether the answer was ``truncated``.
        protocol: ``official`` or ``strict``.
        judge: For the caption columns, which are None without one: an object with
            ``judge(requests) -> judgements``, or a function from caption pairs to scores by aspect. Failed
            calls are left out and counted as ``judge_failed`` under ``official``, as on the leaderboard.
        encoder: Sentence embeddings; by default the packaged all-MiniLM-L6-v2, loaded when first needed.
        captions: Strict only: replaces the scorer of free-text answers made of ``encoder`` and ``judge``.

    Raises:
        UserError: For predictions that do not fit the records, an unknown protocol, or (strict) a record
            without ground truth or a failed call of the judge.
    """
    if protocol not in PROTOCOLS:
        raise UserError(f"unknown protocol {protocol!r}; known are: {', '.join(PROTOCOLS)}")
    texts = answers_of(records, predictions)
    if encoder is None:
        from medgrpo.services.encoder import SentenceEncoder

        encoder = SentenceEncoder()
    caption_judge = as_caption_judge(judge)
    if protocol == "official":
        return _official(records, texts, encoder, caption_judge, judge_names(judge))
    samples = [as_sample(record, i) for i, record in enumerate(records)]
    result = strict.score_samples(
        samples, texts, encoder, caption_judge, captions=captions, truncated=truncations_of(predictions)
    )
    statuses = {
        task: Counter(r.parsed.status for r in result.rows if r.sample.task == task) for task in TASKS
    }
    by_task = {task: {"rows": sum(seen.values()), **seen} for task, seen in statuses.items() if seen}
    return Scores(
        protocol="strict",
        board=result.board,
        per_record=[row.score for row in result.rows],
        by_dataset=result.by_dataset,
        counts={"records": len(samples), "by_task": by_task, **judge_names(judge)},
        by_task=result.by_task,
        names=RowNames.of(samples, [row.parsed.status for row in result.rows]),
        judged=[row.extra.get("judge") for row in result.rows],
        rows=result.rows,
    )


def _official(
    records: Sequence[Record],
    texts: Sequence[str],
    encoder: Encoder,
    judge: CaptionJudge | None,
    judged_by: Mapping[str, str],
) -> Scores:
    rows = [official.official_row(r, t, i) for i, (r, t) in enumerate(zip(records, texts, strict=True))]
    result = official.score_rows(rows, encoder, judge)
    by_task: dict[str, dict[str, int]] = {}
    for row, value in zip(rows, result.per_record, strict=True):
        entry = by_task.setdefault(official.task_of(row.qa_type) or "unknown", {"rows": 0, "counted": 0})
        entry["rows"] += 1
        entry["counted"] += value is not None
    counts: dict[str, Any] = {"records": len(rows), "by_task": by_task}
    if judge is not None:
        counts |= {**judged_by, "judged": result.judged, "judge_failed": result.judge_failed}
    if result.lost:
        counts["lost_columns"] = result.lost
    return Scores(
        "official", result.board, result.per_record, result.by_source, counts, names=_names(records, rows)
    )


def _names(records: Sequence[Record], rows: Sequence[official.OfficialRow]) -> RowNames:
    """Names of the rows, as far as the leaderboard's lenient reading allows."""
    try:
        return RowNames.of([as_sample(record, i) for i, record in enumerate(records)])
    except UserError:
        blank = [""] * len(rows)
        tasks = [official.task_of(row.qa_type) or "" for row in rows]
        return RowNames([str(row.index) for row in rows], [row.source for row in rows], tasks, blank, blank)

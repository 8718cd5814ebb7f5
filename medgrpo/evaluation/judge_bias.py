"""What a judge's scores depend on beside the answer's worth: its length, and who wrote the reference.

And where a second opinion is due, because similarity says otherwise.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from medgrpo.evaluation.verdicts import answer_hash

__all__ = [
    "JudgedAnswer",
    "LengthBias",
    "WriterScores",
    "disagreements",
    "judged_answers",
    "length_bias",
    "writers",
]

Array = NDArray[np.float64]

DISAGREEMENT = 0.5
"""Difference of two ranks, as shares of the answers of a (dataset, task), from which on it is told."""


@dataclass(frozen=True, slots=True)
class JudgedAnswer:
    """A stored answer that a judge scored.

    Attributes:
        key: Run, step, group and index, which name it in the store.
        dataset: Source dataset.
        task: Canonical task.
        writer: Of the reference: ``gpt``, ``gemini`` or empty.
        video: Source video.
        words: Of the answer.
        judge: Mean score, 1 to 5.
        similarity: To the reference; NaN if it was not measured.
        scores: By dimension.
        model: Of the judge.
        rubric: Of the judge, id and version.
        content: :func:`~medgrpo.evaluation.verdicts.answer_hash` of what was judged.
    """

    key: tuple[str, int, str, int]
    dataset: str
    task: str
    writer: str
    video: str
    words: int
    judge: float
    similarity: float
    scores: Mapping[str, float]
    model: str
    rubric: str
    content: str


@dataclass(frozen=True, slots=True)
class LengthBias:
    """Whether longer answers score higher.

    Attributes:
        answers: Number of answers.
        correlation: Spearman's, of words and score.
        partial: The same among answers of equal similarity: what length earns by itself.
    """

    answers: int
    correlation: float
    partial: float


@dataclass(frozen=True, slots=True)
class WriterScores:
    """Answers whose references one model wrote.

    Attributes:
        writer: ``gpt``, ``gemini`` or empty.
        answers: Number of answers.
        judge: Mean score.
        similarity: Mean similarity, which does not know the writer.
    """

    writer: str
    answers: int
    judge: float
    similarity: float


def judged_answers(rows: Sequence[Mapping[str, Any]]) -> list[JudgedAnswer]:
    """The judged ones among rows of the rollout store."""
    found = []
    for row in rows:
        if row["judge"] is None:
            continue
        scores = {d["dimension"]: d["score"] for d in row["judge"]["dimensions"] if d["score"] is not None}
        if not scores or row["judge"]["status"] != "ok":
            continue
        raw = [part["raw"] for part in row["components"] if part["metric"].startswith("similarity:")]
        writer = row["qa_type"].rpartition("_")[2]
        found.append(
            JudgedAnswer(
                key=(row["run"], row["step"], row["group_id"], row["sample_index"]),
                dataset=row["dataset"],
                task=row["task"],
                writer=writer if writer in ("gpt", "gemini") else "",
                video=f"{row['dataset']}/{row['video_id']}",
                words=len(row["completion_text"].split()),
                judge=math.fsum(scores.values()) / len(scores),
                similarity=raw[0] if raw else math.nan,
                scores=scores,
                model=row["judge"]["model"],
                rubric=row["judge"]["rubric"],
                content=answer_hash(row["question"], row["reference_text"], row["completion_text"]),
            )
        )
    return found


def length_bias(answers: Sequence[JudgedAnswer]) -> dict[tuple[str, str], LengthBias]:
    """By (dataset, task): lengths of different tasks do not compare."""
    found = {}
    for pair, part in _by_pair(answers).items():
        words, judge, similarity = (
            np.array(values, dtype=np.float64)
            for values in zip(*((a.words, a.judge, a.similarity) for a in part), strict=True)
        )
        known = np.isfinite(similarity)
        partial = _partial(words[known], judge[known], similarity[known]) if known.any() else math.nan
        found[pair] = LengthBias(len(part), _correlation(rankdata(words), rankdata(judge)), partial)
    return found


def writers(answers: Sequence[JudgedAnswer]) -> dict[str, list[WriterScores]]:
    """By task: scores by who wrote the reference. A judge may favour the manner of its own family."""
    found: dict[str, list[WriterScores]] = {}
    for task in sorted({answer.task for answer in answers}):
        parts: dict[str, list[JudgedAnswer]] = defaultdict(list)
        for answer in answers:
            if answer.task == task:
                parts[answer.writer].append(answer)
        found[task] = [
            WriterScores(
                writer, len(part), _mean([a.judge for a in part]), _mean([a.similarity for a in part])
            )
            for writer, part in sorted(parts.items())
        ]
    return found


def disagreements(answers: Sequence[JudgedAnswer]) -> list[tuple[float, JudgedAnswer]]:
    """Answers that the judge ranks far from where similarity does, the farthest first.

    Ranks are shares of the answers of the same (dataset, task); positive where the judge is the kinder one.
    """
    found = []
    for part in _by_pair(answers).values():
        known = [answer for answer in part if math.isfinite(answer.similarity)]
        if len(known) < 2:
            continue
        judge = rankdata([answer.judge for answer in known]) / len(known)
        similarity = rankdata([answer.similarity for answer in known]) / len(known)
        found += [
            (float(gap), answer)
            for gap, answer in zip(judge - similarity, known, strict=True)
            if abs(gap) > DISAGREEMENT
        ]
    return sorted(found, key=lambda item: (-abs(item[0]), item[1].key))


def _by_pair(answers: Sequence[JudgedAnswer]) -> dict[tuple[str, str], list[JudgedAnswer]]:
    parts: dict[tuple[str, str], list[JudgedAnswer]] = defaultdict(list)
    for answer in answers:
        parts[answer.dataset, answer.task].append(answer)
    return dict(sorted(parts.items()))


def _correlation(a: Array, b: Array) -> float:
    if len(a) < 3 or not (np.ptp(a) and np.ptp(b)):
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])


def _partial(a: Array, b: Array, given: Array) -> float:
    """Spearman's partial correlation of two variables, a third held equal."""
    ranks = [rankdata(values) for values in (a, b, given)]
    ab, ag, bg = (_correlation(ranks[i], ranks[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    if math.isnan(ag) or math.isnan(bg):  # the third is the same everywhere
        return ab
    rest = (1.0 - ag**2) * (1.0 - bg**2)
    return (ab - ag * bg) / math.sqrt(rest) if rest > 1e-12 else math.nan


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return math.fsum(finite) / len(finite) if finite else math.nan

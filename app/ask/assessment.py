"""An answer against its reference: what was read from it, the task's own measure, and what a judge says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from medgrpo.errors import UserError
from medgrpo.rewards import JudgeReward, SimilarityReward
from medgrpo.tasks import Parsed, get_task
from medgrpo.types import Judgement, Sample

__all__ = ["Assessment", "Assessor"]


@dataclass(frozen=True, slots=True)
class Assessment:
    """What is known about an answer.

    Attributes:
        text: The answer.
        truncated: Whether it was cut off at the limit of its length.
        parsed: What the task's reader found in it.
        truth: The structure that it is compared with; None without a reference.
        metric: Name of the measure.
        score: Its value; NaN if there is nothing to compare with.
        judgement: Of the judge; None without a reference.
        problem: Why it could not be compared, in words; empty if it could.
    """

    text: str
    truncated: bool
    parsed: Parsed
    truth: Any = None
    metric: str = ""
    score: float = math.nan
    judgement: Judgement | None = None
    problem: str = ""


class Assessor:
    """Compares answers with references by the components that rewards are made of.

    Args:
        judge: Who judges; None is the offline lexicon judge.
    """

    def __init__(self, judge: Any = None) -> None:
        self._similarity = SimilarityReward({})
        self._judge = JudgeReward({}, judge)

    def assess(self, sample: Sample, text: str, truncated: bool) -> Assessment:
        """Compare an answer with the reference of its question, if there is one."""
        task = get_task(sample.task)
        parsed = task.parse(text, sample)
        truth = task.truth(sample)
        if truth is None:
            return Assessment(text, truncated, parsed)
        metric, score, judgement, problem = task.metric or "", math.nan, None, ""
        try:
            if task.metric is not None:
                score = task.score(parsed, sample)
            else:
                metric = "similarity"
                score = self._similarity.score([sample], [text], [parsed])[0].value
            if sample.answer is not None:
                judgement = self._judge.score([sample], [text], [parsed])[0].judgement
        except UserError as error:
            problem = str(error)
        return Assessment(text, truncated, parsed, truth, metric, score, judgement, problem)

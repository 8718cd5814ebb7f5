"""Skill assessment (``skill_assessment``): six OSATS-like aspects, each 1 to 5.

Question (paraphrased): persona and domain, "rate six aspects from 1 to 5". Answer, exactly, on one line::

    Respect for tissue: 2/5, Suture/needle handling: 1/5, Time and motion: 2/5, Flow of operation: 2/5,
    Overall performance: 2/5, Quality of final product: 1/5

Metric ``skill_exact@1``: the share of the six aspects that are exactly right; one that is missing or out
of range is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from medgrpo.tasks.base import ScoredRow
from medgrpo.tasks.grades import GradedTask
from medgrpo.tasks.quantities import Quantity, mean
from medgrpo.tasks.text import as_number, first_item
from medgrpo.types import Sample

__all__ = ["ASPECTS", "LEVELS", "SkillAssessment", "level_of"]

ASPECTS = (
    "Respect for tissue",
    "Suture/needle handling",
    "Time and motion",
    "Flow of operation",
    "Overall performance",
    "Quality of final product",
)
"""Names as published, in the order of answers."""

LEVELS = (1, 2, 3, 4, 5)
"""Ratings of an aspect."""

_PUBLISHED = re.compile(r"\s*" + ", ".join(rf"{re.escape(name)}: [1-5]/5" for name in ASPECTS) + r"\.?\s*")
_RATING = (
    r"(?:\s*[\"'*`:=]){0,6}\s*(?P<value>[+-]?[0-9]{1,4}(?![0-9])(?:\.[0-9]{1,6})?)"
    r"(?:\s*(?:/|out of)\s*(?P<base>[0-9]{1,4})(?![0-9]))?"
)
_FIND: Mapping[str, re.Pattern[str]] = {
    name: re.compile(rf"\b{form}" + _RATING, re.IGNORECASE)
    for name, form in zip(
        ASPECTS,
        (
            r"respect[ _]for[ _]tissues?",
            r"suture[ _]?(?:/|and|&|-)?[ _]?needle[ _]handling",
            r"time[ _](?:and|&)[ _]motion",
            r"flow[ _]of[ _](?:the[ _])?operation",
            r"overall[ _]performance",
            r"quality[ _]of[ _](?:the[ _])?final[ _]product",
        ),
        strict=True,
    )
}


class SkillAssessment(GradedTask):
    """SA; a structure is a dictionary from aspect to rating, without the aspects that are missing."""

    name: ClassVar[str] = "skill_assessment"
    qa_types: ClassVar[tuple[str, ...]] = ("skill_assessment",)
    forms: ClassVar[tuple[str, ...]] = (
        "Rate the six aspects of skill from 1 to 5.",
        "Assess the skill in six aspects, each from 1 to 5.",
    )
    names: ClassVar[tuple[str, ...]] = ASPECTS
    levels: ClassVar[tuple[int, ...]] = LEVELS
    patterns: ClassVar[Mapping[str, re.Pattern[str]]] = _FIND
    bases: ClassVar[tuple[str | None, ...]] = (None, "5")
    published: ClassVar[re.Pattern[str]] = _PUBLISHED
    illegal: ClassVar[str] = "not 1 to 5 of 5"
    metric: ClassVar[str | None] = "skill_exact@1"
    max_new_tokens: ClassVar[int] = 128

    def truth(self, sample: Sample) -> dict[str, int] | None:
        """``skill_scores`` (names read tolerantly), else the ratings of the answer's text."""
        item = first_item(sample.truth)
        scores = item.get("skill_scores") if isinstance(item, dict) else None
        if isinstance(scores, dict):
            listed = ", ".join(
                f"{k}: {int(v)}/5" for k, raw in scores.items() if (v := as_number(raw)) in LEVELS and v
            )
            found = self.parse(listed).value
            if found:
                return found
        return self.parse(sample.answer).value if sample.answer is not None else None

    def write(self, truth: Any) -> str:
        """``Respect for tissue: 2/5, ...``, the six aspects in their order."""
        return ", ".join(f"{name}: {truth[name]}/5" for name in ASPECTS)

    def quantities(self, rows: Sequence[ScoredRow]) -> list[Quantity]:
        """Agreement, and the share of right levels, see :func:`level_of`."""
        right = [bool(row.parsed.value) and level_of(row.parsed.value) == level_of(row.truth) for row in rows]
        return [*super().quantities(rows), mean("level_accuracy", right)]


def level_of(grades: Mapping[str, int]) -> str:
    """Novice to a mean rating of 2, intermediate to 3.5, else expert, as the leaderboard's scorer has it."""
    average = sum(grades.values()) / len(grades)
    return "novice" if average <= 2.0 else "intermediate" if average <= 3.5 else "expert"

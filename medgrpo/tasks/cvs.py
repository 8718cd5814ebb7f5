"""Critical view of safety (``cvs_assessment``): three Strasberg criteria, each 0, 1 or 2.

Question (paraphrased): persona and domain, "score the three criteria". Answer, exactly::

    Two structures: 1, Cystic plate: 0, Hepatocystic triangle: 1

Metric ``cvs_exact@1``: the share of the three criteria that are exactly right; one that is missing or out
of range is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from medgrpo.tasks.grades import GradedTask
from medgrpo.tasks.text import as_number, first_item
from medgrpo.types import Sample

__all__ = ["CRITERIA", "LEVELS", "CvsAssessment"]

CRITERIA: Mapping[str, str] = {
    "two_structures": "Two structures",
    "cystic_plate": "Cystic plate",
    "hepatocystic_triangle": "Hepatocystic triangle",
}
"""Field of ``cvs_scores`` to the name in answers, in the order of answers."""

LEVELS = (0, 1, 2)
"""Scores of a criterion."""

_PUBLISHED = re.compile(r"\s*Two structures: [0-2], Cystic plate: [0-2], Hepatocystic triangle: [0-2]\.?\s*")
_VALUE = r"(?:\s*[\"'*`:=]){0,6}\s*(?P<value>[+-]?[0-9]{1,4}(?![0-9])(?:\.[0-9]{1,6})?)"
_FIND = {
    "two_structures": re.compile(r"\btwo[ _]structures?" + _VALUE, re.IGNORECASE),
    "cystic_plate": re.compile(r"(?<!hepato)cystic[ _]plate" + _VALUE, re.IGNORECASE),
    "hepatocystic_triangle": re.compile(r"\bhepatocystic[ _]triangle" + _VALUE, re.IGNORECASE),
}


class CvsAssessment(GradedTask):
    """CVS; a structure is a dictionary from criterion to score, without the criteria that are missing."""

    name: ClassVar[str] = "cvs_assessment"
    qa_types: ClassVar[tuple[str, ...]] = ("cvs_assessment",)
    forms: ClassVar[tuple[str, ...]] = (
        "Score the three criteria of the critical view of safety from 0 to 2.",
        "Rate two structures, cystic plate and hepatocystic triangle from 0 to 2.",
    )
    names: ClassVar[tuple[str, ...]] = tuple(CRITERIA)
    levels: ClassVar[tuple[int, ...]] = LEVELS
    patterns: ClassVar[Mapping[str, re.Pattern[str]]] = _FIND
    published: ClassVar[re.Pattern[str]] = _PUBLISHED
    illegal: ClassVar[str] = "not 0, 1 or 2"
    metric: ClassVar[str | None] = "cvs_exact@1"
    max_new_tokens: ClassVar[int] = 64

    def truth(self, sample: Sample) -> dict[str, int] | None:
        """The three ``cvs_scores``, else those of the answer's text."""
        item = first_item(sample.truth)
        scores = item.get("cvs_scores") if isinstance(item, dict) else None
        if isinstance(scores, dict):
            found = {
                name: int(v)
                for name in CRITERIA
                if (v := as_number(scores.get(name))) in LEVELS and v is not None
            }
            if len(found) == len(CRITERIA):
                return found
        return self.parse(sample.answer).value if sample.answer is not None else None

    def write(self, truth: Any) -> str:
        """``Two structures: 1, Cystic plate: 0, Hepatocystic triangle: 1``."""
        return ", ".join(f"{shown}: {truth[name]}" for name, shown in CRITERIA.items())

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

from medgrpo.tasks.base import Parsed, Task
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


class CvsAssessment(Task):
    """CVS; a structure is a dictionary from criterion to score, without the criteria that are missing."""

    name: ClassVar[str] = "cvs_assessment"
    qa_types: ClassVar[tuple[str, ...]] = ("cvs_assessment",)
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

    def parse(self, text: str, sample: Sample | None = None) -> Parsed:
        """Criteria by name, whatever stands between them; the last of several mentions counts."""
        del sample
        value: dict[str, int] = {}
        notes = []
        for name, pattern in _FIND.items():
            given = [m["value"] for m in pattern.finditer(text)]
            legal = [int(v) for v in given if v.isdecimal() and int(v) in LEVELS]
            if len(legal) < len(given):
                notes.append(f"{name}: not 0, 1 or 2")
            if len(set(legal)) > 1:
                notes.append(f"{name}: given several times")
            if legal:
                value[name] = legal[-1]
            else:
                notes.append(f"{name} missing")
        if not value:
            return Parsed(None, "failed", tuple(notes))
        if not _PUBLISHED.fullmatch(text):
            notes.append("not the published form")
        return Parsed(value, "repaired" if notes else "ok", tuple(dict.fromkeys(notes)))

    def accuracy(self, value: Any, truth: Any, sample: Sample) -> float:
        """Share of exact criteria."""
        del sample
        return sum(value.get(name) == truth.get(name, -1) for name in CRITERIA) / len(CRITERIA)

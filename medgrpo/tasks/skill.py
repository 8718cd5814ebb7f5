"""Skill assessment (``skill_assessment``): six OSATS-like aspects, each 1 to 5.

Question (paraphrased): persona and domain, "rate six aspects from 1 to 5". Answer, exactly, on one line::

    Respect for tissue: 2/5, Suture/needle handling: 1/5, Time and motion: 2/5, Flow of operation: 2/5,
    Overall performance: 2/5, Quality of final product: 1/5

Metric ``skill_exact@1``: the share of the six aspects that are exactly right; one that is missing or out
of range is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from medgrpo.tasks.base import Parsed, Task
from medgrpo.tasks.text import as_number, first_item
from medgrpo.types import Sample

__all__ = ["ASPECTS", "LEVELS", "SkillAssessment"]

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


class SkillAssessment(Task):
    """SA; a structure is a dictionary from aspect to rating, without the aspects that are missing."""

    name: ClassVar[str] = "skill_assessment"
    qa_types: ClassVar[tuple[str, ...]] = ("skill_assessment",)
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

    def parse(self, text: str, sample: Sample | None = None) -> Parsed:
        """Aspects by name, whatever stands between them; the last of several mentions counts."""
        del sample
        value: dict[str, int] = {}
        notes = []
        for name, pattern in _FIND.items():
            given = [(m["value"], m["base"]) for m in pattern.finditer(text)]
            legal = [
                int(v) for v, base in given if v.isdecimal() and int(v) in LEVELS and base in (None, "5")
            ]
            if len(legal) < len(given):
                notes.append(f"{name}: not 1 to 5 of 5")
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
        """Share of exact aspects."""
        del sample
        return sum(value.get(name) == truth.get(name, 0) for name in ASPECTS) / len(ASPECTS)

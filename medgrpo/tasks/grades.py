"""Tasks that ask for several named grades at once: reading them, and agreement over many rows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from medgrpo.tasks import agreement
from medgrpo.tasks.base import Parsed, ScoredRow, Task
from medgrpo.tasks.quantities import Quantity, graded, mean
from medgrpo.types import Sample

__all__ = ["GradedTask"]

_MEASURES = {
    "macro_f1": agreement.macro_f1,
    "balanced_accuracy": agreement.balanced_accuracy,
    "quadratic_kappa": agreement.quadratic_kappa,
    "mae": agreement.mean_absolute_error,
    "majority": agreement.majority_rate,
}


class GradedTask(Task):
    """A structure is a dictionary from name to grade, without the names whose grade is missing.

    Attributes:
        names: As keys of the structure, in the order of answers.
        levels: Legal grades, rising by 1.
        patterns: Name to what finds its grade: a group ``value``, and a group ``base`` where a grade is
            written as a fraction.
        bases: Legal denominators; None is a grade without one.
        published: The exact form.
        illegal: Note on a grade outside ``levels``.
    """

    names: ClassVar[tuple[str, ...]]
    levels: ClassVar[tuple[int, ...]]
    patterns: ClassVar[Mapping[str, re.Pattern[str]]]
    bases: ClassVar[tuple[str | None, ...]] = (None,)
    published: ClassVar[re.Pattern[str]]
    illegal: ClassVar[str]

    def parse(self, text: str, sample: Sample | None = None) -> Parsed:
        """Grades by name, whatever stands between them; the last of several mentions counts."""
        del sample
        value: dict[str, int] = {}
        notes = []
        for name in self.names:
            found = [m.groupdict() for m in self.patterns[name].finditer(text)]
            legal = [int(g["value"]) for g in found if self._is_legal(g["value"], g.get("base"))]
            if len(legal) < len(found):
                notes.append(f"{name}: {self.illegal}")
            if len(set(legal)) > 1:
                notes.append(f"{name}: given several times")
            if legal:
                value[name] = legal[-1]
            else:
                notes.append(f"{name} missing")
        if not value:
            return Parsed(None, "failed", tuple(notes))
        if not self.published.fullmatch(text):
            notes.append("not the published form")
        return Parsed(value, "repaired" if notes else "ok", tuple(dict.fromkeys(notes)))

    def accuracy(self, value: Any, truth: Any, sample: Sample) -> float:
        """Share of exact grades; a missing one is wrong."""
        del sample
        return sum(n in truth and value.get(n) == truth[n] for n in self.names) / len(self.names)

    def quantities(self, rows: Sequence[ScoredRow]) -> list[Quantity]:
        """Agreement by name and averaged over the names, rows that are exact throughout, error of the total.

        ``majority`` is what the most frequent grade of each name would achieve. A missing grade is wrong, and
        as far off as a grade can be.
        """
        truth = [self._codes(row.truth) for row in rows]
        given = [self._codes(row.parsed.value or {}) for row in rows]
        size = len(self.levels)
        found = graded(_MEASURES, truth, given, size)
        pairs = [
            [(t, a) for t, a in zip(true, answered, strict=True) if t is not None]
            for true, answered in zip(truth, given, strict=True)
        ]
        found.append(mean("all_exact", [all(t == a for t, a in row) for row in pairs]))
        found.append(mean("total_mae", [_total_error(row, size) for row in pairs]))
        for k, name in enumerate(self.names):
            if any(codes[k] is not None for codes in truth):
                own = graded(_MEASURES, [[c[k]] for c in truth], [[c[k]] for c in given], size)
                found += [replace(q, name=f"{q.name}:{name}") for q in own]
        return found

    def _codes(self, grades: Mapping[str, int]) -> list[int | None]:
        """Grades from 0 in the order of the names."""
        return [grades[name] - self.levels[0] if name in grades else None for name in self.names]

    def _is_legal(self, value: str, base: str | None) -> bool:
        return value.isdecimal() and int(value) in self.levels and base in self.bases


def _total_error(pairs: Sequence[tuple[int, int | None]], size: int) -> float:
    """How far the sum of the grades is off; a missing grade adds the largest error that it could have."""
    read = sum(t - a for t, a in pairs if a is not None)
    return abs(read) + sum(max(t, size - 1 - t) for t, a in pairs if a is None)

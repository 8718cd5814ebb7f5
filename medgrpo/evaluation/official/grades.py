"""The averaging that CVS_acc and SA_acc share: only what was read counts, sources count alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from medgrpo.evaluation.official.rows import OfficialRow, TaskResult

__all__ = ["grade_columns"]


def grade_columns(rows: Sequence[OfficialRow], hits: Sequence[Mapping[str, bool]], column: str) -> TaskResult:
    """The unweighted mean over sources of the mean over grades of the accuracy where the grade was read.

    Args:
        rows: The rows.
        hits: For each row, grade name to whether it is exact; grades that were not read are absent.
        column: Name of the board column.
    """
    sources: dict[str, dict[str, list[bool]]] = {}
    for row, row_hits in zip(rows, hits, strict=True):
        grades = sources.setdefault(row.source, {})
        for name, hit in row_hits.items():
            grades.setdefault(name, []).append(hit)
    means = []
    for grades in sources.values():
        accuracies = [sum(values) / len(values) for values in grades.values()]
        means.append(sum(accuracies) / len(accuracies) if accuracies else 0.0)
    return TaskResult(
        per_record=[sum(h.values()) / len(h) if h else None for h in hits],
        columns={column: sum(means) / len(means) if means else None},
        extra={"parsed": [sorted(h) for h in hits]},
    )

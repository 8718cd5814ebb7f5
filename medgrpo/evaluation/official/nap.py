"""NAP_acc as the leaderboard computes it.

The answer is a class if it is exactly a label of the source's list, else the label whose sentence embedding
is nearest: any answer, even an empty one, becomes some class. Rows whose truth is not in the list are
excluded; the column is pooled over sources.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from medgrpo.evaluation.official.captions import Encoder
from medgrpo.evaluation.official.rows import OfficialRow, TaskResult
from medgrpo.tasks.next_action import inventory

__all__ = ["score"]

_LISTED = ("AVOS", "CholecT50", "CoPESD")


def score(rows: Sequence[OfficialRow], encoder: Encoder) -> TaskResult:
    """The column."""
    present: dict[str, set[str]] = {}
    for row in rows:
        if row.reference.strip():
            present.setdefault(row.source, set()).add(row.reference.strip())
    answers = [_renamed(row.prediction.strip(), row.source) for row in rows]
    cases = [(row, _labels(row, present), answer) for row, answer in zip(rows, answers, strict=True)]
    # One batch for all that has to be embedded; the encoder keeps it.
    unseen = {text for _, labels, answer in cases if answer not in labels for text in (*labels, answer)}
    if unseen:
        encoder.encode(sorted(unseen))
    values: list[float | None] = []
    for row, labels, answer in cases:
        truth = _renamed(row.reference.strip(), row.source)
        if truth not in labels:
            values.append(None)
            continue
        chosen = answer
        if chosen not in labels:
            chosen = labels[int(np.argmax(encoder.encode(labels) @ encoder.encode([answer])[0]))]
        values.append(float(chosen == truth))
    counted = [v for v in values if v is not None]
    column = sum(counted) / len(counted) if counted else 0.0
    return TaskResult(values, {"NAP_acc": column if rows else None})


def _renamed(label: str, source: str) -> str:
    legacy: Mapping[str, str] = inventory()["CoPESD_legacy_to_new"]
    return legacy.get(label, label) if source == "CoPESD" else label


def _labels(row: OfficialRow, present: Mapping[str, set[str]]) -> list[str]:
    """The classes of a row: those of its source, for NurViD of its procedure, else the truths in the file."""
    table = inventory()
    if row.source in _LISTED:
        return list(table[row.source])
    if row.source == "NurViD":
        procedures: Mapping[str, Sequence[str]] = table["NurViD_by_procedure_in_match_order"]
        lowered = row.question.lower()
        for name, labels in procedures.items():
            if name.lower() in lowered:
                return list(labels)
        return list(dict.fromkeys(label for labels in procedures.values() for label in labels))
    return sorted(present.get(row.source, ()))

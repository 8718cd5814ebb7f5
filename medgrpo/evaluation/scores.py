"""The result of an evaluation, as ``scores.json`` holds it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medgrpo.errors import UserError
from medgrpo.evaluation.uncertainty import video_of
from medgrpo.services.files import read_json, write_whole
from medgrpo.tasks.base import ScoredRow
from medgrpo.types import Sample

__all__ = ["RowNames", "Scores", "read_scores"]


@dataclass(frozen=True, slots=True)
class RowNames:
    """Which record each score belongs to, so that two score files can be compared row by row.

    Attributes:
        key: Of the sample.
        dataset: Source dataset.
        task: Canonical task.
        video: Source video under its one name.
        status: How the answer parsed; empty under the official protocol.
    """

    key: Sequence[str] = ()
    dataset: Sequence[str] = ()
    task: Sequence[str] = ()
    video: Sequence[str] = ()
    status: Sequence[str] = ()

    @classmethod
    def of(cls, samples: Sequence[Sample], status: Sequence[str] = ()) -> RowNames:
        """The names of samples."""
        return cls(
            [s.key for s in samples],
            [s.dataset for s in samples],
            [s.task for s in samples],
            [video_of(s) for s in samples],
            list(status) or [""] * len(samples),
        )


@dataclass(frozen=True, slots=True)
class Scores:
    """What :func:`medgrpo.evaluation.evaluate` returns.

    Attributes:
        protocol: ``official`` or ``strict``.
        board: The leaderboard's columns at full precision; None for one that was not computed.
        per_record: One value a record; None where the protocol has none. For TAG under ``official`` a
            dictionary by threshold.
        by_dataset: Official: dataset to its own board. Strict: dataset to task to its table.
        counts: Records, and rows by task; with a judge its id and rubric, and, under ``official``, how many
            pairs were ``judged`` and for how many of those the call failed (``judge_failed``).
        by_task: Strict: task to its table, pooled over datasets.
        names: Which record each score belongs to.
        judged: Strict: the judge's mean of each record; None where there is none.
        rows: The scored rows of the strict protocol; not written to files.
    """

    protocol: str
    board: Mapping[str, float | None]
    per_record: Sequence[Any]
    by_dataset: Mapping[str, Mapping[str, Any]]
    counts: Mapping[str, Any]
    by_task: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    names: RowNames = field(default_factory=RowNames)
    judged: Sequence[float | None] = ()
    rows: tuple[ScoredRow, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The content of ``scores.json``."""
        return {
            "protocol": self.protocol,
            "board": dict(self.board),
            "per_record": list(self.per_record),
            "by_dataset": {name: dict(table) for name, table in self.by_dataset.items()},
            "by_task": {name: dict(table) for name, table in self.by_task.items()},
            "counts": dict(self.counts),
            "rows": {name: list(getattr(self.names, name)) for name in RowNames.__slots__},
            "judged": list(self.judged),
        }

    def write(self, path: str | Path) -> None:
        """Write ``scores.json``.

        Raises:
            UserError: If it cannot be written.
        """
        write_whole(path, json.dumps(_without_nan(self.to_dict()), indent=1) + "\n")


def _without_nan(value: Any) -> Any:
    """NaN as the text "nan": JSON has no such number, and a board column can be one."""
    if isinstance(value, dict):
        return {name: _without_nan(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return "nan" if isinstance(value, float) and math.isnan(value) else value


def read_scores(path: str | Path) -> Scores:
    """Read ``scores.json``; the result has no ``rows``.

    Raises:
        UserError: If the file is missing, no JSON, or lacks a field.
    """
    content = read_json(path, "a scores file")
    try:
        return Scores(
            protocol=content["protocol"],
            board={name: math.nan if value == "nan" else value for name, value in content["board"].items()},
            per_record=content["per_record"],
            by_dataset=content["by_dataset"],
            counts=content["counts"],
            by_task=content.get("by_task", {}),
            names=RowNames(**content.get("rows", {})),
            judged=content.get("judged", ()),
        )
    except KeyError as error:
        raise UserError(f"{path}: not a scores file: field {error} is missing") from None
    except (TypeError, AttributeError):
        raise UserError(f"{path}: not a scores file: a field has another form") from None

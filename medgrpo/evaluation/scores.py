"""The result of an evaluation, as ``scores.json`` holds it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medgrpo.errors import UserError
from medgrpo.evaluation.strict_rows import ScoredRow

__all__ = ["Scores", "read_scores"]


@dataclass(frozen=True, slots=True)
class Scores:
    """What :func:`medgrpo.evaluation.evaluate` returns.

    Attributes:
        protocol: ``official`` or ``strict``.
        board: The leaderboard's columns at full precision; None for one that was not computed.
        per_record: One value a record; None where the protocol has none. For TAG under ``official`` a
            dictionary by threshold.
        by_dataset: Official: dataset to its own board. Strict: dataset to task to its aggregates.
        counts: Records, and rows by task.
        rows: The scored rows of the strict protocol, which paired comparisons need; not written to files.
    """

    protocol: str
    board: Mapping[str, float | None]
    per_record: Sequence[Any]
    by_dataset: Mapping[str, Mapping[str, Any]]
    counts: Mapping[str, Any]
    rows: tuple[ScoredRow, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The content of ``scores.json``."""
        return {
            "protocol": self.protocol,
            "board": dict(self.board),
            "per_record": list(self.per_record),
            "by_dataset": {name: dict(table) for name, table in self.by_dataset.items()},
            "counts": dict(self.counts),
        }

    def write(self, path: str | Path) -> None:
        """Write ``scores.json``."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")


def read_scores(path: str | Path) -> Scores:
    """Read ``scores.json``; the result has no ``rows``.

    Raises:
        UserError: If the file is missing, no JSON, or lacks a field.
    """
    try:
        content = json.loads(Path(path).read_text("utf-8"))
        fields = {name: content[name] for name in ("protocol", "board", "per_record", "by_dataset", "counts")}
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON: {error}") from None
    except (KeyError, TypeError) as error:
        raise UserError(f"{path}: not a scores file: field {error} is missing") from None
    return Scores(**fields)

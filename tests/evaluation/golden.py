"""The cases that were computed with the leaderboard's own scorer, and its deterministic stub judge."""

from __future__ import annotations

import functools
import gzip
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medgrpo.evaluation.official import CaptionPair
from medgrpo.services.encoder import SentenceEncoder

__all__ = ["TOLERANCE", "close", "encoder", "golden", "stub_judge"]

TOLERANCE = 1e-6
_WEIGHTS = {"R2": (1, 2), "R3": (3, 1), "R8": (2, 5), "R5": (4, 3), "R4": (5, 7)}


@functools.cache
def golden() -> dict[str, Any]:
    """All cases."""
    path = Path(__file__).parents[1] / "data" / "golden" / "scorer_cases.json.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return json.load(file)


@functools.cache
def encoder() -> SentenceEncoder:
    """The packaged all-MiniLM-L6-v2, loaded once."""
    return SentenceEncoder()


def stub_judge(pairs: Sequence[CaptionPair]) -> list[dict[str, float] | None]:
    """The stub judge of the golden file's header."""
    return [
        None
        if "<<FAIL>>" in p.candidate
        else {k: 1.0 + (len(p.candidate) * w + len(p.reference) * v) % 5 for k, (w, v) in _WEIGHTS.items()}
        for p in pairs
    ]


def close(value: float | None, expected: Any) -> bool:
    """Equality within the tolerance, where null is None and the string "nan" is NaN."""
    if expected == "nan":
        return value is not None and math.isnan(value)
    if value is None or expected is None:
        return value is None and expected is None
    return abs(value - expected) <= TOLERANCE

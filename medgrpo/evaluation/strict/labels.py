"""What the leaderboard's rescue of unlisted labels is worth: reported apart, not part of the score."""

from __future__ import annotations

from collections.abc import Sequence

from medgrpo.evaluation.official import nap
from medgrpo.evaluation.official.captions import Encoder
from medgrpo.evaluation.official.rows import official_row
from medgrpo.tasks import Parsed, get_task
from medgrpo.types import Sample

__all__ = ["rescued"]


def rescued(
    samples: Sequence[Sample], texts: Sequence[str], parsed: Sequence[Parsed], encoder: Encoder
) -> list[dict[str, float]]:
    """``with_rescue``: 1 where the answer is right, or the label of nearest embedding is.

    Rows whose truth is not in the leaderboard's list, which it leaves out, keep their strict score.
    """
    rows = [
        official_row(sample, text, i) for i, (sample, text) in enumerate(zip(samples, texts, strict=True))
    ]
    nearest = nap.score(rows, encoder).per_record
    return [
        {"with_rescue": max(get_task(sample.task).score(answer, sample), float(value or 0.0))}
        for sample, answer, value in zip(samples, parsed, nearest, strict=True)
    ]

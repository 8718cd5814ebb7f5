"""What verification found, in numbers: by source and task, each check by itself."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from medgrpo.data.build.items import Draft
from medgrpo.data.build.verify.findings import CHECKS, Finding
from medgrpo.data.build.verify.similarity import Histogram
from medgrpo.types import PairKey

__all__ = ["VerificationReport"]


class VerificationReport:
    """Counts of one verification.

    A question may fail several checks: ``found`` counts it under each, ``rejected`` under the one that it is
    put down to, so that ``questions`` is the sum of ``kept`` and of ``rejected`` over the checks.

    Args:
        settings: What was compared with what: id of the encoder, threshold, version of the terms.

    Attributes:
        settings: As given.
        histograms: Similarities by source, and by task within it, of all pairs that were compared.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = dict(settings)
        self.histograms: dict[PairKey, Histogram] = {}
        self._counts: dict[PairKey, Counter[str]] = defaultdict(Counter)

    def question(self, draft: Draft, findings: tuple[Finding, ...], rejected: str | None) -> None:
        """Count a question: what was found, and what it was rejected for, if it was."""
        counts = self._counts[draft.clip.source, draft.task]
        counts["questions"] += 1
        counts["kept" if rejected is None else f"rejected:{rejected}"] += 1
        counts.update(f"found:{check}" for check in {finding.check for finding in findings})

    def texts(self, draft: Draft, kept: int, dropped: int, unchecked: int) -> None:
        """Count written texts: kept, dropped, and those whose words nothing annotated speaks about."""
        counts = self._counts[draft.clip.source, draft.task]
        for name, number in (
            ("texts_kept", kept),
            ("texts_dropped", dropped),
            ("terms_unchecked", unchecked),
        ):
            counts[name] += number

    def similarity(self, draft: Draft, value: float) -> None:
        """Count the similarity of two texts."""
        self.histograms.setdefault((draft.clip.source, draft.task), Histogram.empty()).add(value)

    def counts(self, source: str | None = None, task: str | None = None) -> Counter[str]:
        """Counts of one source, one task, one of each, or all."""
        found: Counter[str] = Counter()
        for (own_source, own_task), counts in self._counts.items():
            if source in (None, own_source) and task in (None, own_task):
                found.update(counts)
        return found

    def table(self) -> dict[str, Any]:
        """Ready for JSON, in sorted order."""
        sources = sorted({source for source, _ in self._counts})
        pairs = sorted(self._counts)
        return {
            **self.settings,
            "total": _row(self.counts()),
            "by_source": {source: _row(self.counts(source)) for source in sources},
            "by_source_and_task": {
                source: {task: _row(self.counts(source, task)) for own, task in pairs if own == source}
                for source in sources
            },
            "similarity": {
                source: {
                    task: histogram.table()
                    for (own, task), histogram in sorted(self.histograms.items())
                    if own == source
                }
                for source in sorted({source for source, _ in self.histograms})
            },
        }


def _row(counts: Counter[str]) -> dict[str, Any]:
    return {
        "questions": counts["questions"],
        "kept": counts["kept"],
        "rejected": {check: counts[f"rejected:{check}"] for check in CHECKS if counts[f"rejected:{check}"]},
        "found": {check: counts[f"found:{check}"] for check in CHECKS if counts[f"found:{check}"]},
        "texts_kept": counts["texts_kept"],
        "texts_dropped": counts["texts_dropped"],
        "terms_unchecked": counts["terms_unchecked"],
    }

"""What the records of a build are like: answer lengths, clip durations, frame rates, as the paper shows them.

Everything is counted in whole words, whole seconds and rates of two digits, so that memory does not grow with
the number of records.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from medgrpo.data.build.items import Draft

__all__ = ["PAPER", "Distribution", "Statistics", "rate_shares"]

PAPER: Mapping[str, Any] = {
    "answer_words": {"least": 1, "most": 1170, "share_up_to_5": 0.281, "share_over_20": 0.518},
    "clip_seconds": {"least": 20, "most": 1800, "bulk_below": 375},
    "rates": {"0.5": 0.633, "1": 0.22, "2": 0.075},
}
"""What the paper's project page says of its corpus, to compare with."""

RATE_EDGES = (0.15, 0.35, 0.75, 1.5, 2.5)
"""Borders between bins of rates: about 0.1, 0.2, 0.5, 1, 2 and 3 frames a second."""

RATE_NAMES = ("0.1", "0.2", "0.5", "1", "2", "3")


@dataclass
class Distribution:
    """Counts of a number.

    Attributes:
        counts: Value to how often.
    """

    counts: Counter[float] = field(default_factory=Counter)

    @property
    def n(self) -> int:
        """How many values."""
        return self.counts.total()

    def quantile(self, share: float) -> float:
        """The smallest value that at least a share of all does not exceed; NaN without values."""
        seen = 0
        for value in sorted(self.counts):
            seen += self.counts[value]
            if seen >= share * self.n - 1e-9:
                return value
        return float("nan")

    def share(self, above: float) -> float:
        """Share of the values above one; 0 without values."""
        return sum(count for value, count in self.counts.items() if value > above) / self.n if self.n else 0.0

    def table(self) -> dict[str, Any]:
        """Count, mean and quantiles, ready for JSON; only the count if there is none."""
        if not self.n:
            return {"n": 0}
        total = sum(value * count for value, count in sorted(self.counts.items()))
        quantiles = {f"p{round(100 * q)}": self.quantile(q) for q in (0.05, 0.25, 0.5, 0.75, 0.95)}
        ends = {"least": min(self.counts), "most": max(self.counts)}
        return {"n": self.n, "mean": round(total / self.n, 4), **ends, **quantiles}


class Statistics:
    """Of records, by split, source, task and level.

    Attributes:
        rows: (split, source, task, level) to the number of records.
        words: (source, task) to words of answers.
        seconds: (source, task) to durations of clips, in whole seconds.
        rates: (source, task) to frames a second of frame lists, to two digits.
    """

    def __init__(self) -> None:
        self.rows: Counter[tuple[str, str, str, str]] = Counter()
        self.words: dict[tuple[str, str], Distribution] = defaultdict(Distribution)
        self.seconds: dict[tuple[str, str], Distribution] = defaultdict(Distribution)
        self.rates: dict[tuple[str, str], Distribution] = defaultdict(Distribution)

    def add(self, split: str, draft: Draft, answer: str) -> None:
        """Count a record: a question in its split with one of its answers."""
        source, task, seconds, fps = draft.clip.source, draft.task, draft.clip.duration, draft.clip.fps
        self.rows[split, source, task, draft.level] += 1
        self.words[source, task].counts[len(answer.split())] += 1
        self.seconds[source, task].counts[round(seconds)] += 1
        self.rates[source, task].counts[float(f"{fps:.2g}")] += 1

    def all_words(self, task: str | None = None) -> Distribution:
        """Words of the answers of all sources, of one task or of all."""
        return _merged(self.words, task)

    def all_seconds(self) -> Distribution:
        """Durations of the clips of all records."""
        return _merged(self.seconds)

    def all_rates(self) -> Distribution:
        """Rates of the frame lists of all records."""
        return _merged(self.rates)

    def counts(self) -> dict[str, Any]:
        """Records by split, source, task and level, nested and sorted."""
        found: dict[str, Any] = {}
        for (split, source, task, level), count in sorted(self.rows.items()):
            found.setdefault(split, {}).setdefault(source, {}).setdefault(task, {})[level] = count
        return found

    def table(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        words, rates = self.all_words(), self.all_rates()
        shares = {"share_up_to_5": round(1.0 - words.share(5), 4) if words.n else 0.0}
        shares["share_over_20"] = round(words.share(20), 4)
        tasks = sorted({task for _, task in self.words})
        return {
            "records": self.counts(),
            "answer_words": words.table() | shares,
            "answer_words_by_task": {task: self.all_words(task).table() for task in tasks},
            "clip_seconds": self.all_seconds().table(),
            "clip_seconds_by_source": {
                source: _merged({own: d for own, d in self.seconds.items() if own[0] == source}).table()
                for source in sorted({source for source, _ in self.seconds})
            },
            "rates": {name: round(share, 4) for name, share in rate_shares(rates).items()},
            "paper": PAPER,
        }


def rate_shares(rates: Distribution) -> dict[str, float]:
    """Share of each bin of rates; 0 each without a value."""
    found = dict.fromkeys(RATE_NAMES, 0.0)
    for value, count in rates.counts.items():
        found[RATE_NAMES[sum(value > edge for edge in RATE_EDGES)]] += count / rates.n
    return found


def _merged(parts: Mapping[tuple[str, str], Distribution], task: str | None = None) -> Distribution:
    total: Counter[float] = Counter()
    for (_, own), part in sorted(parts.items()):
        if task in (None, own):
            total.update(part.counts)
    return Distribution(total)

"""Texts of training questions that nearly repeat one of a held-out split: they would leak it.

Compared are the written texts of one source and task. Clips of one video are always in one split, where they
may say alike; across splits nothing may. Short texts are left out: "the grasper retracts the gallbladder" is
true of many clips and tells nothing of any.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from hashlib import blake2b

import numpy as np

from medgrpo.data.build.items import WrittenText
from medgrpo.data.build.verify.findings import Finding, KeptClip, KeptPair
from medgrpo.data.build.verify.near_duplicates import DuplicateIndex, Sketches, sketch
from medgrpo.data.build.verify.similarity import parts_of
from medgrpo.types import PairKey

__all__ = ["SHORTEST", "THRESHOLD", "HeldOutTexts", "Repeats"]

THRESHOLD = 0.8
"""Jaccard index of runs of three words from which on texts are near-duplicates."""

SHORTEST = 12
"""Words of the shortest text that is compared."""


class HeldOutTexts:
    """The texts of held-out videos, as sketches.

    Args:
        clips: All clips; read once.
        videos: Canonical ids of the held-out videos.
        threshold: See :class:`DuplicateIndex`.

    Raises:
        ValueError: If the threshold is outside (0, 1].
    """

    def __init__(
        self, clips: Iterable[KeptClip], videos: Collection[str], threshold: float = THRESHOLD
    ) -> None:
        sketches: dict[PairKey, Sketches] = {}
        self._owners: dict[PairKey, list[str]] = {}
        for clip in clips:
            if clip.clip.canonical_id not in videos:
                continue
            for pair in clip.pairs:
                for name, written in pair.texts.items():
                    members = _compared(pair, written)
                    if members is not None:
                        own = (clip.clip.source, pair.draft.task)
                        sketches.setdefault(own, Sketches()).add(members)
                        self._owners.setdefault(own, []).append(f"{pair.draft.key} ({name})")
        self._indices = {own: DuplicateIndex(some, threshold) for own, some in sketches.items()}

    def findings(self, pair: KeptPair) -> tuple[Finding, ...]:
        """Which texts of a training question nearly repeat a held-out one."""
        own = (pair.draft.clip.source, pair.draft.task)
        index = self._indices.get(own)
        found = []
        for name, written in pair.texts.items() if index else ():
            members = _compared(pair, written)
            match = None if members is None or index is None else index.match(members)
            if match is not None:
                number, alike = match
                told = f"nearly the text of held-out question {self._owners[own][number]}"
                found.append(Finding("near_duplicate", told, name, {"jaccard": round(alike, 4)}))
        return tuple(found)


class Repeats:
    """Counts texts that another clip of the same source, task and split has word for word; they stay."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self._seen: dict[tuple[str, str, str], set[int]] = {}

    def add(self, split: str, pair: KeptPair) -> None:
        """Look at the texts of a question."""
        own = (split, pair.draft.clip.source, pair.draft.task)
        seen = self._seen.setdefault(own, set())
        for written in pair.texts.values():
            members = _compared(pair, written)
            if members is not None:
                mark = _mark(members)
                self.counts[own] += mark in seen
                seen.add(mark)

    def table(self) -> Mapping[str, int]:
        """``split/source/task`` to the number of texts, ready for JSON."""
        return {"/".join(own): count for own, count in sorted(self.counts.items()) if count}


def _compared(pair: KeptPair, written: WrittenText) -> np.ndarray | None:
    """The sketch of a text; None of one that is too short to be told from others."""
    text = "\n".join(parts_of(pair.draft, written))
    return sketch(text) if len(text.split()) >= SHORTEST else None


def _mark(members: np.ndarray) -> int:
    """64 bits of a set."""
    return int.from_bytes(blake2b(members.tobytes(), digest_size=8).digest(), "big")

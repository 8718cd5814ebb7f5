"""Texts of which nearly the same stands in another split: found exactly, by the words they share.

A text is kept as the hashes of its runs of three words, not as words. Two texts are near-duplicates if the
Jaccard index of their sets reaches a threshold. A set can reach it with another only if both hold one of
their rarest members: only those are looked up (prefix filtering), so that no pair is missed and few are
compared.
"""

from __future__ import annotations

import hashlib
import math
import re
from array import array
from collections.abc import Iterator

import numpy as np

__all__ = ["DuplicateIndex", "Sketches", "sketch"]

RUN = 3
"""Words in a row that make a member of a set."""

_WORD = re.compile(r"[a-z0-9]+")
_BUCKETS = 1 << 20
_BLOCK = 512  # sets that are compared at a time


def sketch(text: str) -> np.ndarray:
    """The set of a text: sorted uint64 ``[N]``, each member once.

    Words are taken without case and punctuation, numbers as they are; of a text of fewer words than a run,
    all of it is the only member.
    """
    words = _WORD.findall(text.lower())
    runs = {" ".join(words[k : k + RUN]) for k in range(max(1, len(words) - RUN + 1))} if words else set()
    hashes = [int.from_bytes(hashlib.blake2b(run.encode(), digest_size=8).digest(), "big") for run in runs]
    return np.array(sorted(hashes), dtype=np.uint64)


class Sketches:
    """Sets in the order in which they were added, in two flat arrays."""

    def __init__(self) -> None:
        self._members = array("Q")
        self._ends = array("q", [0])

    def add(self, members: np.ndarray) -> int:
        """Keep a set; its number, from 0."""
        self._members.frombytes(members.astype(np.uint64).tobytes())
        self._ends.append(len(self._members))
        return len(self) - 1

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, number: int) -> np.ndarray:
        if not 0 <= number < len(self):
            raise IndexError(number)
        return self.members[self._ends[number] : self._ends[number + 1]]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[number] for number in range(len(self)))

    @property
    def members(self) -> np.ndarray:
        """Of all sets, one after the other."""
        return np.frombuffer(self._members, dtype=np.uint64) if self._members else np.empty(0, np.uint64)

    @property
    def starts(self) -> np.ndarray:
        """Where each set begins in :attr:`members`, int64 ``[N]``."""
        return np.array(self._ends[:-1], dtype=np.int64)


class DuplicateIndex:
    """Finds the near-duplicates of a text among many.

    Args:
        sketches: The many; not added to afterwards.
        threshold: Jaccard index from which on two texts are near-duplicates, in (0, 1].

    Raises:
        ValueError: If the threshold is outside.
    """

    def __init__(self, sketches: Sketches, threshold: float) -> None:
        if not 0.0 < threshold <= 1.0:
            raise ValueError(f"a threshold of near-duplicates is in (0, 1], got {threshold}")
        self.sketches = sketches
        self.threshold = threshold
        # How common a member is decides only how fast a search is, so that buckets may collide.
        buckets = (sketches.members % np.uint64(_BUCKETS)).astype(np.int64)
        self._common = np.bincount(buckets, minlength=_BUCKETS).astype(np.int32)
        self._starts = sketches.starts
        self._sizes = np.diff(np.append(self._starts, len(sketches.members)))
        keys, owners = array("Q"), array("i")
        for number, members in enumerate(sketches):
            rarest = self._rarest(members)
            keys.frombytes(rarest.tobytes())
            owners.extend([number] * len(rarest))
        key = np.frombuffer(keys, dtype=np.uint64) if keys else np.empty(0, np.uint64)
        order = np.argsort(key, kind="stable")
        self._keys = key[order]
        self._owners = np.array(owners, dtype=np.int32)[order]

    def match(self, members: np.ndarray) -> tuple[int, float] | None:
        """The first of the many that a set nearly equals, and their Jaccard index; None if it equals none."""
        if not len(members):
            return None
        rarest = self._rarest(members)
        starts = np.searchsorted(self._keys, rarest, side="left")
        ends = np.searchsorted(self._keys, rarest, side="right")
        found = [self._owners[a:b] for a, b in zip(starts, ends, strict=True) if b > a]
        if not found:
            return None
        candidates = np.unique(np.concatenate(found))
        sizes = self._sizes[candidates]
        near = np.minimum(sizes, len(members)) >= self.threshold * np.maximum(sizes, len(members)) - 1e-9
        candidates = candidates[near]
        for start in range(0, len(candidates), _BLOCK):
            block = candidates[start : start + _BLOCK]
            alike = self._jaccard(members, block)
            if hits := np.flatnonzero(alike >= self.threshold - 1e-12).tolist():
                return int(block[hits[0]]), float(alike[hits[0]])
        return None

    def _jaccard(self, members: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Jaccard index of a set with some of the many, all in one go, float64 ``[N]``."""
        sizes = self._sizes[numbers]
        firsts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        # The places of all members of these sets in the flat array of all.
        places = np.arange(sizes.sum()) - np.repeat(firsts - self._starts[numbers], sizes)
        others = self.sketches.members[places]
        at = np.minimum(np.searchsorted(members, others), len(members) - 1)
        shared = np.add.reduceat((members[at] == others).astype(np.int64), firsts)
        return shared / (len(members) + sizes - shared)

    def _rarest(self, members: np.ndarray) -> np.ndarray:
        """The members of which one must be shared: all but as many as may differ, rarest first."""
        needed = len(members) - math.ceil(self.threshold * len(members) - 1e-9) + 1
        common = self._common[(members % np.uint64(_BUCKETS)).astype(np.int64)]
        return members[np.lexsort((members, common))][:needed]

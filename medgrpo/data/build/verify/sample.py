"""A sample of what was kept, drawn by hash: even over sources and tasks, the same whatever the order."""

from __future__ import annotations

import hashlib
import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator

from medgrpo.data.build.items import ClipPictures
from medgrpo.data.build.verify.candidates import ClipFacts
from medgrpo.data.build.verify.findings import KeptClip, KeptPair
from medgrpo.types import PairKey

__all__ = ["Sampled", "draw", "find"]

Sampled = tuple[KeptPair, ClipPictures, ClipFacts]
"""A question with its texts, the frames of its clip, and what is known of it."""


def draw(clips: Iterable[KeptClip], size: int, seed: int) -> list[str]:
    """Draw questions with written texts: sources and tasks take turns, each in the order of a hash.

    Args:
        clips: Read once; of each source and task at most ``size`` keys are held.
        size: Questions to draw; fewer if there are not so many.
        seed: Another seed, another sample.

    Returns:
        Keys of the drafts, sorted.
    """
    strata: dict[PairKey, list[tuple[int, str]]] = defaultdict(list)
    for clip in clips:
        for pair in clip.pairs:
            if not pair.texts or size < 1:
                continue
            held = strata[pair.draft.clip.source, pair.draft.task]
            entry = (-_lot(seed, pair.draft.key), pair.draft.key)  # the heap's least is the largest lot
            if len(held) < size:
                heapq.heappush(held, entry)
            else:
                heapq.heappushpop(held, entry)
    waiting = [sorted(held) for _, held in sorted(strata.items())]  # smallest lots last, to be taken first
    chosen: list[str] = []
    while waiting and len(chosen) < size:
        chosen += [held.pop()[1] for held in waiting][: size - len(chosen)]
        waiting = [held for held in waiting if held]
    return sorted(chosen)


def find(clips: Iterable[KeptClip], keys: Iterable[str]) -> Iterator[Sampled]:
    """The questions of some keys, in the order of the clips."""
    wanted = frozenset(keys)
    for clip in clips:
        for pair in clip.pairs:
            if pair.draft.key in wanted:
                yield pair, clip.pictures, clip.facts


def _lot(seed: int, key: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}|{key}".encode()).digest()[:8], "big")

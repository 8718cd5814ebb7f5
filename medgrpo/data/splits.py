"""Which split a source video belongs to: whole videos, so that no clip of one is in two splits.

The same operation may appear under several names (Cholec videos are shared by three sources, long recordings
are cut into parts): :func:`canonical_video_id` brings them together, and everything that splits, resamples or
clusters by video uses it. Every dataset and task gets its share of the videos of each split.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Collection, Mapping, Sequence

from medgrpo.errors import UserError
from medgrpo.types import PairKey

__all__ = [
    "DEFAULT_FRACTIONS",
    "Stratum",
    "assign_splits",
    "canonical_video_id",
    "split_rows",
    "stratum_of",
]

Stratum = tuple[PairKey, ...]
"""(dataset, task) pairs that ask about a video, sorted."""

DEFAULT_FRACTIONS: Mapping[str, float] = {"train": 0.85, "val": 0.15}
"""The paper's shares."""

CHOLEC = frozenset({"CholecT50", "CholecTrack20", "Cholec80_CVS", "Cholec80", "CholecSeg8k"})
"""Sources whose numbers name the same operations."""

_CHOLEC_ID = re.compile(r"(?:vid(?:eo)?)?[\s_-]*0*(\d+)(?!\d)", re.IGNORECASE)
_RECORDING = {
    "CoPESD": re.compile(r"^(.+?)_part\d+", re.IGNORECASE),
    "EgoSurgery": re.compile(r"^(\d+)_\d+"),
    "JIGSAWS": re.compile(r"^(.+?)_capture\d+", re.IGNORECASE),
}
"""What of a part's name is the recording it was cut from (JIGSAWS: the trial that two cameras saw)."""


def canonical_video_id(video_id: str, dataset: str) -> str:
    """One name for one operation.

    Args:
        video_id: As in the record, e.g. ``VID01``, ``video01`` or ``12_part3``.
        dataset: Source.

    Returns:
        For example ``cholec:1`` or ``copesd:12``.
    """
    name = video_id.strip()
    if dataset in CHOLEC:
        match = _CHOLEC_ID.match(name)
        return f"cholec:{int(match[1])}" if match else f"cholec:{name.lower()}"
    pattern = _RECORDING.get(dataset)
    match = pattern.match(name) if pattern else None
    return f"{dataset.lower()}:{match[1] if match else name}"


def stratum_of(pairs: Collection[PairKey]) -> Stratum:
    """What must be shared out evenly together: the datasets and tasks that ask about a video."""
    return tuple(sorted(set(pairs)))


def assign_splits(
    videos: Mapping[str, Stratum],
    seed: int = 0,
    fractions: Mapping[str, float] = DEFAULT_FRACTIONS,
    keep: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Give every video a split: stratified, and the same whatever the order of the videos.

    Within a stratum the videos are ordered by a hash of seed and name, and each split takes a run of that
    order, of the length that its share asks for; what rounding leaves goes on to the next stratum of the same
    source. Without ``keep``, a new video moves at most one other across each border between two splits of a
    stratum; with it, none.

    Args:
        videos: Canonical name of each video to its stratum.
        seed: Another seed gives another, independent split.
        fractions: Share of each split, in order, summing to 1.
        keep: Videos whose split is settled, such as those of an earlier, smaller corpus.

    Returns:
        Canonical name to split, in the order of the names.

    Raises:
        UserError: If the shares are negative or do not sum to 1, or ``keep`` names another split.
    """
    _check_fractions(fractions)
    settled = {name: split for name, split in (keep or {}).items() if name in videos}
    if unknown := sorted(set(settled.values()) - set(fractions)):
        raise UserError(f"an earlier split is called {unknown[0]!r}; known are: {', '.join(fractions)}")
    families: dict[str, dict[Stratum, list[str]]] = {}
    for name in sorted(videos):
        families.setdefault(name.partition(":")[0], {}).setdefault(videos[name], []).append(name)
    found: dict[str, str] = {}
    for strata in families.values():
        owed = dict.fromkeys(fractions, 0.0)
        for members in (strata[stratum] for stratum in sorted(strata, key=lambda s: (-len(strata[s]), s))):
            owed = {split: owed[split] + share * len(members) for split, share in fractions.items()}
            for name in members:
                if name in settled:
                    found[name] = settled[name]
                    owed[settled[name]] -= 1.0
            new = sorted((n for n in members if n not in settled), key=lambda n: (_draw(seed, n), n))
            start = 0
            for split, count in _apportioned(owed, len(new)).items():
                found.update(dict.fromkeys(new[start : start + count], split))
                owed[split] -= count
                start += count
    return {name: found[name] for name in sorted(found)}


def split_rows(
    names: Sequence[str],
    pairs: Sequence[PairKey],
    seed: int = 0,
    fractions: Mapping[str, float] = DEFAULT_FRACTIONS,
    keep: Mapping[str, str] | None = None,
) -> tuple[list[str], dict[str, str]]:
    """The split of every row, by its video.

    Args:
        names: Canonical name of each row's video, ``[N]``.
        pairs: (dataset, task) of each row, ``[N]``.
        seed: See :func:`assign_splits`.
        fractions: See :func:`assign_splits`.
        keep: See :func:`assign_splits`.

    Returns:
        The split of each row, and of each video.

    Raises:
        UserError: See :func:`assign_splits`.
    """
    asked: dict[str, set[PairKey]] = {}
    for name, pair in zip(names, pairs, strict=True):
        asked.setdefault(name, set()).add(pair)
    splits = assign_splits({name: stratum_of(own) for name, own in asked.items()}, seed, fractions, keep)
    return [splits[name] for name in names], splits


def _check_fractions(fractions: Mapping[str, float]) -> None:
    shares = list(fractions.values())
    if any(not share >= 0 for share in shares) or not math.isclose(math.fsum(shares), 1):
        raise UserError(f"split fractions must not be negative and must sum to 1, got {dict(fractions)}")


def _draw(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}|{name}".encode()).digest()


def _apportioned(owed: Mapping[str, float], count: int) -> dict[str, int]:
    """Share out a number of videos as they are owed: whole numbers, the largest remainders rounded up."""
    wanted = {split: max(0.0, value) for split, value in owed.items()}
    total = sum(wanted.values())
    exact = {split: value * count / total if total else 0.0 for split, value in wanted.items()}
    given = {split: math.floor(value + 1e-9) for split, value in exact.items()}
    order = sorted(exact, key=lambda split: (given[split] - exact[split], -owed[split]))
    for split in order[: count - sum(given.values())]:
        given[split] += 1
    return given

"""Which split a source video belongs to: by hash, so that no clip of a video is in two splits, ever.

The same operation may appear under several names (Cholec videos are shared by three sources, long recordings
are cut into parts): :func:`canonical_video_id` brings them together, and everything that splits, resamples or
clusters by video uses it.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence

from medgrpo.errors import UserError
from medgrpo.types import Sample

__all__ = ["DEFAULT_FRACTIONS", "canonical_video_id", "split_of", "split_samples"]

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


def split_of(
    video_id: str, dataset: str, seed: int = 0, fractions: Mapping[str, float] = DEFAULT_FRACTIONS
) -> str:
    """The split of a video: a function of its name and the seed, whatever other videos there are.

    Args:
        video_id: As in the record.
        dataset: Source.
        seed: Another seed gives another, independent split.
        fractions: Share of each split, in order, summing to 1.

    Raises:
        UserError: If the shares are negative or do not sum to 1.
    """
    if any(not share >= 0 for share in fractions.values()) or not math.isclose(
        math.fsum(fractions.values()), 1
    ):
        raise UserError(f"split fractions must not be negative and must sum to 1, got {dict(fractions)}")
    digest = hashlib.sha256(f"{seed}|{canonical_video_id(video_id, dataset)}".encode()).digest()
    draw = int.from_bytes(digest[:8]) / 2**64
    bound = 0.0
    for name, share in fractions.items():
        bound += share
        if draw < bound:
            return name
    return [name for name, share in fractions.items() if share > 0][-1]


def split_samples(
    samples: Sequence[Sample], seed: int = 0, fractions: Mapping[str, float] = DEFAULT_FRACTIONS
) -> dict[str, list[Sample]]:
    """Samples by split, order kept; every split is there, possibly empty.

    Raises:
        UserError: If the shares are negative or do not sum to 1.
    """
    splits: dict[str, list[Sample]] = {name: [] for name in fractions}
    for sample in samples:
        splits[split_of(sample.video_id, sample.dataset, seed, fractions)].append(sample)
    return splits

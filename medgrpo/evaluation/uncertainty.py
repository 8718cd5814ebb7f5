"""How sure a number is, and whether two sets of answers differ: whole source videos are the unit.

Rows of one video are not independent: many questions ask about the same pixels. Resampling rows would
make intervals far too narrow, so videos are resampled and flipped, with all of their rows.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from medgrpo.data.splits import canonical_video_id
from medgrpo.tasks.quantities import Quantity
from medgrpo.types import Sample

__all__ = ["Interval", "bootstrap_intervals", "clusters", "holm", "sign_flip_test", "video_of"]

Interval = tuple[float, float]
LEVELS = (0.025, 0.975)
_EXACT_UP_TO = 14  # videos: 2^14 sign patterns are fewer than the random draws


def video_of(sample: Sample) -> str:
    """The source video of a sample under its one name, whatever the source calls it."""
    return canonical_video_id(sample.video_id, sample.dataset)


def clusters(names: Sequence[Hashable]) -> NDArray[np.intp]:
    """The number of each name, ``[N]``, in the order of first occurrence."""
    codes: dict[Hashable, int] = {}
    return np.array([codes.setdefault(name, len(codes)) for name in names], dtype=np.intp)


def bootstrap_intervals(
    quantities: Sequence[Quantity], videos: Sequence[Hashable], *, draws: int = 1000, seed: int = 0
) -> Mapping[str, Interval]:
    """Percentile intervals of 95% under resampling of videos with replacement.

    Args:
        quantities: Over the same N rows.
        videos: Source video of each row, ``[N]``.
        draws: Resamples.
        seed: Of the draws; all quantities see the same ones.

    Returns:
        Name to interval; empty with fewer than two videos, and without the quantities that are not defined
        in some resample.
    """
    cluster = clusters(videos)
    count = int(cluster.max(initial=-1)) + 1
    if count < 2:
        return {}
    generator = np.random.default_rng(seed)
    weights = generator.multinomial(count, np.full(count, 1.0 / count), size=draws).astype(np.float64)
    found = {}
    for quantity in quantities:
        values = quantity.values(cluster, weights)
        if not np.isnan(values).any():
            low, high = np.quantile(values, LEVELS)
            found[quantity.name] = (float(low), float(high))
    return found


def sign_flip_test(
    differences: Sequence[float], videos: Sequence[Hashable], *, draws: int = 10_000, seed: int = 0
) -> float:
    """Two-sided p-value of a paired difference: were the two sides exchangeable, video by video?

    The statistic is the absolute sum of the differences. Each video's sum gets a random sign; with few
    videos all sign patterns are counted, otherwise random ones with the usual correction of one.

    Args:
        differences: Second side minus first, ``[N]``.
        videos: Source video of each row, ``[N]``.
        draws: Random sign patterns.
        seed: Of the patterns.

    Returns:
        In (0, 1]; 1 if nothing differs.
    """
    sums = np.bincount(clusters(videos), weights=np.asarray(differences, dtype=np.float64))
    observed = abs(float(sums.sum())) * (1.0 - 1e-12)  # equal sums in another order of addition are equal
    if not np.any(sums):
        return 1.0
    if len(sums) <= _EXACT_UP_TO:
        patterns = (np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums))) & 1
        return float((np.abs((2.0 * patterns - 1.0) @ sums) >= observed).mean())
    signs = np.random.default_rng(seed).integers(0, 2, size=(draws, len(sums))) * 2.0 - 1.0
    return float(((np.abs(signs @ sums) >= observed).sum() + 1) / (draws + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number, in their order: the chance of one false alarm among all.

    Of m values the k-th smallest is multiplied by ``m - k + 1``; none ends below that of a smaller one, none
    above 1 (Holm 1979, step-down).
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected

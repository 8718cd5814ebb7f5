"""The blind baseline: the same questions over somebody else's video.

A model that answers as well over a wrong clip of the same dataset and task has learned the format and the
prior, not the video. Every report shows this column beside the real one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from medgrpo.types import PairKey, Sample

__all__ = ["shuffle_videos"]


def shuffle_videos(samples: Sequence[Sample], *, seed: int = 0) -> list[Sample]:
    """Give each sample the clip of another source video of its (dataset, task) pair.

    Question, reference and truth stay; clip and region move together. A pair whose rows all come from one
    video keeps its clips, because there is no other.

    Args:
        samples: In any order.
        seed: Which other clip.

    Returns:
        Samples in the same order.
    """
    groups: dict[PairKey, list[int]] = defaultdict(list)
    for index, sample in enumerate(samples):
        groups[sample.pair].append(index)
    donors = list(range(len(samples)))
    generator = np.random.default_rng(seed)
    for _, indices in sorted(groups.items()):
        order = [indices[i] for i in generator.permutation(len(indices))]
        for place, index in enumerate(order):
            video = samples[index].video_id
            candidates = order[place + 1 :] + order[:place]
            donors[index] = next((c for c in candidates if samples[c].video_id != video), index)
    return [
        replace(sample, clip=samples[donor].clip, region=samples[donor].region, canvas=samples[donor].canvas)
        for sample, donor in zip(samples, donors, strict=True)
    ]

"""Normalizers: one raw metric value of one (dataset, task) to a number that can be mixed with others."""

from __future__ import annotations

from medgrpo.rewards.normalizers.adaptive import AdaptiveLogisticNormalizer
from medgrpo.rewards.normalizers.affine import RobustAffineNormalizer
from medgrpo.rewards.normalizers.base import NormalisedValue, Normalizer, Observation
from medgrpo.rewards.normalizers.identity import IdentityNormalizer
from medgrpo.rewards.normalizers.logistic import LogisticNormalizer
from medgrpo.rewards.normalizers.range import RangeNormalizer
from medgrpo.rewards.normalizers.rank import RankNormalizer

__all__ = [
    "AdaptiveLogisticNormalizer",
    "IdentityNormalizer",
    "LogisticNormalizer",
    "NormalisedValue",
    "Normalizer",
    "Observation",
    "RangeNormalizer",
    "RankNormalizer",
    "RobustAffineNormalizer",
]

"""Rewards: components, normalizers across datasets, statistics and judges."""

from __future__ import annotations

from medgrpo.rewards.component import MetricSpec, RawScore, RewardComponent
from medgrpo.rewards.composite import CompositeReward, leave_out
from medgrpo.rewards.judge import JudgeReward
from medgrpo.rewards.judges import (
    Canaries,
    ChatJudge,
    Judge,
    JudgeRequest,
    LexiconJudge,
    Rubric,
    TransformersJudge,
    load_rubric,
)
from medgrpo.rewards.normalizers import (
    AdaptiveLogisticNormalizer,
    IdentityNormalizer,
    LogisticNormalizer,
    NormalisedValue,
    Normalizer,
    RangeNormalizer,
    RankNormalizer,
    RobustAffineNormalizer,
)
from medgrpo.rewards.penalties import FormatPenalty, LengthPenalty, Penalty, RepetitionPenalty
from medgrpo.rewards.shaping import ClosenessReward, TighteningReward
from medgrpo.rewards.similarity import SimilarityReward
from medgrpo.rewards.statistics import MetricStatistics, Provenance, Statistics, summarise
from medgrpo.rewards.task_metric import TaskMetricReward

__all__ = [
    "AdaptiveLogisticNormalizer",
    "Canaries",
    "ChatJudge",
    "ClosenessReward",
    "CompositeReward",
    "FormatPenalty",
    "IdentityNormalizer",
    "Judge",
    "JudgeRequest",
    "JudgeReward",
    "LengthPenalty",
    "LexiconJudge",
    "LogisticNormalizer",
    "MetricSpec",
    "MetricStatistics",
    "NormalisedValue",
    "Normalizer",
    "Penalty",
    "Provenance",
    "RangeNormalizer",
    "RankNormalizer",
    "RawScore",
    "RepetitionPenalty",
    "RewardComponent",
    "RobustAffineNormalizer",
    "Rubric",
    "SimilarityReward",
    "Statistics",
    "TaskMetricReward",
    "TighteningReward",
    "TransformersJudge",
    "leave_out",
    "load_rubric",
    "summarise",
]

"""What one round of rollouts says about learning, by dataset and task, as flat numbers for loggers."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from medgrpo.types import PairKey, Rollout

__all__ = ["FLAT_REASONS", "finite_mean", "pair_prefix", "round_metrics", "tag"]

FLAT_REASONS = ("zero_variance", "refilled")
"""Why a group teaches nothing: its answers are worth the same; another prompt may have taken its place."""


def tag(name: str) -> str:
    """A name that TensorBoard leaves as it is: ``stg_viou@1`` becomes ``stg_viou_1``."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)


def pair_prefix(pair: PairKey, prefix: str = "train") -> str:
    """Where the metrics of a (dataset, task) are: ``<prefix>/<dataset>/<task>``."""
    return "/".join((prefix, *map(tag, pair)))


def finite_mean(values: Sequence[float]) -> float:
    """Mean over what is finite; NaN over nothing."""
    finite = [value for value in values if math.isfinite(value)]
    return math.fsum(finite) / len(finite) if finite else math.nan


def _components(rollouts: Sequence[Rollout]) -> dict[str, float]:
    raw: dict[str, list[float]] = defaultdict(list)
    normalised: dict[str, list[float]] = defaultdict(list)
    for rollout in rollouts:
        for name, score in rollout.reward.components.items():
            raw[score.metric].append(score.raw)
            normalised[name].append(score.normalised)
    numbers = {f"raw_{tag(metric)}": finite_mean(values) for metric, values in raw.items()}
    return numbers | {f"normalised_{tag(name)}": finite_mean(values) for name, values in normalised.items()}


def _judges(rollouts: Sequence[Rollout]) -> dict[str, float]:
    judgements = [r.reward.judgement for r in rollouts if r.reward.judgement is not None]
    counts: dict[str, float] = defaultdict(float)
    for judgement in judgements:
        counts[f"judge_status_{tag(judgement.status)}"] += 1.0
    if judgements:
        counts["judge_mean"] = finite_mean([judgement.mean for judgement in judgements])
    return dict(counts)


def _groups(rollouts: Sequence[Rollout]) -> dict[str, float]:
    firsts = list({rollout.group_id: rollout for rollout in rollouts}.values())
    return {
        "groups": float(len(firsts)),
        "zero_variance_share": finite_mean([float(r.skip_reason in FLAT_REASONS) for r in firsts]),
        "refilled_share": finite_mean([float(r.skip_reason == "refilled") for r in firsts]),
        "failed_group_share": finite_mean([float(r.skip_reason == "failed_reward") for r in firsts]),
        "group_std": finite_mean([r.group_std for r in firsts]),
    }


def _pair_metrics(rollouts: Sequence[Rollout], entropies: Sequence[float]) -> dict[str, float]:
    rewards = np.array([r.reward.value for r in rollouts if math.isfinite(r.reward.value)])
    p25, p50, p75 = np.percentile(rewards, [25, 50, 75]) if rewards.size else (math.nan,) * 3
    advantages = np.array([r.advantage for r in rollouts if r.kept and math.isfinite(r.advantage)])
    statuses = [r.reward.parse_status for r in rollouts]
    structured = [float(status != "failed") for status in statuses if status != "free_text"]
    numbers = {
        "answers": float(len(rollouts)),
        "reward_mean": float(rewards.mean()) if rewards.size else math.nan,
        "reward_p25": float(p25),
        "reward_p50": float(p50),
        "reward_p75": float(p75),
        "advantage_std": float(advantages.std()) if advantages.size else math.nan,
        "length_mean": finite_mean([float(len(r.completion.token_ids)) for r in rollouts]),
        "truncated_share": finite_mean([float(r.completion.truncated) for r in rollouts]),
    }
    if structured:
        numbers["parse_rate"] = finite_mean(structured)
    if entropies:
        numbers["entropy"] = finite_mean(entropies)
    return numbers | _groups(rollouts) | _components(rollouts) | _judges(rollouts)


def round_metrics(
    rollouts: Sequence[Rollout], *, entropies: Sequence[float] | None = None, prefix: str = "train"
) -> dict[str, float]:
    """Statistics of one round for each (dataset, task) that occurs in it.

    Failed scores (NaN) are left out of means and percentiles, and counted by ``failed_group_share`` and
    ``judge_status_*``. Names that do not apply (a parse rate of free text, a judge that was not asked) are
    absent, a mean over nothing is NaN.

    Args:
        rollouts: The answers of one round.
        entropies: Mean token entropy of each answer in nats, one a rollout.
        prefix: First part of every name.

    Returns:
        ``<prefix>/<dataset>/<task>/<name>`` to number. Names: ``answers``, ``groups``, ``reward_mean``,
        ``reward_p25|p50|p75``, ``advantage_std`` (kept answers), ``group_std`` (mean over groups),
        ``zero_variance_share``, ``refilled_share`` and
        ``failed_group_share`` (of all groups asked), ``length_mean`` (tokens),
        ``truncated_share``, ``parse_rate``, ``entropy``, ``raw_<metric>``, ``normalised_<component>``,
        ``judge_mean`` (1-5), ``judge_status_<status>`` (counts).

    Raises:
        ValueError: If ``entropies`` has another length than ``rollouts``.
    """
    if entropies is not None and len(entropies) != len(rollouts):
        raise ValueError(f"{len(rollouts)} rollouts but {len(entropies)} entropies")
    by_pair: dict[PairKey, list[int]] = defaultdict(list)
    for position, rollout in enumerate(rollouts):
        by_pair[rollout.sample.pair].append(position)
    flat: dict[str, float] = {}
    for pair, positions in sorted(by_pair.items()):
        given = [] if entropies is None else [entropies[p] for p in positions]
        numbers = _pair_metrics([rollouts[p] for p in positions], given)
        flat.update({f"{pair_prefix(pair, prefix)}/{name}": v for name, v in numbers.items()})
    return flat

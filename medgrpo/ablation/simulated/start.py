"""Where all arms start: policies fine-tuned on demonstrations, with the statistics of what they sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from medgrpo.ablation.simulated.measures import Measured, Scoring, measure, rollout_scores
from medgrpo.ablation.simulated.policy import Policies, Questions, token_logps
from medgrpo.ablation.simulated.settings import Sizes
from medgrpo.ablation.simulated.world import FEATURES, FORMATS, PAIRS, Pair
from medgrpo.rewards import (
    CompositeReward,
    JudgeReward,
    SimilarityReward,
    Statistics,
    TaskMetricReward,
    summarise,
)
from medgrpo.rewards.component import RewardComponent
from medgrpo.tasks import TASKS

__all__ = ["Start", "components", "fine_tuned"]

_WRONG_FORMAT = 0.02  # of the demonstrations: the format is learned, not given


@dataclass(frozen=True)
class Start:
    """The fine-tuned policies of a block of seeds.

    Attributes:
        seeds: S of them.
        pairs: Of the world.
        weights: Of :class:`~medgrpo.ablation.simulated.policy.Policies`.
        statistics: Of each seed's sampled answers.
        measured: On the test questions.
    """

    seeds: tuple[int, ...]
    pairs: tuple[Pair, ...]
    weights: Mapping[str, torch.Tensor]
    statistics: tuple[Statistics, ...]
    measured: Measured


def components(
    captions: Mapping[str, float], tasks: Sequence[str] = tuple(TASKS)
) -> dict[str, RewardComponent | None]:
    """The project's reward components, as training routes them.

    Args:
        captions: Weights of ``similarity`` and ``judge`` in captions; one that is left out is not used.
        tasks: To route.
    """
    written = [task for task in tasks if TASKS[task].metric is None]
    measured = {task: 1.0 for task in tasks if task not in written}
    parts: dict[str, RewardComponent | None] = {}
    if measured:
        parts["metric"] = TaskMetricReward(measured)
    for name, kind in (("similarity", SimilarityReward), ("judge", JudgeReward)):
        if captions.get(name, 0.0) > 0 and written:
            parts[name] = kind(dict.fromkeys(written, captions[name]))
    return parts


def fine_tuned(seeds: Sequence[int], sizes: Sizes, pairs: tuple[Pair, ...] = PAIRS) -> Start:
    """Train a policy a seed on demonstrations of all pairs, then sample its statistics.

    Args:
        seeds: Of worlds, weights and demonstrations.
        sizes: Of networks and training.
        pairs: Of the world.
    """
    scoring = Scoring(seeds, pairs)
    policies = Policies(seeds, len(pairs), sizes.hidden)
    optimizer = torch.optim.Adam(policies.parameters(), lr=sizes.sft_learning_rate)
    chances = [np.random.default_rng([seed, 5]) for seed in seeds]
    for _ in range(sizes.sft_steps):
        questions, tokens = _demonstrations(scoring, chances, sizes.sft_questions)
        logps = token_logps(policies(questions), tokens)
        loss = -torch.where(scoring.mask(questions, tokens), logps, 0.0).mean(dim=(1, 2, 3)).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return Start(
        seeds=tuple(seeds),
        pairs=pairs,
        weights={name: value.detach().clone() for name, value in policies.state_dict().items()},
        statistics=_statistics(policies, scoring, sizes),
        measured=measure(policies, scoring, sizes.test_questions),
    )


def _demonstrations(
    scoring: Scoring, chances: Sequence[np.random.Generator], per_pair: int
) -> tuple[Questions, torch.Tensor]:
    """Questions of all pairs with one demonstrated answer each, tokens ``[S, P, 1, 3]``."""
    pair = np.repeat(np.arange(len(scoring.pairs)), per_pair)
    features = np.stack([chance.standard_normal((len(pair), FEATURES)) for chance in chances])
    tokens = []
    for world, own, chance in zip(scoring.worlds, features, chances, strict=True):
        place, manner = world.demonstrated(pair, own, chance)
        wrong = chance.random(len(pair)) < _WRONG_FORMAT
        other = chance.integers(0, len(FORMATS), len(pair))
        tokens.append(np.stack([np.where(wrong, other, scoring.formats[pair]), place, manner], axis=1))
    return Questions(pair, features), torch.from_numpy(np.stack(tokens)).unsqueeze(2)


def _statistics(policies: Policies, scoring: Scoring, sizes: Sizes) -> tuple[Statistics, ...]:
    """What the ``baseline`` command would write, one a seed."""
    reward = CompositeReward(components({"similarity": 0.5, "judge": 0.5}))
    parts = reward.components
    ranges = reward.ranges()
    found = []
    for seed in rollout_scores(policies, scoring, sizes.baseline_questions, 4):
        entries: dict[Any, Any] = {}
        for pair, scores in zip(scoring.pairs, seed, strict=True):
            metric_names = {name: parts[name].metric(pair.task).name for name in scores}
            entries[pair.key] = {
                metric: summarise(scores[name], *ranges[metric]) for name, metric in metric_names.items()
            }
        found.append(Statistics(entries))
    return tuple(found)

"""One rollout round: sample answers, reward them, turn rewards into advantages, keep every number."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch

from medgrpo.data.batch_size import BatchSize
from medgrpo.data.distributed import gather_objects, process_rank
from medgrpo.data.encode import EncodedPrompt
from medgrpo.errors import UserError
from medgrpo.modules.advantages import AdvantageEstimator, Advantages
from medgrpo.modules.policy import QwenVLPolicy
from medgrpo.modules.reward_table import join_tables, reward_table
from medgrpo.rewards import CompositeReward, leave_out
from medgrpo.rollout.metrics import FLAT_REASONS, round_metrics
from medgrpo.rollout.stored_answers import group_id
from medgrpo.types import Completion, PairKey, Reward, Rollout

__all__ = [
    "AnswerLogps",
    "FailurePolicy",
    "RoundClock",
    "answer_logps",
    "estimate",
    "flat_groups",
    "gathered_means",
    "make_rollouts",
    "observe_round",
    "refilled",
    "settle_failures",
    "summarise_round",
    "truncated_answers",
]

FailurePolicy = Literal["skip", "leave_out", "stop"]


@dataclass(frozen=True)
class AnswerLogps:
    """What a policy says about the tokens of one answer.

    Attributes:
        logps: ``[tokens]`` float32, on the CPU.
        entropy: Mean entropy of the distributions they were drawn from, nats a token.
    """

    logps: torch.Tensor
    entropy: float


@contextmanager
def _evaluating(policy: torch.nn.Module) -> Iterator[None]:
    """No dropout and no gradient, whatever the mode was."""
    training = policy.training
    policy.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        policy.train(training)


def answer_logps(
    policy: QwenVLPolicy,
    encoder: Any,
    prompts: Sequence[EncodedPrompt],
    completions: Sequence[Sequence[Completion]],
    *,
    temperature: float,
    size: BatchSize,
) -> list[list[AnswerLogps]]:
    """Log-probabilities of sampled answers under a policy, without gradient.

    Args:
        policy: The policy in training, or a reference.
        encoder: That made the prompts.
        prompts: One a group.
        completions: The answers of each group.
        temperature: At which they were sampled.
        size: Of the groups forwarded together.

    Returns:
        One entry an answer, in groups.
    """
    results: list[list[AnswerLogps]] = [[] for _ in prompts]
    answers = [[completion.token_ids for completion in group] for group in completions]
    lengths = [len(p.ids) + sum(map(len, group)) for p, group in zip(prompts, answers, strict=True)]
    with _evaluating(policy):
        for chosen in size.batches(lengths):
            batch = encoder.collate_groups([prompts[i] for i in chosen], [answers[i] for i in chosen])
            batch = batch.to(policy.device)
            logps, entropy = policy.logps_and_entropy(batch, temperature)
            masks = batch.completion_mask
            rows = iter(
                AnswerLogps(
                    values[mask].float().cpu(), float(spread[mask].mean()) if mask.any() else math.nan
                )
                for values, spread, mask in zip(logps, entropy, masks, strict=True)
            )
            for index in chosen:
                results[index] = [next(rows) for _ in answers[index]]
    return results


def settle_failures(rewards: Sequence[Sequence[Reward]], policy: FailurePolicy) -> list[list[Reward]]:
    """Decide what becomes of groups in which a reward component failed.

    Args:
        rewards: In groups.
        policy: ``skip`` keeps the NaN, which takes the group out; ``leave_out`` mixes all answers of the
            group again without the component; ``stop`` ends the run on all ranks.

    Raises:
        UserError: If the policy is ``stop`` and a component failed on any rank.
    """
    failed = [
        {
            name: c.status
            for reward in group
            for name, c in reward.components.items()
            if math.isnan(c.normalised)
        }
        for group in rewards
    ]
    if policy == "stop":
        everywhere = [names for ranks in gather_objects(failed) for names in ranks if names]
        if everywhere:
            told = ", ".join(f"{name} ({status})" for name, status in sorted(everywhere[0].items()))
            raise UserError(
                f"{len(everywhere)} group(s) of this round have a failed reward, the first: {told}; see to "
                "it and continue from the last checkpoint, or set on_failed_reward to skip or leave_out"
            )
    if policy == "leave_out":
        return [
            [leave_out(reward, names) for reward in group] if names else list(group)
            for group, names in zip(rewards, failed, strict=True)
        ]
    return [list(group) for group in rewards]


def truncated_answers(completions: Sequence[Completion]) -> frozenset[int]:
    """Which answers of a group reached their limit."""
    return frozenset(index for index, completion in enumerate(completions) if completion.truncated)


def estimate(
    estimator: AdvantageEstimator, rewards: Sequence[Sequence[Reward]], prompts: Sequence[EncodedPrompt]
) -> Advantages:
    """Advantages of this rank's groups, estimated over the groups of all ranks.

    Args:
        estimator: Sees the whole round.
        rewards: Of this rank, in groups.
        prompts: Of this rank, one a group.
    """
    ranks = gather_objects((reward_table(rewards), [prompt.sample.pair for prompt in prompts]))
    whole = estimator(
        join_tables([table for table, _ in ranks], [pair for _, part in ranks for pair in part])
    )
    first = sum(len(part) for _, part in ranks[: process_rank()])
    mine = slice(first, first + len(rewards))
    return Advantages(
        whole.values[mine], whole.means[mine], whole.stds[mine], whole.kept[mine], whole.reasons[mine]
    )


def flat_groups(
    estimator: AdvantageEstimator, rewards: Sequence[Sequence[Reward]], prompts: Sequence[EncodedPrompt]
) -> list[int]:
    """Indices of this rank's groups whose answers are all worth the same to an estimator."""
    flat = estimator.flat(join_tables([reward_table(rewards)], [prompt.sample.pair for prompt in prompts]))
    return [int(index) for index in np.flatnonzero(flat)]


def make_rollouts(
    round_index: int,
    prompts: Mapping[int, EncodedPrompt],
    completions: Sequence[Sequence[Completion]],
    rewards: Sequence[Sequence[Reward]],
    advantages: Advantages,
    *,
    turn: int | None = None,
) -> list[Rollout]:
    """Every answer of this rank with its numbers, as the store keeps it.

    Args:
        round_index: From 0; with the slot it names a group.
        prompts: By slot in the round, one a group.
        completions: In groups.
        rewards: In groups.
        advantages: Of these groups.
        turn: Of groups that were replaced, which of their slots' prompts they were; told in their names.
    """
    return [
        Rollout(
            sample=prompt.sample,
            group_id=group_id(round_index, slot, turn),
            index=index,
            prompt_text=prompt.text,
            prompt_ids=tuple(int(token) for token in prompt.ids),
            times=prompt.clip.true_times,
            told_times=prompt.clip.times,
            completion=completions[group][index],
            reward=rewards[group][index],
            group_mean=float(advantages.means[group]),
            group_std=float(advantages.stds[group]),
            advantage=float(advantages.values[group, index]),
            kept=bool(advantages.kept[group]),
            skip_reason=advantages.reasons[group],
        )
        for group, (slot, prompt) in enumerate(prompts.items())
        for index in range(len(completions[group]))
    ]


def refilled(rewards: Sequence[Sequence[Reward]]) -> Advantages:
    """The numbers of flat groups that other prompts took the place of."""
    values = np.array([[reward.value for reward in group] for group in rewards])
    return Advantages(
        values=np.zeros_like(values),
        means=values.mean(axis=1),
        stds=values.std(axis=1, ddof=1),
        kept=np.zeros(len(values), dtype=bool),
        reasons=("refilled",) * len(values),
    )


def observe_round(reward: CompositeReward, pairs: Sequence[PairKey], rewards: Sequence[Reward]) -> None:
    """Let the reward's normalizer see the raw values of all ranks, so that its state is the same on each.

    Args:
        reward: Of this rank.
        pairs: Of this rank's answers.
        rewards: Of this rank's answers, as scored.
    """
    light = [replace(one, parsed=None, judgement=None) for one in rewards]
    ranks = gather_objects((list(pairs), light))
    reward.observe([p for part, _ in ranks for p in part], [r for _, part in ranks for r in part])


class RoundClock:
    """Seconds spent in each part of a round."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.perf_counter()

    def lap(self, name: str) -> None:
        """End the part of this name."""
        now = time.perf_counter()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._since
        self._since = now


def summarise_round(
    rollouts: Sequence[Rollout],
    *,
    entropies: Sequence[float] | None,
    seconds: Mapping[str, float],
    logp_differences: torch.Tensor | None,
) -> dict[str, float]:
    """Metrics of a round over all ranks, with the same keys and values on each.

    Args:
        rollouts: Of this rank.
        entropies: One an answer, or None.
        seconds: Spent in each part; the slowest rank counts.
        logp_differences: Absolute differences between trainer and engine, one a token; None if not known yet.
    """
    light = [replace(rollout, prompt_ids=(), times=(), told_times=()) for rollout in rollouts]
    differences = None if logp_differences is None else _moments(logp_differences)
    ranks = gather_objects((light, entropies, dict(seconds), differences))
    every = [rollout for part, *_ in ranks for rollout in part]
    spread = None if entropies is None else [e for _, part, *_ in ranks for e in part or []]
    numbers = round_metrics(every, entropies=spread) | _overall(every)
    for name in seconds:
        numbers[f"train/seconds/{name}"] = max(part[name] for _, _, part, _ in ranks)
    if "generate" in seconds:  # not in a round that an earlier start of the run had sampled
        sampled = sum(len(rollout.completion.token_ids) for rollout in every)
        numbers["train/tokens_per_second/generate"] = sampled / numbers["train/seconds/generate"]
    known = [part for *_, part in ranks if part is not None]
    if known:
        numbers["train/logp_diff"] = sum(p[0] for p in known) / max(sum(p[1] for p in known), 1)
        numbers["train/logp_diff_max"] = max(p[2] for p in known)
    return numbers


def gathered_means(numbers: Mapping[str, float], prefix: str) -> dict[str, float]:
    """Means over the ranks that have a number, the same on all; a rank may have none."""
    values: dict[str, list[float]] = defaultdict(list)
    for part in gather_objects(dict(numbers)):
        for name, value in part.items():
            values[prefix + name].append(value)
    return {name: math.fsum(found) / len(found) for name, found in sorted(values.items())}


def _moments(values: torch.Tensor) -> tuple[float, int, float]:
    return float(values.sum()), values.numel(), float(values.max()) if values.numel() else 0.0


def _overall(rollouts: Sequence[Rollout]) -> dict[str, float]:
    parts: dict[str, list[float]] = defaultdict(list)
    for rollout in rollouts:
        parts["train/reward/mean"].append(rollout.reward.value)
        for name, score in rollout.reward.components.items():
            parts[f"train/reward/{name}"].append(score.normalised)
        parts["train/length"].append(float(len(rollout.completion.token_ids)))
        parts["train/truncated_share"].append(float(rollout.completion.truncated))
        parts["train/kept_share"].append(float(rollout.kept))
        parts["train/zero_variance_share"].append(float(rollout.skip_reason in FLAT_REASONS))
    finite = {name: [v for v in values if math.isfinite(v)] for name, values in parts.items()}
    return {name: math.fsum(v) / len(v) if v else math.nan for name, v in finite.items()}

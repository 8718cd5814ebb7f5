"""Sampled answers on their way into the loss: whole groups, in micro-batches of known optimizer steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch

from medgrpo.data.batch import PolicyBatch
from medgrpo.data.batch_size import BatchSize
from medgrpo.data.distributed import gather_objects
from medgrpo.data.packed_batch import AnswerBatch, GroupLengths
from medgrpo.types import Completion, PairKey

__all__ = [
    "AnswerGroup",
    "RolloutBatch",
    "RolloutLoader",
    "RoundPlan",
    "StepSize",
    "collate_groups",
    "plan_batches",
    "plan_round",
]


@dataclass(frozen=True, eq=False)
class AnswerGroup:
    """The G answers of one prompt and what the loss needs of them.

    Attributes:
        prompt: The encoded prompt.
        completions: G answers.
        advantages: ``[G]``.
        kept: False for a group that a failed reward takes out of the loss and of its denominators.
        old_logps: Log-probabilities of each answer's tokens under the policy at the start of the round; None
            when the round is a single optimizer step, in which they are those of the step itself.
        ref_logps: The same under the reference policy, for a KL term.
        masked: Answers whose tokens stay out of the loss, by index; they still count as answers.
    """

    prompt: Any
    completions: tuple[Completion, ...]
    advantages: np.ndarray
    kept: bool
    old_logps: tuple[torch.Tensor, ...] | None = None
    ref_logps: tuple[torch.Tensor, ...] | None = None
    masked: frozenset[int] = frozenset()

    @property
    def heard(self) -> list[bool]:
        """Of each answer, whether its tokens take part in the loss."""
        return [self.kept and index not in self.masked for index in range(len(self.completions))]

    @property
    def length(self) -> int:
        """Tokens of the group with its prompt once."""
        answers = tuple(len(completion.token_ids) for completion in self.completions)
        return GroupLengths(len(self.prompt.ids), answers).total

    @property
    def tokens(self) -> int:
        """Answer tokens that take part in the loss."""
        answers = zip(self.completions, self.heard, strict=True)
        return sum(len(completion.token_ids) for completion, heard in answers if heard)


@dataclass(frozen=True)
class StepSize:
    """What an optimizer step holds, all its micro-batches on all ranks together.

    Attributes:
        sequences: Kept answers.
        tokens: Tokens that take part in the loss.
        round_tokens: Such tokens of the round, divided by its optimizer steps.
    """

    sequences: int
    tokens: int
    round_tokens: float


@dataclass(frozen=True)
class RolloutBatch:
    """A micro-batch of whole groups: B answers, laid out to length L.

    Attributes:
        policy: Token ids, positions and clips; each clip stands once.
        engine_logps: ``[B, L]`` log-probabilities that the rollout engine reported, 0 outside the answers.
        old_logps: ``[B, L]`` under the policy at the start of the round, or None: see :class:`AnswerGroup`.
        ref_logps: ``[B, L]`` under the reference policy, or None.
        advantages: ``[B]``.
        heard: ``[B]`` bool, whether the answer's tokens take part in the loss.
        step: Sizes of the optimizer step that the micro-batch belongs to.
        pairs: (dataset, task) of each answer.
        replay: Rows with reference answers that the same step also learns from, or None.
    """

    policy: AnswerBatch
    engine_logps: torch.Tensor
    old_logps: torch.Tensor | None
    ref_logps: torch.Tensor | None
    advantages: torch.Tensor
    heard: torch.Tensor
    step: StepSize
    pairs: tuple[PairKey, ...]
    replay: PolicyBatch | None = None

    def to(self, device: torch.device | str) -> Self:
        """Return the same batch on another device."""
        names = ("policy", "engine_logps", "old_logps", "ref_logps", "advantages", "heard", "replay")
        moved = {name: getattr(self, name) for name in names}
        return replace(self, **{name: v.to(device) for name, v in moved.items() if v is not None})


def _scatter(values: Sequence[torch.Tensor], mask: torch.Tensor) -> torch.Tensor:
    """Lay the per-token values of the answers out where ``mask`` is True, ``[B, L]`` float32."""
    return torch.zeros(mask.shape).masked_scatter(mask, torch.cat([v.float() for v in values]))


def collate_groups(
    encoder: Any, groups: Sequence[AnswerGroup], step: StepSize, replay: PolicyBatch | None = None
) -> RolloutBatch:
    """Stack groups.

    Args:
        encoder: That made the prompts.
        groups: At least one.
        step: Sizes of the optimizer step.
        replay: Rows to learn from besides.
    """
    answers = [completion for group in groups for completion in group.completions]
    policy = encoder.collate_groups(
        [group.prompt for group in groups],
        [[completion.token_ids for completion in group.completions] for group in groups],
    )

    def layout(name: str) -> torch.Tensor | None:
        parts = [getattr(group, name) for group in groups]
        if any(part is None for part in parts):
            return None
        return _scatter([values for part in parts for values in part], policy.completion_mask)

    return RolloutBatch(
        policy=policy,
        engine_logps=_scatter([torch.tensor(answer.logps) for answer in answers], policy.completion_mask),
        old_logps=layout("old_logps"),
        ref_logps=layout("ref_logps"),
        advantages=torch.from_numpy(np.concatenate([group.advantages for group in groups])).float(),
        heard=torch.tensor([heard for group in groups for heard in group.heard]),
        step=step,
        pairs=tuple(group.prompt.sample.pair for group in groups for _ in group.completions),
        replay=replay,
    )


def plan_batches(groups: int, *, groups_per_batch: int, passes: int, seed: Sequence[int]) -> list[list[int]]:
    """The micro-batches of a round on one rank: shuffled anew in every pass, each group once a pass.

    Args:
        groups: Groups of this rank.
        groups_per_batch: Groups in a micro-batch; the last one of a pass may have fewer.
        passes: Optimisation passes over the round.
        seed: Of this round and rank.
    """
    batches: list[list[int]] = []
    for index in range(passes):
        order = np.random.default_rng([*seed, index]).permutation(groups).tolist()
        batches += [order[i : i + groups_per_batch] for i in range(0, groups, groups_per_batch)]
    return batches


@dataclass(frozen=True)
class RoundPlan:
    """The micro-batches of a round on one rank.

    Attributes:
        batches: Indices of groups.
        accumulate: Micro-batches in an optimizer step; the last one may have fewer.
    """

    batches: list[list[int]]
    accumulate: int

    @property
    def single_step(self) -> bool:
        """Whether the round is one optimizer step."""
        return len(self.batches) <= self.accumulate

    def fitted(self, size: BatchSize, lengths: Sequence[int]) -> RoundPlan:
        """The same optimizer steps in micro-batches of at most ``size.tokens``, if the size has a bound.

        All ranks must call it.

        Args:
            size: Of a micro-batch.
            lengths: Tokens of each group.
        """
        if size.tokens is None:
            return self
        windows = range(0, len(self.batches), self.accumulate)
        steps = [[i for b in self.batches[w : w + self.accumulate] for i in b] for w in windows]
        divided = size.divide(steps, lengths)
        return RoundPlan([batch for step in divided for batch in step], max(map(len, divided), default=1))


def plan_round(
    groups: int, size: BatchSize, accumulate: int, *, passes: int, seed: Sequence[int]
) -> RoundPlan:
    """Divide a round into optimizer steps of ``size.groups * accumulate`` groups a rank.

    Where the size is one in tokens, micro-batches hold a single group until :meth:`RoundPlan.fitted` knows
    how long the answers are, and a step may reach from one pass into the next.

    Args:
        groups: Groups of this rank.
        size: Of a micro-batch.
        accumulate: Micro-batches of an optimizer step, by the trainer.
        passes: Optimisation passes over the round.
        seed: Of this round and rank.
    """
    each = size.groups if size.tokens is None else 1
    batches = plan_batches(groups, groups_per_batch=each, passes=passes, seed=seed)
    return RoundPlan(batches, accumulate * size.groups // each)


class RolloutLoader:
    """Micro-batches of one round, collated when asked for: what is held is ids, not pixels.

    An iterable of its own instead of a ``DataLoader``, so that no sampler is ever put round it.

    Args:
        encoder: That made the prompts.
        groups: Of this rank.
        batches: Indices into ``groups``, from :func:`plan_batches`.
        accumulate: Micro-batches in an optimizer step.
        replay: Makes the rows with reference answers that a micro-batch learns from besides, by its number;
            None for none.
    """

    def __init__(
        self,
        encoder: Any,
        groups: Sequence[AnswerGroup],
        batches: Sequence[Sequence[int]],
        accumulate: int,
        replay: Callable[[int], PolicyBatch] | None = None,
    ) -> None:
        self.encoder = encoder
        self.groups = groups
        self.batches = batches
        self.accumulate = accumulate
        self.replay = replay
        self.steps = self._step_sizes()

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[RolloutBatch]:
        for index, batch in enumerate(self.batches):
            replay = None if self.replay is None else self.replay(index)
            step = self.steps[index // self.accumulate]
            yield collate_groups(self.encoder, [self.groups[i] for i in batch], step, replay)

    def first_step_by_dataset(self) -> Iterator[tuple[str, RolloutBatch]]:
        """The micro-batches of the first optimizer step, divided by dataset, without rows to replay."""
        for batch in self.batches[: self.accumulate]:
            datasets = [self.groups[i].prompt.sample.dataset for i in batch]
            for dataset in sorted(set(datasets)):
                own = [self.groups[i] for i, name in zip(batch, datasets, strict=True) if name == dataset]
                yield dataset, collate_groups(self.encoder, own, self.steps[0])

    def _step_sizes(self) -> list[StepSize]:
        local = []
        for start in range(0, len(self.batches), self.accumulate):
            window = [self.groups[i] for b in self.batches[start : start + self.accumulate] for i in b]
            kept = [group for group in window if group.kept]
            local.append((sum(len(g.completions) for g in kept), sum(g.tokens for g in kept)))
        ranks = gather_objects(local)
        total = sum(tokens for steps in ranks for _, tokens in steps)
        return [
            StepSize(
                sequences=sum(sequences for sequences, _ in steps),
                tokens=sum(tokens for _, tokens in steps),
                round_tokens=total / len(local),
            )
            for steps in zip(*ranks, strict=True)
        ]

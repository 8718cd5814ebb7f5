"""GRPO: group-relative policy optimisation, one Lightning epoch a rollout round."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch.nn.utils import get_total_norm

from medgrpo.data.batch_size import BatchSize
from medgrpo.data.distributed import gather_objects
from medgrpo.data.encode import EncodedPrompt
from medgrpo.data.prompts import derive_seed
from medgrpo.data.refill import Refill
from medgrpo.data.rollout_batch import AnswerGroup, RolloutBatch
from medgrpo.modules.advantages import AdvantageEstimator, GroupAdvantage
from medgrpo.modules.answering import AnsweringModule
from medgrpo.modules.objectives import (
    Denominators,
    EngineCorrection,
    LossInputs,
    Objective,
    ObjectiveStatistics,
    correction_weights,
    masked_mean,
    policy_loss,
)
from medgrpo.modules.overlong import SoftOverlong
from medgrpo.modules.policy import QwenVLPolicy
from medgrpo.modules.reference import StartPolicy
from medgrpo.modules.round_answers import RoundAnswers, answer_settings
from medgrpo.modules.rounds import (
    FailurePolicy,
    RoundClock,
    answer_logps,
    estimate,
    flat_groups,
    gathered_means,
    make_rollouts,
    observe_round,
    refilled,
    summarise_round,
    truncated_answers,
)
from medgrpo.modules.schedule import Schedule
from medgrpo.modules.sft import answer_nll
from medgrpo.modules.sharding import whole
from medgrpo.modules.termination import Termination
from medgrpo.modules.update_metrics import UpdateMetrics, step_metrics, token_values
from medgrpo.rewards import CompositeReward
from medgrpo.rollout.engine import RolloutEngine
from medgrpo.rollout.store import RolloutStore, next_attempt
from medgrpo.types import Rollout, Sample

__all__ = ["GRPOModule"]


class GRPOModule(AnsweringModule):
    """Optimises the rewards of sampled answers; used with :class:`medgrpo.data.GRPOData`.

    Args:
        policy: The model in training.
        reward: What an answer is worth.
        store_root: Folder that holds ``rollouts/``.
        run_id: Name of the run in the rollout store.
        engine: Samples the answers; the policy itself by default.
        advantage: How rewards of a group become advantages.
        objective: Ratio, clipping, reduction, KL, entropy bonus.
        correction: Weighs answers by the mismatch of engine and trainer; None takes the engine's
            probabilities for the trainer's.
        overlong: A penalty for answers close to their limit; None for none.
        optimizer: Called with the trainable parameters.
        schedule: Learning rate over the optimizer steps; None keeps it constant.
        group_size: Answers a prompt.
        temperature: At which answers are sampled and their probabilities taken.
        max_new_tokens: Longest answer; None takes each task's own limit.
        replay_weight: Weight of the answer NLL on replayed rows, against forgetting; 0 is the paper.
        start_kl: Measure the divergence from the policy at the start every round (``train/start_kl``), also
            without a KL term in the objective. It costs a forward of the answers, and a frozen copy of the
            weights unless adapters are all that is trained.
        on_failed_reward: What becomes of a group in which a reward component failed: it is skipped, mixed
            without that component, or the run stops.
    """

    def __init__(
        self,
        policy: QwenVLPolicy,
        reward: CompositeReward,
        store_root: str,
        run_id: str,
        engine: RolloutEngine | None = None,
        advantage: AdvantageEstimator | None = None,
        objective: Objective | None = None,
        correction: EngineCorrection | None = None,
        overlong: SoftOverlong | None = None,
        optimizer: OptimizerCallable = torch.optim.AdamW,
        schedule: Schedule | None = None,
        group_size: int = 8,
        temperature: float = 1.0,
        max_new_tokens: int | None = None,
        replay_weight: float = 0.0,
        start_kl: bool = False,
        on_failed_reward: FailurePolicy = "skip",
    ) -> None:
        super().__init__(policy, reward, engine, optimizer, schedule, max_new_tokens)
        if group_size < 2:
            raise ValueError(f"group_size must be at least 2, got {group_size}: one answer has no baseline")
        if temperature <= 0:
            raise ValueError(f"temperature must be positive, got {temperature}: greedy answers are equal")
        if replay_weight < 0:
            raise ValueError(f"replay_weight must be at least 0, got {replay_weight}")
        self.advantage = advantage if advantage is not None else GroupAdvantage()
        self.objective = objective if objective is not None else Objective()
        self.correction = correction
        self.overlong = overlong
        self.store_root = store_root
        self.run_id = run_id
        self.group_size = group_size
        self.temperature = temperature
        self.replay_weight = replay_weight
        self.start_kl = start_kl
        self.on_failed_reward = on_failed_reward
        self.reference: StartPolicy | None = None
        self.store: RolloutStore | None = None
        self.max_length = 1
        self.round_seed = 0
        self.round_numbers: dict[str, float] = {}
        self.update_metrics = UpdateMetrics()
        self.termination = Termination()
        # Hash of the whole configuration, from the program that read it: then answers of a round that an
        # earlier start has stored need not be sampled again.
        self.settings = ""
        self.save_hyperparameters("group_size", "temperature", "max_new_tokens", "replay_weight", "run_id")

    def configure_model(self) -> None:
        """Load the weights, once, and keep the start if something is compared with it."""
        self.policy.setup()
        if (self.objective.kl_weight > 0 or self.start_kl) and self.reference is None:
            self.reference = StartPolicy(self.policy)
        super().configure_model()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what advantages and normalised rewards of the next round depend on."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["advantage"] = self.advantage.state_dict()
        checkpoint["reward"] = self.reward.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Continue with it."""
        super().on_load_checkpoint(checkpoint)
        self.advantage.load_state_dict(checkpoint.get("advantage", {}))
        if "reward" in checkpoint:
            self.reward.load_state_dict(checkpoint["reward"])

    def prepare(self, samples: list[Sample], records: str) -> None:
        """Get ready for rounds over these samples; called by the data module after :meth:`bind`.

        Args:
            samples: One of each pair at least.
            records: The file that they are from; statistics of another one are warned about.

        Raises:
            UserError: If a sample's pair has no reward component or no statistics.
        """
        self.reward.check(samples)
        if self.global_rank == 0:
            self.reward.check_records(records)
        self.max_length = max(self.limit(task) for task in {sample.task for sample in samples})
        attempt = next_attempt(self.store_root, self.run_id) if self.global_rank == 0 else 0
        settings = answer_settings(self.settings, self.reward, self.policy.path)
        self.store = RolloutStore(self.store_root, self.run_id, gather_objects(attempt)[0], settings=settings)

    def play(
        self,
        prompts: Mapping[int, EncodedPrompt],
        *,
        round_index: int,
        seed: int,
        size: BatchSize,
        single_step: bool,
        refill: Refill | None = None,
    ) -> list[AnswerGroup]:
        """Play one round; called by the data module outside of any training step.

        Args:
            prompts: Of this rank, by their slot in the round.
            round_index: From 0.
            seed: Of this round, the same on all ranks.
            size: Of the groups forwarded together for log-probabilities.
            single_step: The round is one optimizer step, in which old and new policy are the same.
            refill: Replaces prompts whose answers are all worth the same; None for none.

        Returns:
            One group a prompt, in order.
        """
        if self.store is None:
            raise RuntimeError("GRPOModule.prepare() must run before a round is played")
        self.round_seed = seed
        clock = RoundClock()
        prompts = dict(prompts)
        slots = list(prompts)
        self.store.policy_hash = self.policy.fingerprint()
        answers = RoundAnswers(self, self.store, prompts, round_index=round_index, seed=seed, clock=clock)
        completions, rewards = answers.of(prompts, 0)
        discarded: list[Rollout] = []
        for attempt in range(refill.attempts if refill is not None else 0):
            assert refill is not None
            flat = flat_groups(self.advantage, rewards, list(prompts.values()))
            found = {slots[i]: refill.prompt(slots[i], attempt) for i in flat}
            others = {slot: prompt for slot, prompt in found.items() if prompt is not None}
            if not any(gather_objects(len(others))):
                break
            new = answers.of(others, attempt + 1)
            places = [slots.index(slot) for slot in others]
            flat_rewards = [rewards[i] for i in places]
            if others:
                discarded += make_rollouts(
                    round_index,
                    {slot: prompts[slot] for slot in others},
                    [completions[i] for i in places],
                    flat_rewards,
                    refilled(flat_rewards),
                    turn=attempt,
                )
            for i, (slot, prompt), group, scores in zip(places, others.items(), *new, strict=True):
                prompts[slot], completions[i], rewards[i] = prompt, group, scores
        encoded = list(prompts.values())
        answered = [prompt.sample.pair for prompt in encoded for _ in range(self.group_size)]
        observe_round(self.reward, answered, [reward for group in rewards for reward in group])
        advantages = estimate(self.advantage, rewards, encoded)
        clock.lap("reward")
        forward: dict[str, Any] = {"temperature": self.temperature, "size": size}
        old = ref = None
        with self.trainer.precision_plugin.forward_context():
            if not single_step:
                old = answer_logps(self.policy, self.encoder, encoded, completions, **forward)
            if self.reference is not None:
                with self.reference.of(self.policy) as start:
                    ref = answer_logps(start, self.encoder, encoded, completions, **forward)
        clock.lap("logps")
        rollouts = make_rollouts(round_index, prompts, completions, rewards, advantages) + discarded
        if answers.stored is None:
            self.store.write(round_index, rollouts, rank=self.global_rank)
        clock.lap("store")
        differences = entropies = None
        if old is not None:
            entropies = [answer.entropy for group in old for answer in group] + [math.nan] * len(discarded)
            engine = [torch.tensor(c.logps) for group in completions for c in group]
            differences = torch.cat([a.logps for g in old for a in g]).sub(torch.cat(engine)).abs()
        self.round_numbers = summarise_round(
            rollouts, entropies=entropies, seconds=clock.seconds, logp_differences=differences
        ) | gathered_means(self.reward.diagnostics(), "train/reward/")
        return [
            AnswerGroup(
                prompt=prompt,
                completions=tuple(completions[i]),
                advantages=advantages.values[i],
                kept=bool(advantages.kept[i]),
                old_logps=None if old is None else tuple(answer.logps for answer in old[i]),
                ref_logps=None if ref is None else tuple(answer.logps for answer in ref[i]),
                masked=truncated_answers(completions[i]) if self.objective.mask_truncated else frozenset(),
            )
            for i, prompt in enumerate(encoded)
        ]

    def on_train_epoch_start(self) -> None:
        """Log the round, and make dropout a function of it: a restart begins here with a fresh generator."""
        torch.manual_seed(derive_seed(self.round_seed, 1, self.global_rank))
        self.update_metrics.start()
        # The numbers are already those of all ranks.
        self.log_dict(self.round_numbers, sync_dist=False)

    def share(self, batch: RolloutBatch) -> tuple[torch.Tensor, LossInputs, ObjectiveStatistics]:
        """What a micro-batch of whole groups adds to the objective of its optimizer step.

        Shares of all micro-batches on all ranks are to be added.
        """
        logps, entropy = self.policy.logps_and_entropy(
            batch.policy, self.temperature, entropy_gradient=self.objective.entropy_weight > 0
        )
        answered = batch.policy.completion_mask
        old_logps = logps.detach() if batch.old_logps is None else batch.old_logps
        importance = None
        if self.correction is not None:
            importance = correction_weights(old_logps, batch.engine_logps, answered, self.correction)
        inputs = LossInputs(
            logps=logps,
            old_logps=old_logps,
            advantages=batch.advantages,
            mask=answered & batch.heard[:, None],
            ref_logps=batch.ref_logps,
            entropy=entropy,
            importance=importance,
        )
        size = batch.step
        denominators = Denominators(size.sequences, size.tokens, size.round_tokens, self.max_length)
        share, statistics = policy_loss(inputs, self.objective, denominators)
        return share, inputs, statistics

    def training_step(self, batch: RolloutBatch, batch_idx: int) -> torch.Tensor:
        """The objective on one micro-batch of whole groups, plus the replay term."""
        share, inputs, statistics = self.share(batch)
        # Shares add up to the step's loss; Lightning averages over micro-batches, and over ranks.
        loss = share * self.trainer.accumulate_grad_batches * self.trainer.world_size
        values = token_values(inputs, self.objective, batch.engine_logps)
        answered = batch.policy.completion_mask
        numbers = {"train/policy_loss": loss.detach(), **step_metrics(inputs, statistics, answered)}
        if batch.old_logps is None:
            assert inputs.entropy is not None
            values["entropy"] = inputs.entropy
            numbers["train/logp_diff"] = masked_mean(values["logp_diff"], answered)
        self.update_metrics.add(batch.pairs, values, inputs.mask, batch.policy.input_ids.numel())
        if batch.replay is not None:
            nll = answer_nll(self.policy.logps(batch.replay), batch.replay.completion_mask)
            loss = loss + self.replay_weight * nll
            numbers["train/replay_loss"] = nll.detach()
        rows = len(batch.policy)
        self.log("train/loss", loss.detach(), prog_bar=True, on_step=True, batch_size=rows, sync_dist=True)
        self.log_dict(numbers, on_step=False, on_epoch=True, batch_size=rows, sync_dist=True)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: RolloutBatch, batch_idx: int) -> None:
        """Log the update of the round behind its last micro-batch."""
        super().on_train_batch_end(outputs, batch, batch_idx)
        if not self.trainer.is_last_batch:
            self.termination.leave_together(self.trainer)
        else:
            numbers = self.update_metrics.close()
            self.round_numbers = self.round_numbers | numbers
            self.log_dict(numbers, on_step=False, on_epoch=True, batch_size=1, sync_dist=False)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Log the norm of the step's gradient, before it is clipped."""
        gradients = [p.grad.detach() for p in self.policy.parameters() if p.grad is not None]
        if gradients:
            self.log("train/grad_norm", whole(get_total_norm(gradients)))

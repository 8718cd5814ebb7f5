"""Rollout as epoch: every Lightning epoch asks new prompts and trains on the answers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from lightning.pytorch.callbacks import GradientAccumulationScheduler
from lightning.pytorch.strategies import DeepSpeedStrategy

from medgrpo.data.batch import PolicyBatch
from medgrpo.data.batch_size import BatchSize
from medgrpo.data.clip_data import ClipDataModule
from medgrpo.data.clip_frames import DECODE_SECONDS
from medgrpo.data.held_out import HeldOutLoader, spread_rows
from medgrpo.data.lazy_records import Records, pairs_of
from medgrpo.data.prompts import choose_rows, derive_seed
from medgrpo.data.readable import ReadableRows
from medgrpo.data.refill import Refill
from medgrpo.data.rollout_batch import AnswerGroup, RolloutLoader, plan_round
from medgrpo.data.round_loader import RoundLoader
from medgrpo.data.sampling import SamplingPolicy
from medgrpo.errors import UserError
from medgrpo.tasks import get_task
from medgrpo.types import Sample

__all__ = ["PAPER_TASKS", "GRPOData"]

PAPER_TASKS = ("tal", "stg", "video_summary", "region_caption")
"""The tasks of the paper's RL mix."""


class GRPOData(ClipDataModule):
    """Rounds of prompts, answered by the policy in training.

    ``train_dataloader`` generates, rewards and stores one round, then serves it in shuffled micro-batches of
    whole groups. Everything follows from (seed, round), so a run that continues from an epoch's checkpoint
    repeats what the uninterrupted one would have done.

    Args:
        records: Training records file.
        sampling: Frames and sizes; the one that the policy was fine-tuned with.
        tasks: Tasks in the RL mix; rows of others are left out.
        prompts_per_round: Prompts of a round, all ranks together, shared evenly between (dataset, task)
            pairs.
        groups_per_batch: Groups in a micro-batch of one rank.
        tokens_per_batch: Most tokens in a micro-batch instead, prompts counted once a group, as they are
            packed; a longer group goes alone. An optimizer step still holds ``groups_per_batch`` times
            ``trainer.accumulate_grad_batches`` groups a rank, in as many micro-batches as its tokens need.
        num_iterations: Passes over a round.
        refill_attempts: How often a prompt whose answers are all worth the same is replaced by another one of
            its (dataset, task) in the same round (dynamic sampling); 0 is the paper.
        media_root: Where relative frame paths start; None is the records file's folder.
        media_prefixes: Starts of frame paths to replace, old to new (absolute or relative to the root).
        val_records: Held-out rows with reference answers, on which validation tells what the policy has kept;
            None validates nothing.
        val_tasks: Tasks of theirs that are asked; None asks all.
        val_rows: Such rows at most, shared evenly between (dataset, task) pairs.
        val_batch: Of them, questions answered together.
        replay_records: Rows with reference answers for the replay term; needed with a replay weight.
        replay_rows: Such rows in a micro-batch.
        num_workers: Processes that decode and encode the prompts of the next round while one is trained on;
            0 does it when a round begins.
        prefetch_factor: Prompts that each of them makes ahead, at most; they wait in shared memory.
        max_prompt_tokens: Longest prompt accepted.
        video_backend: Decoder of video files: pyav, torchcodec or decord.
        decode_seconds: Most time that it may take for a clip, after which it is stopped; None is no limit.
        frame_cache: Folder that keeps resized frames between runs; None keeps recent ones in memory.
        frame_cache_gb: Most gigabytes in that folder; frames that were not used for longest go first.
        max_bad_clips: Most clips whose frames cannot be read that are set aside, listed in
            ``bad_clips.jsonl`` in the run's folder; 0 stops at the first.
        seed: Of prompts, answers and the order of micro-batches.
    """

    def __init__(
        self,
        records: str,
        sampling: SamplingPolicy,
        tasks: tuple[str, ...] = PAPER_TASKS,
        prompts_per_round: int = 12,
        groups_per_batch: int = 1,
        tokens_per_batch: int | None = None,
        num_iterations: int = 1,
        refill_attempts: int = 0,
        media_root: str | None = None,
        media_prefixes: dict[str, str] | None = None,
        val_records: str | None = None,
        val_tasks: tuple[str, ...] | None = None,
        val_rows: int = 128,
        val_batch: int = 16,
        replay_records: str | None = None,
        replay_rows: int = 8,
        num_workers: int = 0,
        prefetch_factor: int = 2,
        max_prompt_tokens: int = 32768,
        video_backend: str = "pyav",
        decode_seconds: float | None = DECODE_SECONDS,
        frame_cache: str | None = None,
        frame_cache_gb: float = 100.0,
        max_bad_clips: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(
            (records, val_records, replay_records),
            sampling,
            media_root=media_root,
            media_prefixes=media_prefixes,
            max_prompt_tokens=max_prompt_tokens,
            video_backend=video_backend,
            decode_seconds=decode_seconds,
            frame_cache=frame_cache,
            frame_cache_gb=frame_cache_gb,
            max_bad_clips=max_bad_clips,
        )
        for name, value in (
            ("prompts_per_round", prompts_per_round),
            ("groups_per_batch", groups_per_batch),
            ("tokens_per_batch", 1 if tokens_per_batch is None else tokens_per_batch),
            ("num_iterations", num_iterations),
            ("val_rows", val_rows),
            ("val_batch", val_batch),
            ("replay_rows", replay_rows),
        ):
            if value < 1:
                raise ValueError(f"data.{name} must be at least 1, got {value}")
        if refill_attempts < 0:
            raise ValueError(f"data.refill_attempts must be at least 0, got {refill_attempts}")
        self.records = records
        self.tasks = tuple(get_task(name).name for name in tasks)
        self.prompts_per_round = prompts_per_round
        self.batch_size = BatchSize(groups_per_batch, tokens_per_batch)
        self.num_iterations = num_iterations
        self.refill_attempts = refill_attempts
        self.val_records = val_records
        self.val_tasks = None if val_tasks is None else tuple(get_task(name).name for name in val_tasks)
        self.val_rows = val_rows
        self.val_batch = val_batch
        self.held_out: HeldOutLoader | None = None
        self.replay_records = replay_records
        self.replay_rows = replay_rows
        self.num_workers = num_workers
        self.prefetch_factor = prefetch_factor
        self.seed = seed
        self._round: tuple[int, RolloutLoader] | None = None
        self._accumulate: int | None = None

    def setup(self, stage: str) -> None:
        """Open the records and hand the module an encoder for its policy.

        Raises:
            UserError: If the records hold nothing to train on, or trainer and data do not fit.
        """
        module: Any = self.attached_trainer.lightning_module
        self.encoder = self.encoder_for(module.policy)
        self._round = None
        if stage == "validate" and self.val_records is None:
            raise UserError("data.val_records is not set, so there is nothing to validate on")
        self._open_held_out(module)
        if stage != "fit":
            return
        self._check_trainer()
        self._accumulate = self.attached_trainer.accumulate_grad_batches
        self.samples = self.open_records(self.records).where(tasks=self.tasks, answered=True)
        if not self.samples:
            raise UserError(
                f"{self.records}: no row with a reference answer has one of the tasks {', '.join(self.tasks)}"
            )
        self.rows = self.readable(self.records, self.samples, self.encoder)
        self.rounds = RoundLoader(
            self.rows,
            self.prompts_per_round,
            seed=self.seed,
            rank=self.attached_trainer.global_rank,
            world_size=self.attached_trainer.world_size,
            num_workers=self.num_workers,
            prefetch_factor=self.prefetch_factor,
        )
        self.replayed = self._open_replay() if module.replay_weight > 0 else None
        module.prepare(_one_a_pair(self.samples), self.records)

    def val_dataloader(self) -> HeldOutLoader | list[Any]:
        """The held-out rows, the same ones every time."""
        return [] if self.held_out is None else self.held_out

    def train_dataloader(self) -> RolloutLoader:
        """Play the round of the current epoch and serve it.

        Lightning asks twice for the same epoch after a restart; the second time gets the same round.
        """
        if self._finished():
            return RolloutLoader(self.encoder, [], [], 1)
        index = self._current_round()
        if self._round is None or self._round[0] != index:
            self._round = (index, self._play(index))
        return self._round[1]

    def teardown(self, stage: str) -> None:
        """Let the workers go, and the trainer's accumulation be what was configured."""
        if self._accumulate is not None:
            self.attached_trainer.accumulate_grad_batches = self._accumulate
        self.__dict__.pop("rounds", None)

    def state_dict(self) -> dict[str, bool]:
        """Whether the checkpoint was taken inside a round."""
        if self.trainer is None or self._round is None:
            return {"inside_round": False}
        return {"inside_round": self._current_round() == self._round[0]}

    def load_state_dict(self, state_dict: dict[str, bool]) -> None:
        """Refuse to continue from the middle of a round, whose answers came from weights that are gone.

        Raises:
            UserError: If the checkpoint was taken inside a round.
        """
        if state_dict["inside_round"]:
            raise UserError(
                "the checkpoint was taken inside a rollout round; continue from one taken at the end of an "
                "epoch with --ckpt_path=last (under SLURM too, where Lightning requeues from any moment; "
                "ModelCheckpoint as it is by default: no every_n_train_steps, no save_on_exception)"
            )

    def _current_round(self) -> int:
        # Not trainer.current_epoch: after a restart from an epoch's end, Lightning first asks for a loader
        # while that still names the finished epoch.
        return self.attached_trainer.fit_loop.epoch_progress.current.processed

    def _finished(self) -> bool:
        """Whether a finished run was started again: Lightning asks for a loader before it looks."""
        trainer = self.attached_trainer
        epochs, steps = trainer.max_epochs, trainer.max_steps
        return (epochs not in (None, -1) and self._current_round() >= int(epochs or 0)) or (
            steps != -1 and trainer.global_step >= steps
        )

    def _check_trainer(self) -> None:
        trainer = self.attached_trainer
        if trainer.reload_dataloaders_every_n_epochs != 1:
            raise UserError(
                "trainer.reload_dataloaders_every_n_epochs must be 1 with GRPOData: an epoch is a round"
            )
        if any(isinstance(callback, GradientAccumulationScheduler) for callback in trainer.callbacks):
            raise UserError(
                "trainer.callbacks: a GradientAccumulationScheduler changes what an optimizer step is after "
                "its round was planned; set trainer.accumulate_grad_batches"
            )
        if self.batch_size.tokens is not None and isinstance(trainer.strategy, DeepSpeedStrategy):
            raise UserError(
                "data.tokens_per_batch changes the micro-batches of a step from round to round, which "
                "DeepSpeed does not allow; set data.groups_per_batch"
            )
        if self.prompts_per_round % trainer.world_size:
            raise UserError(
                f"data.prompts_per_round is {self.prompts_per_round}, which {trainer.world_size} ranks "
                "cannot share evenly; make it a multiple"
            )
        groups = self.prompts_per_round // trainer.world_size
        batches = self.num_iterations * math.ceil(groups / self.batch_size.groups)
        if trainer.strategy.handles_gradient_accumulation and batches % trainer.accumulate_grad_batches:
            raise UserError(
                f"trainer.accumulate_grad_batches is {trainer.accumulate_grad_batches}, and a rank has "
                f"{batches} micro-batches in a round; DeepSpeed ends no optimizer step at the end of a "
                f"round, so make it a divisor, e.g. {batches}"
            )

    def _open_held_out(self, module: Any) -> None:
        trainer = self.attached_trainer
        if self.val_records is None:
            module.bind(self.encoder, [])
            trainer.limit_val_batches = 0  # or Lightning warns in every round that there are none
            return
        samples = self.open_records(self.val_records).where(tasks=self.val_tasks, answered=True)
        if not samples:
            raise UserError(f"{self.val_records}: no row of data.val_tasks has a reference answer")
        module.bind(self.encoder, _one_a_pair(samples))
        chosen = spread_rows(pairs_of(samples), self.val_rows)
        if len(chosen) < trainer.world_size:
            raise UserError(
                f"{self.val_records}: {len(chosen)} held-out rows (data.val_rows is {self.val_rows}) do not "
                f"go round {trainer.world_size} ranks"
            )
        self.held_out = HeldOutLoader(
            self.readable(self.val_records, samples, self.encoder),
            chosen,
            batch=self.val_batch,
            rank=trainer.global_rank,
            world_size=trainer.world_size,
        )

    def _open_replay(self) -> ReadableRows:
        if self.replay_records is None:
            raise UserError("model.replay_weight is above 0: set data.replay_records to the rows to replay")
        samples = self.open_records(self.replay_records).where(answered=True)
        if not samples:
            raise UserError(f"{self.replay_records}: no row has a reference answer to replay")
        return self.readable(self.replay_records, samples, self.encoder)

    def _play(self, index: int) -> RolloutLoader:
        trainer = self.attached_trainer
        rank, world = trainer.global_rank, trainer.world_size
        module: Any = trainer.lightning_module
        if world > 1:
            module.termination.listen(trainer)
        asked, prompts = self.rounds.load(index)
        if trainer.max_epochs in (None, -1) or index + 1 < trainer.max_epochs:
            self.rounds.prefetch(index + 1)
        plan = plan_round(
            len(prompts),
            self.batch_size,
            self._accumulate or 1,
            passes=self.num_iterations,
            seed=[self.seed, index, rank],
        )
        groups: list[AnswerGroup] = module.play(
            prompts,
            round_index=index,
            seed=derive_seed(self.seed, index),
            size=self.batch_size,
            single_step=plan.single_step,
            refill=Refill(self.refill_attempts, asked.another),
        )
        fitted = plan.fitted(self.batch_size, [group.length for group in groups])
        trainer.accumulate_grad_batches = fitted.accumulate
        # Draws are counted by the plan, which has as many batches in every round.
        replay = self._replay(index, len(plan.batches), rank, world)
        return RolloutLoader(self.encoder, groups, fitted.batches, fitted.accumulate, replay)

    def _replay(self, index: int, batches: int, rank: int, world: int) -> Callable[[int], PolicyBatch] | None:
        """Makes the rows to replay in each micro-batch: the draws of all micro-batches of all rounds."""
        if self.replayed is None:
            return None
        replayed, total = self.replayed, len(self.replayed.samples)

        def batch(number: int) -> PolicyBatch:
            draw = (index * batches + number) * world + rank
            rows = choose_rows(total, self.replay_rows, seed=self.seed, draw=draw)
            following = ([(rows[-1] + step) % total] for step in range(1, total))
            return replayed.collate(replayed.take(rows, following))

        return batch


def _one_a_pair(samples: Records) -> list[Sample]:
    """The first sample of each (dataset, task)."""
    first = {pair: i for i, pair in reversed(list(enumerate(pairs_of(samples))))}
    return list(samples.select(sorted(first.values())))
